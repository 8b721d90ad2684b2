"""Problems being worked on: who said what, and what it is worth in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from envs.text.deal import Dealer, Entry, Menu
from envs.text.guard import Fault
from envs.text.noise import Judge
from envs.text.task import DIRECT, Dialogue, Question, Verdict
from envs.text.verifiers import Verifiers

PARTS = ("success", "parsed", "error", "steps", "proved")
"""What every family's environment tells of an episode that ended; `error` is 1 where the verifier failed, so
that the sample is worth nothing, neither as right nor as wrong."""


@dataclass(frozen=True)
class Turn:
    """What came of something that was said."""

    told: str
    """What is new to the agent: the reply, or nothing where the episode is over."""
    terminated: bool = False
    truncated: bool = False
    """The turns are used up."""
    verdict: Verdict | None = None
    """Where the episode is over."""
    failed: bool = False
    """The verifier did."""

    @property
    def reward(self) -> float:
        """The verdict's, at the end."""
        return self.verdict.reward if self.verdict else 0.0

    def part(self, name: str) -> float:
        """A part by its name."""
        if self.verdict is None:
            return 0.0
        if name == "error":
            return float(self.failed)
        if name in ("success", "parsed"):
            return float(getattr(self.verdict, name))
        return float(self.verdict.parts.get(name, 0.0))


@dataclass
class Episode:
    """A problem and what was said about it so far."""

    entry: Entry
    question: Question
    opening: str
    """What the agent reads first."""
    judge: Judge | None = None
    """Who turns some verdicts round, where verifiers err."""
    said: list[str] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    """What came of each that was said."""

    @property
    def over(self) -> bool:
        """Whether nothing more can be said."""
        return bool(self.turns) and self.turns[-1].verdict is not None

    def transcript(self) -> str:
        """For people: all that was said, and the verdict."""
        lines = [self.opening]
        for said, turn in zip(self.said, self.turns):
            lines += [f"> {said}", *([turn.told] if turn.told else [])]
            if turn.verdict is not None:
                mark = "right" if turn.verdict.success else f"wrong: {turn.verdict.error or 'no success'}"
                lines.append(f"({mark}; reward {turn.verdict.reward:g})")
        return "\n".join(lines)


def begin(dealer: Dealer, rng: np.random.Generator, menu: Menu, judge: Judge | None = None) -> Episode:
    """A generator's next problem, about which nothing was said yet."""
    entry, question = dealer.deal(rng, menu)
    return Episode(entry, question, dealer.opening(entry.task, question), judge)


def speak(episodes: Sequence[Episode], texts: Sequence[str], verifiers: Verifiers) -> list[Turn]:
    """Say a text in each episode, none of which is over, and hear what comes of it."""
    for episode, text in zip(episodes, texts, strict=True):
        episode.said.append(text)
    talks = [isinstance(episode.entry.task, Dialogue) for episode in episodes]
    replies = _ask(verifiers, "reply", episodes, [i for i, talk in enumerate(talks) if talk])
    ended = [i for i, episode in enumerate(episodes) if _is_end(episode, replies.get(i))]
    verdicts = _ask(verifiers, "judge", episodes, [i for i in ended if talks[i]])
    verdicts |= _ask(verifiers, "verify", episodes, [i for i in ended if not talks[i]])
    for i, episode in enumerate(episodes):
        verdict = verdicts.get(i)
        if episode.judge is not None and isinstance(verdict, Verdict):
            verdict = episode.judge(verdict)
        episode.turns.append(_turn(replies.get(i), verdict))
    return [episode.turns[-1] for episode in episodes]


def let_solve(episode: Episode, verifiers: Verifiers, strategy: str | None = None) -> Episode:
    """Have the family's solver speak until the episode is over; it knows what it was told, and no more."""
    task, known = episode.entry.task, episode.entry.task.understand(episode.question.prompt)
    while not episode.over:
        if isinstance(task, Dialogue):
            heard = tuple(turn.told for turn in episode.turns)
            said = task.script(known, tuple(episode.said), heard, strategy)
        else:
            said = task.completion(known, strategy)
        speak([episode], [said], verifiers)
    return episode


def own_parts(entry: Entry, verifiers: Verifiers) -> tuple[str, ...]:
    """The parts that a family's verdicts have beside `PARTS`, as its verdict on an answer of its own says."""
    task = entry.task
    question = task.generate(np.random.default_rng(0), entry.level)
    answer = task.completion(question, DIRECT)
    if isinstance(task, Dialogue):
        (found,) = verifiers.call(entry.name, "judge", [(question, (answer,))])
    else:
        (found,) = verifiers.call(entry.name, "verify", [(answer, question)])
    return () if isinstance(found, Fault) else tuple(name for name in found.parts if name not in PARTS)


def plain_verdict(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    return {
        "reward": float(verdict.reward),
        "success": bool(verdict.success),
        "parsed": bool(verdict.parsed),
        "error": verdict.error,
        "parts": {name: float(value) for name, value in verdict.parts.items()},
    }


def _is_end(episode: Episode, reply: Any) -> bool:
    """Whether there is something to judge: nothing was replied, or the turns are used up."""
    task = episode.entry.task
    late = not isinstance(task, Dialogue) or len(episode.said) >= task.limit(episode.question)
    return reply is None or (late and not isinstance(reply, Fault))


def _turn(reply: Any, verdict: Any) -> Turn:
    """What came of it, from the reply and the verdict, where there are any."""
    for found in (reply, verdict):
        if isinstance(found, Fault):
            said = f"the verifier failed: {found.error}"
            return Turn("", True, verdict=Verdict(0.0, False, False, said), failed=True)
    if reply is None:
        return Turn("", True, verdict=verdict)
    return Turn(reply, truncated=verdict is not None, verdict=verdict)


def _ask(
    verifiers: Verifiers, method: str, episodes: Sequence[Episode], which: Sequence[int]
) -> dict[int, Any]:
    """What the families of these episodes say, by the episode's place; each family is called once."""
    places: dict[str, list[int]] = {}
    for i in which:
        places.setdefault(episodes[i].entry.name, []).append(i)
    found: dict[int, Any] = {}
    for name, these in places.items():
        asked = [episodes[i] for i in these]
        if method == "verify":
            calls: list[tuple[Any, ...]] = [(e.said[-1], e.question) for e in asked]
        else:
            calls = [(e.question, tuple(e.said)) for e in asked]
        found |= dict(zip(these, verifiers.call(name, method, calls), strict=True))
    return found
