"""Warnings that teach: what the last updates say about a run, and what to try."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile, pairwise
from statistics import fmean, median

Record = Mapping[str, float]
"""One line of `metrics.jsonl`: flat numbers by name."""

WINDOW = 30
"""Lines of metrics that a lasting condition must hold for before it is told."""
GROUPS = "zero_variance"
"""A metric of those who learn from groups, as GRPO does."""
FEW = 10
"""The same for language models, whose updates are few and long, and for what is dropped."""
MANY = 10
"""Fragments dropped in so many lines that it is no accident."""
NEAR_ALL = 0.9
"""A share that is as good as all."""
NO_EPISODE_STEPS = 3_000
"""Steps a slot without any finished episode before that is told."""
REPEAT_AFTER = 100
"""Lines of metrics before a warning is said a second time; each repetition doubles the wait."""


def advise(history: Sequence[Record], *, slots: int = 1, replay_ratio: float | None = None) -> dict[str, str]:
    """What is wrong with a run, by a short name: a sentence each, with what to try.

    `history` is the run's first record followed by the most recent ones, oldest first. `slots` is how many
    environments were stepped at once, `replay_ratio` the one that was asked for (samples a step).
    """
    if not history:
        return {}
    found = {
        "not_finite": _not_finite(history),
        "entropy": _entropy(history),
        "explained_variance": _explained_variance(history),
        "approx_kl": _approx_kl(history),
        "grad_norm": _grad_norm(history),
        "replay_ratio": _replay_ratio(history, replay_ratio),
        "no_episode": _no_episode(history, slots),
        "dropped": _dropped(history),
        "kept": _kept(history),
        "invalid": _invalid(history),
        "truncated": _truncated(history),
        "zero_variance": _zero_variance(history),
        "one_answer": _one_answer(history),
        "ratio_max": _ratio_max(history),
    }
    return {name: text for name, text in found.items() if text}


class Adviser:
    """Follows a run record by record and says each warning once, then ever more rarely.

    `slots` and `replay_ratio` as in `advise`.
    """

    def __init__(self, *, slots: int = 1, replay_ratio: float | None = None) -> None:
        self.slots, self.replay_ratio = slots, replay_ratio
        self.first: Record | None = None
        self.recent: deque[Record] = deque(maxlen=WINDOW)
        self.lines = 0
        self.due: dict[str, int] = {}
        self.wait: dict[str, int] = {}

    def read(self, record: Record) -> list[str]:
        """The warnings to say after this line of metrics (mostly none)."""
        if self.first is None:
            self.first = record
        self.recent.append(record)
        self.lines += 1
        history = [self.first, *self.recent]
        return list(self._due(advise(history, slots=self.slots, replay_ratio=self.replay_ratio)))

    def _due(self, found: Mapping[str, str]) -> Iterator[str]:
        for name, text in found.items():
            if self.lines < self.due.get(name, 0):
                continue
            self.wait[name] = 2 * self.wait[name] if name in self.wait else REPEAT_AFTER
            self.due[name] = self.lines + self.wait[name]
            yield text


def not_finite(record: Record) -> list[str]:
    """Names of the learner's numbers that are NaN or infinite.

    What is merely unknown (a return before any episode ended, a variance of nothing) is not among them.
    """
    known = ("loss", "entropy", "approx_kl", "grad_norm", "q_mean")
    return [k for k, v in record.items() if k.endswith(known) and "/" not in k and not math.isfinite(v)]


def _not_finite(history: Sequence[Record]) -> str:
    names = not_finite(history[-1])
    if not names:
        return ""
    return (
        f"{', '.join(names)} is not a finite number, so what was learned in this update is worthless. "
        "Go on from the last good checkpoint with a lower agent.lr (a third of it), or with rewards clipped "
        "or scaled down."
    )


def _entropy(history: Sequence[Record]) -> str:
    recent, start = _lasting(history, "entropy"), history[0].get("entropy", 0.0)
    if GROUPS in history[-1] or not recent or min(recent) < 0 or max(recent) > min(0.02 * start, 0.02):
        return ""  # below zero is a density's entropy, whose size says nothing
    return (
        f"entropy collapsed to {recent[-1]:.1g} (it began at {start:.2g}): the policy no longer tries "
        "anything. Try a higher agent.entropy_coef (0.01 to 0.05) or a lower agent.lr."
    )


def _explained_variance(history: Sequence[Record]) -> str:
    recent = _lasting(history, "explained_variance")
    if not recent or max(recent) > 0:
        return ""
    return (
        f"explained_variance has been at most 0 for {len(recent)} lines of metrics (now {recent[-1]:.2g}): "
        "the value network predicts returns no better than a constant. Try smaller rewards (a weight, or "
        "clipping), a higher agent.value_coef or agent.lr, or a shorter horizon (agent.gamma)."
    )


def _approx_kl(history: Sequence[Record]) -> str:
    other = "fewer agent.minibatches" if GROUPS in history[-1] else "agent.target_kl=0.03"
    recent = _values(history, "approx_kl")[-5:]
    if len(recent) < 5 or fmean(recent) < 0.1:
        return ""
    return (
        f"approx_kl is {fmean(recent):.2g} an update (0.003 to 0.03 is usual): the policy moves too far on "
        f"old data. Try a lower agent.lr, fewer agent.epochs, or {other}."
    )


def _grad_norm(history: Sequence[Record]) -> str:
    norms = _values(history, "grad_norm")
    if len(norms) < 6:
        return ""
    usual, last = median(norms[:-1]), min(norms[-2:])
    if last < 10 or last < 50 * usual:
        return ""
    return (
        f"grad_norm is {last:.3g}, against {usual:.2g} before: the gradients explode. "
        "Try a lower agent.lr, a lower agent.max_grad_norm, or rewards clipped or scaled down."
    )


def _replay_ratio(history: Sequence[Record], wanted: float | None) -> str:
    begun = dropwhile(lambda r: "q_loss" not in r, history[1:])
    recent = _lasting([history[0], *begun], "replay_ratio")
    if not recent or not wanted or wanted / 1.5 < fmean(recent) < wanted * 1.5:
        return ""  # of many lines: a large batch is not due in every one
    return (
        f"replay_ratio is {fmean(recent):.3g} samples a step, but {wanted:.3g} was asked for: the learner "
        "does not get the updates that it should. Try a smaller agent.batch_size."
    )


def _no_episode(history: Sequence[Record], slots: int) -> str:
    last = history[-1]
    steps = last.get("env_steps", 0) / max(slots, 1)
    if last.get("episodes", 1) > 0 or steps < NO_EPISODE_STEPS:
        return ""
    return (
        f"no episode finished yet after {steps:,.0f} steps in each of {slots} environments, so there is no "
        "return to show. Some games are that long; otherwise check that the environment ends, or give it "
        "a time limit."
    )


def _dropped(history: Sequence[Record]) -> str:
    dropped = _lasting(history, "fleet/dropped", FEW)
    lately = dropped[-1] - dropped[0] if dropped else 0
    if lately < MANY or sum(b > a for a, b in pairwise(dropped)) < FEW // 2:
        return ""
    return (
        f"fleet/dropped grows ({lately:,.0f} fragments lately): the weights that played them were more than "
        "sampler.max_lag updates behind. Try a larger sampler.max_lag; fleet/worker_<place>/steps_per_second "
        "tells which worker is slow."
    )


# -- language models, and others that learn from groups ----------------------------------------------------


def _kept(history: Sequence[Record]) -> str:
    recent = _lasting(history, "kept", FEW)
    if not recent or max(recent) > 0:
        return ""
    return (
        "kept is 0: no episode was a success, so there is nothing to imitate. Try an easier env.level, an "
        "agent.expert that solves some, or begin with the weights of a run that does (init)."
    )


def _invalid(history: Sequence[Record]) -> str:
    share = max(history[-1].get("invalid", 0.0), history[-1].get("eval/invalid", 0.0))
    if not share > 0:
        return ""
    return (
        f"the verifier failed on {share:.1%} of the answers, from which nothing is learned. How it failed is "
        "in samples.jsonl where an evaluation met it; mend it, or give it more time (env.deadline)."
    )


def _truncated(history: Sequence[Record]) -> str:
    recent = _lasting(history, "truncated", FEW)
    if not recent or min(recent) < NEAR_ALL:
        return ""
    return (
        f"truncated is {recent[-1]:.0%}: hardly an answer is ever finished. Try more tokens (agent.max_new), "
        "and check in samples.jsonl that imitation taught the end of an answer."
    )


def _zero_variance(history: Sequence[Record]) -> str:
    recent, last = _lasting(history, GROUPS, FEW), history[-1]
    if not recent or min(recent) < NEAR_ALL:
        return ""
    start = (
        f"zero_variance is {recent[-1]:.0%}: tries at one problem are all worth the same and teach nothing. "
    )
    if last.get("all_wrong", 0.0) >= NEAR_ALL:
        return start + (
            "All are wrong, so it is too hard: an easier env.level, more imitation first (init), a larger "
            "agent.group_size, or a reward that gives credit for a part."
        )
    if last.get("all_right", 0.0) >= NEAR_ALL:
        return start + "All are right: it is learned. Go on with a harder env.level."
    return start + (
        "Some problems are always solved and others never: mix env.level, or take a larger agent.group_size "
        "or a higher agent.temperature."
    )


def _one_answer(history: Sequence[Record]) -> str:
    recent, last = _lasting(history, "entropy", FEW), history[-1]
    if GROUPS not in last or not recent or max(recent) > 0.01 or last.get("all_right", 0.0) >= NEAR_ALL:
        return ""
    return (
        f"entropy is {recent[-1]:.1g} nats a token: all tries at a problem are the same. Try a higher "
        "agent.temperature, an earlier checkpoint of imitation (init), or agent.entropy_coef=1e-3."
    )


def _ratio_max(history: Sequence[Record]) -> str:
    recent = _values(history, "ratio_max")[-5:]
    if len(recent) < 5 or median(recent) < 10:
        return ""
    return (
        f"ratio_max is {median(recent):.3g} (below 10 is usual): some token's probability ran away in an "
        "update. Try a lower agent.lr, agent.epochs=1, or agent.clip.dual=3."
    )


def _values(history: Sequence[Record], name: str) -> list[float]:
    """The recent finite values of one metric, oldest first (the run's first record left out)."""
    return [r[name] for r in history[1:] if name in r and math.isfinite(r[name])]


def _lasting(history: Sequence[Record], name: str, lines: int = WINDOW) -> list[float]:
    """The metric's last values, of so many lines, or nothing where there are not yet so many."""
    values = _values(history, name)[-lines:]
    return values if len(values) == lines else []
