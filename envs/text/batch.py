"""Every family of text tasks as one `gymnasium.vector.VectorEnv`: `n` problems a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from envs.base import Array, BatchEnv, State, slot_seeds
from envs.options import OptionError, split_options
from envs.text import MIXED
from envs.text.deal import Dealer, Menu, entries_of, load_family
from envs.text.episode import PARTS, Episode, begin, own_parts, plain_verdict, speak
from envs.text.mixed import mixed_entries
from envs.text.noise import TRUTH, Judge, make_noise
from envs.text.split import TEST_SHARE
from envs.text.verifiers import Verifiers

MODES = ("ansi",)
Texts = tuple[str, ...]


class TextBatch(BatchEnv):
    """`n` slots of text problems; see `envs.base.BatchEnv` for what every batch promises.

    Observations and actions are tuples of `n` texts. An observation is what is new to the agent: a problem's
    prompt (with `instructions`, what it means in English before it), and in a dialogue each reply. An action
    is all that the agent says in its turn. A family of one turn terminates whatever was said; a dialogue
    terminates with an answer, and is truncated where its turns are used up. The reward, at the end, is the
    verifier's; `info["verdicts"]` has its verdict for each slot that ended, else None.

    `level` is one of the family's, or a list of them, drawn evenly. `split` keeps to the problems of `train`
    or `test` (a share of `test_share`), told by a hash of the problem; of `train` only to a `pool` of so
    many, which may be more than half of all there are with `memorise`. Options of an episode: `level`,
    `split`, and `family` where there are several; they hold until the slot is reset again. Beside the parts
    that all have come those of the family, and where there are several levels or families
    `tried/<Name>-<level>` and `success/<Name>-<level>`; see `envs.text.mixed`.

    A verifier that raises, or takes longer than `deadline` seconds, costs its own sample only: the part
    `error` is 1. See `envs.text.verifiers` for what deadline there is where none is named.

    With `noise`, verdicts err: a right answer is judged wrong with the probability `right`, a wrong one right
    with `wrong`. `success` and the reward are as judged; the part `true_success` is as it is. What is drawn
    is a slot's own, also where others try the same problem; a reset without a mask begins it anew.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": list(MODES)}  # noqa: RUF012
    can_save = True

    def __init__(
        self,
        id: str,
        n: int = 1,
        *,
        level: Any = 1,
        families: Any = None,
        split: str | None = None,
        instructions: bool = False,
        test_share: float = TEST_SHARE,
        pool: int | None = None,
        memorise: bool = False,
        deadline: float | None = None,
        noise: Mapping[str, float] | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """`id` is `text/<Name>-v0` or `package.module:Class` of a `Task`; `options` go to the family.

        Raises `OptionError` for wrong options, `ValueError` for an unknown family.
        """
        if n < 1:
            raise ValueError(f"text tasks need at least one slot, not {n}")
        check_render_mode(render_mode)
        shown: dict[str, Any] = {"split": split, "instructions": instructions, "test_share": test_share}
        shown |= {"pool": pool, "memorise": memorise}
        self.dealer = make_dealer(id, level, families, options, **shown)
        self.id, self.num_envs, self.render_mode = id, n, render_mode
        self.verifiers = Verifiers(self.dealer.families, deadline)
        self.noise = make_noise(noise)
        self.parts = parts(self.dealer, self.verifiers, noisy=self.noise is not None)
        spaces = self.dealer.spaces(short_name(id))
        self.single_observation_space, self.single_action_space = spaces
        self.observation_space, self.action_space = (batch_space(space, n) for space in spaces)
        self._rng: list[Any] = [None] * n
        self._before: list[Any] = [None] * n  # each generator, before it made the slot's problem
        self._judges: list[Judge | None] = [None] * n
        self._options: list[dict[str, Any]] = [{} for _ in range(n)]
        self._menus: list[Menu] = [self.dealer.whole] * n
        self._episodes: list[Any] = [None] * n
        self._obs: list[str] = [""] * n
        self._ready = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Texts, dict[str, Any]]:
        """Begin new problems, in all slots or where `options["reset_mask"]` says so.

        A seed begins a slot wholly anew; without one come the next problems of the slot's own generator.
        """
        own, mask, slots = split_options(options, self.num_envs)
        seeds, first = slot_seeds(seed, self.num_envs), not self._ready
        which = list(range(self.num_envs)) if first else np.flatnonzero(mask).tolist()
        given = {i: {**own, **(slots[i] or {})} for i in which}
        menus = {i: self._menu(i, given[i]) for i in which}
        for i in which:
            self._options[i], self._menus[i] = given[i], menus[i]
            if seeds[i] is not None or first:
                self._rng[i] = np.random.default_rng(seeds[i])
                if self.noise and (first or "reset_mask" not in (options or {})):
                    self._judges[i] = Judge(self.noise, self._rng[i], i)
            self._begin(i)
        self._ready = True
        return tuple(self._obs), {}

    def step(self, actions: Sequence[str]) -> tuple[Texts, Array, Array, Array, dict[str, Any]]:
        """Say something in every slot; where a problem is over the next one begins.

        Raises `ValueError` for what is no text; nothing is said then.
        """
        if not self._ready:
            raise ResetNeeded("call reset before step")
        self._check(actions)
        n = self.num_envs
        rewards, terminated, truncated = np.zeros(n, np.float32), np.zeros(n, bool), np.zeros(n, bool)
        told: dict[str, Array] = {name: np.zeros(n, np.float32) for name in self.parts}
        verdicts: list[dict[str, Any] | None] = [None] * n
        for i, turn in enumerate(speak(self._episodes, actions, self.verifiers)):
            self._obs[i] = turn.told
            if turn.verdict is not None:
                rewards[i], terminated[i], truncated[i] = turn.reward, turn.terminated, turn.truncated
                verdicts[i] = plain_verdict(turn.verdict)
                for name, value in parts_told(self._episodes[i], self.parts).items():
                    told[name][i] = value
        info: dict[str, Any] = {"parts": told, "verdicts": verdicts}
        ended = terminated | truncated
        if ended.any():
            info |= {"final_obs": tuple(self._obs), "_final_obs": ended}
            for i in np.flatnonzero(ended).tolist():
                self._begin(i)
        return tuple(self._obs), rewards, terminated, truncated, info

    def get_state(self) -> State:
        """Of every slot its generator and options, and what was said about its problem."""
        if not self._ready:
            raise ResetNeeded("call reset before get_state")
        slots = zip(self._before, self._options, self._episodes)
        state: State = {
            "id": self.id,
            "slots": [
                {"rng": before, "options": dict(options), "key": e.question.key, "said": list(e.said)}
                for before, options, e in slots
            ],
        }
        judges = [judge.rng.bit_generator.state for judge in self._judges if judge]
        return state | {"judges": judges} if judges else state

    def set_state(self, state: Mapping[str, Any]) -> Texts:
        """Put back what `get_state` gave (`ValueError` where it is of another task or number of slots)."""
        slots = state["slots"]
        if state["id"] != self.id:
            raise ValueError(f"a state of {state['id']} cannot continue {self.id}")
        if len(slots) != self.num_envs:
            raise ValueError(f"a state of {len(slots)} slots cannot fill {self.num_envs}")
        for i, slot in enumerate(slots):
            self._options[i] = dict(slot["options"])
            self._menus[i] = self._menu(i, self._options[i])
            self._rng[i] = np.random.default_rng(0)
            self._rng[i].bit_generator.state = slot["rng"]
            if self.noise:
                self._judges[i] = Judge(self.noise, self._rng[i], i)
            self._begin(i)
            if self._episodes[i].question.key != slot["key"]:
                raise ValueError(f"slot {i}: the generator makes another problem than the one that was saved")
            for text in slot["said"]:
                (turn,) = speak(self._episodes[i : i + 1], [text], self.verifiers)
                self._obs[i] = turn.told
        for judge, saved in zip(self._judges, state.get("judges", [])):
            if judge:
                judge.rng.bit_generator.state = saved
        self._ready = True
        return tuple(self._obs)

    def render(self) -> Any:
        """What was said in slot 0, with `render_mode="ansi"`."""
        if self.render_mode is None:
            return None
        if not self._ready:
            raise ResetNeeded("call reset before render")
        return self._episodes[0].transcript()

    def close_extras(self, **kwargs: Any) -> None:
        """End the processes of verifiers."""
        if "verifiers" in self.__dict__:  # else it was never made
            self.verifiers.close()

    def _begin(self, i: int) -> None:
        self._before[i] = self._rng[i].bit_generator.state
        self._episodes[i] = begin(self.dealer, self._rng[i], self._menus[i], self._judges[i])
        self._obs[i] = self._episodes[i].opening

    def _menu(self, i: int, options: Mapping[str, Any]) -> Menu:
        try:
            return self.dealer.menu(options)
        except OptionError as error:
            raise OptionError(error.option, f"slot {i}: {error}") from None

    def _check(self, actions: Sequence[str]) -> None:
        if isinstance(actions, str) or len(actions) != self.num_envs:
            raise ValueError(f"actions must be {self.num_envs} texts, one a slot, not {actions!r:.60}")
        for i, text in enumerate(actions):
            if not isinstance(text, str):
                raise ValueError(f"slot {i}: an action is text, not {text!r:.60}")


def make_dealer(
    id: str,
    level: Any = 1,
    families: Any = None,
    options: Mapping[str, Any] | None = None,
    **shown: Any,
) -> Dealer:
    """Who deals the problems of an id, by the options of a text environment (`OptionError`, `ValueError`).

    `options` are the family's; `shown` says which problems are dealt and how, see `Dealer`.
    """
    options = options or {}
    if short_name(id) == MIXED:
        if level != 1 or options:
            name = next(iter(options), "level")
            raise OptionError(
                name, f"'{id}' takes '{name}' for each family, as families={{Addition: [1, 2]}}"
            )
        entries = mixed_entries(families)
    else:
        if families is not None:
            raise OptionError("families", f"'{id}' is one family; families are for text/{MIXED}-v0")
        entries = entries_of(*load_family(id, options, f"environment '{id}'"), level)
    return Dealer(entries, **shown)


def parts(dealer: Dealer, verifiers: Verifiers, *, noisy: bool = False) -> tuple[str, ...]:
    """The names of all that an environment tells: of every family, of these, and by family and level."""
    firsts = {e.name: e for e in reversed(dealer.entries)}
    own = [part for entry in firsts.values() for part in own_parts(entry, verifiers)]
    labels = [e.label for e in dealer.entries] if len(dealer.entries) > 1 else []
    by_label = [f"{what}/{label}" for label in labels for what in ("tried", "success")]
    return tuple(dict.fromkeys((*PARTS, *own, *by_label, *([TRUTH] if noisy else []))))


def parts_told(episode: Episode, names: Sequence[str]) -> dict[str, float]:
    """What an episode that was spoken in has of the parts of these names."""
    turn, label = episode.turns[-1], episode.entry.label
    told = {name: turn.part(name) for name in names}
    if f"tried/{label}" in told and turn.verdict is not None:
        told |= {f"tried/{label}": 1.0, f"success/{label}": turn.part("success")}
    return told


def short_name(id: str) -> str:
    """`Addition` of `text/Addition-v0`; an import path as it is."""
    return id.removeprefix("text/").removesuffix("-v0")


def check_render_mode(render_mode: str | None) -> None:
    """Raise `OptionError` for a mode that text environments do not have."""
    if render_mode not in (None, *MODES):
        raise OptionError("render_mode", f"render_mode must be {MODES[0]} or null, not '{render_mode}'")


__all__ = ["TextBatch", "make_dealer", "parts"]
