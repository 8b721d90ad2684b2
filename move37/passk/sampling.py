"""The tries of an experiment: in parts, each of which depends on nothing but its own place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from envs.base import BatchEnv
from envs.board.vector import load_id
from envs.text.batch import TextBatch
from envs.text.parsing import normal, read
from llm_rl.likelihood import log_probs
from llm_rl.sequences import whole_episodes
from move37.build import set_threads, told
from move37.crew import Crew
from move37.errors import UserError
from move37.origin import Origin
from move37.passk.config import PasskConfig
from move37.passk.policies import described, policy_agent
from move37.passk.problems import Tried, find_problems, make_slots, options_of
from move37.passk.store import PART, SAMPLES
from move37.players import player
from rollouts.agent import Agent
from rollouts.problems import Listed, seeds_from
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler

TRIES = 256
"""Of a problem in a part, at most."""
EPISODES = 4096
"""Of a part, about."""
SLOTS = {True: 512, False: 128}
"""Episodes at once: of texts, and of all else."""
Columns = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Some tries at some problems of a set, by a policy."""

    policy: str
    problems: str
    block: tuple[int, int]
    """Which problems, and which tries, counted in parts."""
    rows: tuple[int, int]
    """The problems, from and up to."""
    tries: tuple[int, int]
    """The tries, from and up to."""

    def path(self, folder: Path) -> Path:
        """Its file."""
        i, j = self.block
        return folder / SAMPLES / f"part-{self.policy}-{self.problems}-{i}-{j}.parquet"

    @property
    def count(self) -> int:
        """How many tries there are in all."""
        return (self.rows[1] - self.rows[0]) * (self.tries[1] - self.tries[0])


def bounds_of(samples: int, before: Sequence[int] = ()) -> list[int]:
    """Where blocks of `TRIES` tries end, the last one sooner; `before` are those of fewer tries, which stay.

    Raises `UserError` where these were more.
    """
    start = before[-1] if before else 0
    if start > samples:
        raise UserError(f"there are {start} tries at each problem already; samples may grow, not shrink")
    more = list(range(start + TRIES, samples, TRIES))
    return [*before, *more, *([samples] if samples > start else [])]


class Experiment:
    """The policies of a config and their problems."""

    def __init__(self, config: PasskConfig, origin: Origin, trust: bool = False) -> None:
        self.config, self.origin, self.trust = config, origin, trust
        set_threads(config.threads)
        self.bounds = bounds_of(config.samples)
        """Where blocks of tries end."""
        self._agents: dict[tuple[str, str], Agent] = {}
        self._envs: dict[str, BatchEnv] = {}

    @cached_property
    def problems(self) -> dict[str, list[Tried]]:
        """Of each set (`UserError` where there are not so many)."""
        return {name: find_problems(self.config, name, self.origin) for name in self.config.problems}

    def env(self, part: Part) -> BatchEnv:
        """Where a part is tried: one for all parts of a set."""
        if part.problems not in self._envs:
            one = make_slots(self.config, part.problems, 1, self.origin)
            one.close()
            most = min(self.config.samples, TRIES) * self.config.problems[part.problems].count
            slots = min(SLOTS[isinstance(one, TextBatch)], most)
            self._envs[part.problems] = make_slots(self.config, part.problems, slots, self.origin)
        return self._envs[part.problems]

    def close(self) -> None:
        """End what the environments hold."""
        for env in self._envs.values():
            env.close()
        self._envs.clear()

    def agent(self, policy: str, problems: str) -> Agent:
        """Who tries a set of problems."""
        if (policy, problems) not in self._agents:
            env = make_slots(self.config, problems, 1, self.origin)
            try:
                made = policy_agent(self.config, policy, env, self.trust)
            except UserError as error:
                raise UserError(f"{self.origin.file}: {error}") from None
            finally:
                env.close()
            self._agents[policy, problems] = made
        return self._agents[policy, problems]

    @cached_property
    def opponents(self) -> list[Agent]:
        """Who holds the other seat of a board game."""
        if self.config.against is None:
            return []
        with told(self.origin, "env"):
            game = load_id(self.config.env.id, self.config.env.options)
        try:
            return [player(self.config.against, game, trust=self.trust, match=True)]
        except UserError as error:
            raise UserError(f"{self.origin.file}: against: {error}") from None

    def prepare(self) -> None:
        """Build all that is needed, so that what does not fit is told before anything is sampled."""
        for name in self.config.problems:
            env = make_slots(self.config, name, 1, self.origin)
            self._check_success(env)
            env.close()
            for policy in self.config.policies:
                self.agent(policy, name)
        assert self.problems
        assert self.opponents is not None

    def _check_success(self, env: Any) -> None:
        place = f"{self.origin.file}: env.id"
        if env.seats > 1 and self.config.against is None:
            raise UserError(f"{place}: {self.config.env.id} is played by two: give against, such as uct:100")
        if env.seats == 1 and self.config.against is not None:
            raise UserError(f"{self.origin.file}: against: {self.config.env.id} has one seat")
        if env.seats == 1 and "success" not in env.parts and self.config.success is None:
            said = f"{self.config.env.id} has no notion of success: give success, a return that counts as one"
            raise UserError(f"{place}: {said}")

    def parts(self) -> Iterator[Part]:
        """All of them."""
        for name, wanted in self.config.problems.items():
            for policy in self.config.policies:
                for j, tries in enumerate(zip([0, *self.bounds], self.bounds)):
                    together = max(1, EPISODES // (tries[1] - tries[0]))
                    for i, row in enumerate(range(0, wanted.count, together)):
                        yield Part(policy, name, (i, j), (row, min(row + together, wanted.count)), tries)

    @cached_property
    def described(self) -> dict[str, dict[str, Any]]:
        """What each policy's tries depend on."""
        return {name: described(policy) for name, policy in self.config.policies.items()}

    def what(self, part: Part) -> dict[str, Any]:
        """What a part's tries depend on, as plain data."""
        config, problems = self.config, self.problems[part.problems]
        told: dict[str, Any] = {"policy": self.described[part.policy], "seed": config.seed}
        told |= {"env": {"id": config.env.id, **options_of(config, part.problems)}}
        told |= {"problems": [p.name for p in problems[slice(*part.rows)]], "tries": list(part.tries)}
        told |= self._reference(part)
        rest = {"against": config.against, "success": config.success, "longest": config.longest}
        return told | {k: v for k, v in rest.items() if v is not None}

    def _reference(self, part: Part) -> dict[str, Any]:
        """By whom, and how often, a language model's tries are looked at; nothing of other agents."""
        base, agent = (self.agent(name, part.problems) for name in (self.config.first, part.policy))
        if not _same_tokens(base, agent):
            return {}
        weights = self.described[self.config.first].get("weights", self.config.first)
        return {"reference": {"tries": self.config.reference, "base": weights}}

    def sample(self, part: Part) -> Columns:
        """The tries of a part: see `columns_of`."""
        problems = self.problems[part.problems][slice(*part.rows)]
        env = self.env(part)
        whose = [*f"{part.policy}-{part.problems}".encode()]
        seed = int(seeds_from([self.config.seed, *whose, *part.block], 1)[0])
        stream = Listed([p.problem for p in problems], shuffle=False)
        sampler = Sampler(env, seed=seed, problems=stream, longest=self.config.longest)
        agent, opponents = self.agent(part.policy, part.problems), self.opponents
        each = part.tries[1] - part.tries[0]
        how: Any = {"explore": self.config.policies[part.policy].explore, "keep_obs": False}
        rollout = sampler.collect(agent, episodes=part.count, group_size=each, opponents=opponents, **how)
        columns = columns_of(rollout, part, self.config.success, won=bool(opponents))
        return columns | self._by_base(part, rollout, columns["try"])

    def _by_base(self, part: Part, rollout: Rollout, tries: np.ndarray) -> Columns:
        """Of language models: the base's log-probability of the first tries at a problem, NaN of others."""
        base, agent = (self.agent(name, part.problems) for name in (self.config.first, part.policy))
        if "tokens" not in rollout.fields or not _same_tokens(base, agent):
            return {}
        few = np.flatnonzero(tries < self.config.reference)
        told = np.full(len(tries), np.nan, np.float32)
        if len(few):
            told[few] = log_probs(base, rollout, whole_episodes(rollout).take(few)).sum(axis=1)
        return {"base_log_prob": told}


def _same_tokens(one: Any, other: Any) -> bool:
    """Whether two language models read the same tokens."""
    vocabularies = [getattr(getattr(agent, "tokenizer", None), "size", None) for agent in (one, other)]
    return None not in vocabularies and vocabularies[0] == vocabularies[1]


def columns_of(rollout: Rollout, part: Part, threshold: float | None, won: bool) -> Columns:
    """What came of the tries, an entry each, in the order of problems and, in these, of tries.

    `problem` and `try` (their numbers), `seed` of the problem, `success`, `invalid` (its verifier failed),
    `return`, `steps` taken, `tokens` written (of other agents: decisions), `log_prob` of these, `cut`
    (stopped by a limit), in text tasks `completion` (what was said, a text a turn) and `answer` (in one
    normal form), and what else the environment told as `part/<name>`.
    """
    order = np.argsort(rollout.ended["episode"])
    ended = {name: np.asarray(column)[order] for name, column in rollout.ended.items()}
    each = part.tries[1] - part.tries[0]
    place = np.arange(len(order))
    success = ended["return"] > 0 if won else ended.get("success", np.zeros(len(order))) > 0
    if threshold is not None:
        success = ended["return"] >= threshold
    columns: Columns = {
        "problem": (part.rows[0] + place // each).astype(np.int32),
        "try": (part.tries[0] + place % each).astype(np.int32),
        "seed": ended["seed"],
        "success": success,
        "invalid": ended.get("error", np.zeros(len(order))) > 0,
        "return": ended["return"].astype(np.float32),
        "steps": ended["length"].astype(np.int32),
    }
    columns |= _written(rollout, ended)
    own = set(rollout.parts) - {"success", "error"}
    return columns | {f"{PART}{name}": ended[name].astype(np.float32) for name in sorted(own)}


def _written(rollout: Rollout, ended: Mapping[str, np.ndarray]) -> Columns:
    """What the agent wrote, or decided."""
    if "tokens" not in rollout.fields:
        log_prob = _total(rollout, rollout.fields.get("log_prob"), ended)
        cut = _total(rollout, rollout.truncated, ended) > 0
        found: Columns = {"tokens": ended["length"].astype(np.int32), "log_prob": log_prob, "cut": cut}
    else:
        whole = whole_episodes(rollout)
        found = {
            "tokens": whole.own_lengths.astype(np.int32),
            "log_prob": whole.old_log_prob.sum(axis=1, dtype=np.float64).astype(np.float32),
            "cut": whole.truncated,
        }
    if rollout.actions.dtype != object:
        return found
    said = _said(rollout)
    answers = [read(texts[-1]).answer for texts in said]
    votes = [None if answer is None else normal(answer) for answer in answers]
    return found | {"completion": said, "answer": votes}


def _said(rollout: Rollout) -> list[list[str]]:
    """What was said in each episode, a text a turn, by the episodes' ids."""
    time, slot = np.nonzero(rollout.valid)
    turns: dict[int, list[str]] = {}
    for t, i in zip(time.tolist(), slot.tolist()):
        turns.setdefault(int(rollout.episode[t, i]), []).append(str(rollout.actions[t, i]))
    return [turns[name] for name in sorted(turns)]


def _total(rollout: Rollout, values: Any, ended: Mapping[str, np.ndarray]) -> np.ndarray:
    """The sum over each episode of what is `[time, slot, ...]`; NaN where there is nothing."""
    if values is None:
        return np.full(len(ended["episode"]), np.nan, np.float32)
    rows = np.nonzero(rollout.valid)
    place = np.searchsorted(ended["episode"], rollout.episode[rows])
    each = values[rows].reshape(len(place), -1).sum(axis=1)
    return np.bincount(place, each, minlength=len(ended["episode"])).astype(np.float32)


# -- where they are sampled ------------------------------------------------------------------------------


def sample_all(experiment: Experiment, parts: list[Part]) -> Iterator[tuple[Part, Columns]]:
    """Each part with its tries, in order: by this process, or by Ray actors."""
    config = experiment.config
    if not config.workers:
        for part in parts:
            yield part, experiment.sample(part)
        return
    what = config.plain(), experiment.origin.file, experiment.trust
    where: Any = {"workers": config.workers, "address": config.cluster.address}
    crew = Crew(Worker, what, origin=experiment.origin, **where)
    try:
        yield from zip(parts, crew.do(parts))
    finally:
        crew.close()


class Worker:
    """An experiment in another process, on one thread."""

    def open(self, config: dict[str, Any], file: str, trust: bool) -> None:
        """Make the policies and the problems."""
        checked = PasskConfig.model_validate(config | {"threads": 1})
        self.experiment = Experiment(checked, Origin(file), trust)
        for policy in checked.policies:  # so that what is not on this machine is told at once
            for problems in checked.problems:
                self.experiment.agent(policy, problems)

    def do(self, part: Part) -> Columns:
        """Sample a part."""
        return self.experiment.sample(part)
