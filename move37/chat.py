"""A person and a language model: any prompt, or a problem whose answer the environment judges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from envs.text.batch import TextBatch
from envs.text.deal import Entry
from envs.text.episode import Episode, speak
from envs.text.parsing import read
from envs.text.spaces import understand
from envs.text.task import Dialogue
from move37.build import eval_options, set_threads
from move37.errors import UserError
from move37.run import Run
from move37.samples import Sample, as_sample, deal
from move37.terminal import Prompt, printable
from rollouts.agent import Agent
from rollouts.problems import Uniform, seeds_from
from rollouts.seat import Seat

BREAK = "\\n"
"""What a person types for a line break."""


class Chat:
    """Asks `agent` things, each `tries` times, and has `env`, a text environment, judge what it can.

    `seed` names the problems of the environment, and all chance.
    """

    def __init__(
        self, agent: Agent, env: TextBatch, *, explore: bool = False, tries: int = 1, seed: int = 0
    ) -> None:
        self.agent, self.env, self.explore, self.tries, self.seed = agent, env, explore, tries, seed
        self.problems = Uniform(seed)
        self.asked = 0
        self.heard: list[Sample] = []
        """All that was said, as plain data; of a prompt that is no problem there is no verdict."""

    def problem(self) -> list[Episode]:
        """The next problem of the environment, to be tried."""
        seed = self.problems.take(1)[0].seed
        return [deal(self.env, seed) for _ in range(self.tries)]

    def typed(self, prompt: str) -> list[Episode]:
        """The problem that a prompt asks, to be tried; nothing where it is none.

        A dialogue is none either: its environment knows what its prompt does not tell.
        """
        families = self.env.dealer.families
        try:
            name, question = understand({name: task for name, (task, _) in families.items()}, prompt)
        except ValueError:
            return []
        task, options = families[name]
        if isinstance(task, Dialogue):
            return []
        entry, opening = Entry(name, task, question.level, options), self.env.dealer.opening(task, question)
        return [Episode(entry, question, opening) for _ in range(self.tries)]

    def play(self, episodes: list[Episode]) -> None:
        """Have the agent speak in every episode until it is over (`ValueError` where it cannot)."""
        n, rng = len(episodes), self._rng()
        seat, told = Seat(n, 1), [episode.opening for episode in episodes]
        while slots := [i for i, episode in enumerate(episodes) if not episode.over]:
            where = np.array(slots)
            said = seat.decide(self.agent, tuple(told), rng, where, np.zeros(n, np.int64), self.explore)
            turns = speak([episodes[i] for i in slots], said.actions, self.env.verifiers)
            for i, turn in zip(slots, turns):
                told[i] = turn.told
        self.heard += map(as_sample, episodes)

    def complete(self, prompt: str) -> list[str]:
        """What the agent answers to any text (`ValueError` for one that it cannot read)."""
        texts, first = (prompt,) * self.tries, np.ones(self.tries, bool)
        said = self.agent.act(texts, rng=self._rng(), first=first, explore=self.explore).actions
        nothing = dict.fromkeys(("family", "level", "reward", "success", "error"))
        self.heard += [{**nothing, "problem": prompt, "completions": [s], "replies": []} for s in said]
        return list(said)

    def _rng(self) -> np.ndarray:
        self.asked += 1
        return seeds_from([self.seed, 1, self.asked], self.tries).astype(np.uint64)


def chat_of(
    run: Run, checkpoint: str = "last", *, explore: bool | None = None, tries: int = 1, seed: int = 0
) -> Chat:
    """A chat with the agent of a run, on problems as its evaluations have them.

    Several tries are drawn as in training unless `explore` says else: the likeliest answer is always the
    same. Raises `UserError` for a run of no text task.
    """
    set_threads(run.config.threads)
    env = run.make_env(1, **eval_options(run.config))
    if not isinstance(env, TextBatch):
        env.close()
        said = "its policy is no language model to chat with"
        raise UserError(f"{run.path}: plays {run.config.env.id}, which is no text task: {said}")
    if explore is None and tries > 1:
        explore = True
    agent = run.agent_at(checkpoint)
    return Chat(agent, env, explore=run.explores(explore), tries=tries, seed=seed)


def converse(chat: Chat, terminal: Prompt) -> None:
    """Answer what is typed, line by line, until the end of the input."""
    with closing(chat.env):
        example = printable(deal(chat.env, chat.seed).opening.replace("\n", BREAK))
        terminal.say(f"Type a prompt, such as {example}")
        terminal.say(f"({BREAK} is a line break). An empty line is a new problem, Ctrl-D ends.")
        for line in terminal.lines("prompt: "):
            try:
                for text in answer(chat, line.replace(BREAK, "\n")):
                    terminal.say(printable(text))
            except ValueError as error:
                terminal.say(printable(f"this cannot be answered: {error}"))
        if terminal.live:
            terminal.say("")


def answer(chat: Chat, prompt: str) -> Iterator[str]:
    """What to say to a prompt, in texts of some lines each; to an empty one a problem, and how it goes."""
    episodes = chat.typed(prompt) if prompt else chat.problem()
    if not episodes:
        yield from map(_spoken, chat.complete(prompt))
        yield "  (not judged)"
        return
    if not prompt:
        yield f"{episodes[0].entry.label}: {episodes[0].opening}"
    chat.play(episodes)
    yield from (told(episode, gold=not prompt) for episode in episodes)
    if len(episodes) > 1:
        right = sum(sample["success"] for sample in chat.heard[-len(episodes) :])
        yield f"{right} of {len(episodes)} right"


def told(episode: Episode, gold: bool) -> str:
    """What was said in an episode after its opening, and the verdict; `gold`: with a right answer."""
    lines = []
    for said, turn in zip(episode.said, episode.turns):
        lines += [_spoken(said), *([turn.told] if turn.told else [])]
    verdict = episode.turns[-1].verdict
    assert verdict is not None
    if verdict.success:
        return "\n".join([*lines, "  right"])
    found = read(episode.said[-1]).answer
    wrong = [f"  wrong: {verdict.error or 'no success'}"]
    if found is not None:
        wrong.append(f"the answer read is {found!r}")
    if gold:
        wrong.append(f"right is {episode.entry.task.answer(episode.question)!r}")
    if verdict.reward:
        wrong.append(f"the reward is {verdict.reward:g} all the same")
    return "\n".join([*lines, "; ".join(wrong)])


def _spoken(text: str) -> str:
    """What the agent said, marked as such."""
    return "> " + (text.replace("\n", "\n  ") or "(nothing)")
