"""The text maze: every walk, a solver with a memory, and 128 turns of a language model."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch

import envs
from envs.text import load
from envs.text.check import check_task
from envs.text.deal import Entry
from envs.text.dialogues.maze import LEVELS
from envs.text.episode import Episode, let_solve
from envs.text.parsing import write
from envs.text.task import DIRECT
from envs.text.verifiers import Verifiers
from llm_rl.policy import LanguagePolicy
from llm_rl.solver import Solver
from rollouts.sampler import Sampler

NAME = "TextMaze"
WAYS = {"n": (0, -1), "e": (1, 0), "s": (0, 1), "w": (-1, 0)}


class Maze:
    """A maze as sets of cells (column, row), written apart from the family."""

    def __init__(self, question):
        columns, rows, start, goal, _, (opened, door, key) = question.data
        at = [(cell % columns, cell // columns) for cell in range(columns * rows)]
        self.cells, self.start, self.goal = set(at), at[start], at[goal]
        self.key = at[key] if door else None
        self.door = {at[cell] for cell in door}
        self.open = {
            (at[cell], way)
            for cell in range(columns * rows)
            for i, way in enumerate("nesw")
            if opened[cell] >> i & 1
        }

    def beyond(self, cell, way):
        return cell[0] + WAYS[way][0], cell[1] + WAYS[way][1]

    def exits(self, cell, has_key):
        ways = [way for way in "nesw" if (cell, way) in self.open]
        locked = [not has_key and {cell, self.beyond(cell, way)} == self.door for way in ways]
        return "".join(way.upper() if shut else way for way, shut in zip(ways, locked))

    def walk(self, cell, has_key, walk):
        """(where it ends, whether one has the key, what is told)."""
        told, found = [], False
        for way in walk:
            exits = self.exits(cell, has_key)
            if way not in exits:
                told = ["locked" if way.upper() in exits else "wall"]
                break
            cell = self.beyond(cell, way)
            found |= cell == self.key and not has_key
            has_key |= cell == self.key
            if cell == self.goal:
                break
        return cell, has_key, " ".join([*(["key"] if found else []), *told, self.exits(cell, has_key)])

    def shortest(self):
        """Steps to the goal, of all walks there are."""
        queue, seen = deque([(self.start, False, 0)]), {(self.start, False)}
        while queue:
            cell, has_key, steps = queue.popleft()
            if cell == self.goal:
                return steps
            for way in filter(str.islower, self.exits(cell, has_key)):
                there = self.beyond(cell, way)
                state = there, has_key or there == self.key
                if state not in seen:
                    seen.add(state)
                    queue.append((*state, steps + 1))
        raise AssertionError("no way to the goal")


def questions(count=20, seed=0):
    task = load(NAME)
    for level in range(1, task.levels + 1):
        rng = np.random.default_rng([seed, level])
        yield from (task.generate(rng, level) for _ in range(count))


def solve(question, strategy=None):
    task = load(NAME)
    verifiers = Verifiers({NAME: (task, {})}, deadline=0)
    return let_solve(Episode(Entry(NAME, task, 1, {}), question, question.prompt), verifiers, strategy)


def right_walk(answer, question):
    """Whether a walk gets to the goal, by the map: it may go on from there, or bump into a wall."""
    maze, walk = Maze(question), answer.strip()
    return {*walk} <= {*WAYS} and maze.walk(maze.start, False, walk)[0] == maze.goal


def test_it_holds_to_the_contract():
    check_task(load(NAME), problems=14, right=right_walk)


def test_a_maze_has_one_way_between_any_two_cells_and_a_key_before_its_door():
    for question in questions():
        maze, size = Maze(question), LEVELS[question.level - 1]
        assert len(maze.cells) == size.columns * size.rows
        assert all(maze.beyond(cell, way) in maze.cells for cell, way in maze.open)
        assert all((maze.beyond(c, w), "swne"["nesw".index(w)]) in maze.open for c, w in maze.open)
        assert len(maze.open) == 2 * (len(maze.cells) - 1)

        def reach(barred, maze=maze):
            found, queue = {maze.start}, [maze.start]
            for cell in queue:
                there = [maze.beyond(cell, w) for w in "nesw" if (cell, w) in maze.open]
                new = [t for t in there if t not in found and {cell, t} != barred]
                found |= {*new}
                queue += new
            return found

        assert reach(None) == maze.cells
        assert bool(maze.door) == size.door == (maze.key is not None)
        if size.door:
            before = reach(maze.door)
            assert maze.key in before
            assert maze.goal not in before
            assert maze.key != maze.start


def test_walks_are_told_as_on_the_map():
    task, rng = load(NAME), np.random.default_rng(1)
    words = set()
    for question in questions(8):
        maze = Maze(question)
        assert question.prompt.endswith(f" {maze.exits(maze.start, False)}")
        cell, has_key, said = maze.start, False, []
        while cell != maze.goal and len(said) < 40:
            ways = list("nesw") if rng.random() < 0.3 else list(maze.exits(cell, has_key).lower())
            walk = "".join(rng.choice(ways, size=1 + rng.integers(3)).tolist())
            said.append(write(walk))
            cell, has_key, told = maze.walk(cell, has_key, walk)
            assert task.reply(question, said) == (None if cell == maze.goal else told)
            words |= {*told.split()[:-1]}
    assert words == {"wall", "locked", "key"}


@pytest.mark.parametrize("walk", ["", "N", "north", "n e", "n,e", "x", "n!n", "4", "nn?", "n" * 5000])
def test_what_is_no_walk_moves_nobody(walk):
    task, question = load(NAME), next(questions(1))
    said = [write(walk)] if walk.strip() != "n" else ["n"]
    assert task.reply(question, said) == "invalid"
    verdict = task.judge(question, said)
    assert (verdict.parsed, verdict.success, verdict.parts["bumps"]) == (False, False, 1)
    assert task.judge(question, [*said, write(task.answer(question))]).success


def test_the_answer_is_the_shortest_walk():
    task = load(NAME)
    for question in questions():
        assert len(task.answer(question)) == Maze(question).shortest()
        assert task.chance(question) == 0.25 ** len(task.answer(question))
        assert task.check(task.answer(question)[:-1], question).success is False


def test_the_solver_gets_there_within_the_turns_and_looks_at_no_cell_twice():
    for question in questions(5):
        for strategy, thinks in ((None, 1.0), (DIRECT, 0.0)):
            episode = solve(question, strategy)
            verdict = episode.turns[-1].verdict
            assert verdict.success
            assert verdict.parts == {"bumps": 0, "steps": thinks, "proved": thinks}
            assert len(episode.said) < len(Maze(question).cells)
        cell, ends = Maze(question).start, []
        for text in solve(question).said:
            walk = text.partition("<answer>")[2].removesuffix("</answer>")
            for way in walk:
                cell = Maze(question).beyond(cell, way)
            ends.append(cell)
        assert len(set(ends)) == len(ends)


def test_the_solver_knows_what_it_heard_only():
    task = load(NAME)
    known = task.understand("maze:4x4 b3-d1 ns")
    assert known.data[-1] is None
    assert task.script(known, [], []) == "<think>b3</think><answer>n</answer>"
    said, heard = [write("n")], ["es"]
    assert task.script(known, said, heard) == "<think>b2</think><answer>e</answer>"
    said, heard = [*said, write("e")], [*heard, "w"]
    assert task.script(known, said, heard) == "<think>c2</think><answer>wss</answer>"  # back from a dead end
    assert task.script(known, ["?", "x"], ["invalid", "maze:4x4"])  # whatever it hears
    locked = task.understand("maze:4x4 b3-d1 nS")
    assert task.script(locked, [], [], DIRECT) == write("n")
    assert task.script(locked, [write("n")], ["s"], DIRECT) == write("n")  # nothing is left to try
    assert task.script(locked, [write("n")], ["key s"], DIRECT) == write("ss")


def test_steps_say_where_one_stands():
    task = load(NAME)
    question = next(q for q in questions() if len(task.answer(q)) == 3)
    columns, _, start, *_ = question.data
    right = "abcd"[start % columns] + str(start // columns + 1)
    walk = task.answer(question)
    verdict = task.judge(question, [write(walk[0], right), write(walk[1:], right)])
    assert verdict.success
    assert verdict.parts["steps"] == 0.5  # it stands elsewhere by then
    assert not task.judge(question, []).success


OTHER = ["maze:4x4 b3-b3 n", "maze:4x4 e3-b2 n", "maze:4x4 b5-b2 n", "maze:4x4 b3-d1 ", "maze:4x4 b3-d1 en"]
OTHER += ["maze:04x4 b3-d1 n", "maze:16x9 b3-d1 n", "maze:17x2 b1-d1 n", "maze:4x4 B3-d1 n", "4x4 b3-d1 n"]


@pytest.mark.parametrize("prompt", [*OTHER, "maze:4x4 b3-d1 n ", "maze:", "maze:٤x4 b3-d1 n"])
def test_other_texts_ask_for_no_walk(prompt):
    with pytest.raises(ValueError, match="asks for no walk"):
        load(NAME).understand(prompt)


# -- long episodes, and the language model's side of them ----------------------------------------------------


def longest(context, max_new, n=2):
    """An environment of 128 turns, and a fresh model for it."""
    env = envs.make("text/TextMaze-v0", n=n, level=len(LEVELS))
    spaces = env.single_observation_space, env.single_action_space
    model = {"size": "XS", "context": context}
    return env, LanguagePolicy(*spaces, model=model, max_new=max_new, temperature=2.0)


def test_of_128_turns_every_token_is_there_once_and_marked_by_who_wrote_it():
    env, policy = longest(context=2048, max_new=2, n=1)
    rollout = Sampler(env, seed=1).collect(policy, episodes=1)
    assert rollout.valid.sum(axis=0).tolist() == [128]
    assert rollout.truncated[-1].all()
    assert not rollout.terminated.any()
    found = policy.sequences(rollout)
    assert found.truncated.all()
    tokenizer, whole, written = policy.tokenizer, [policy.tokenizer.bos], [False]
    for turn in range(128):
        count = rollout.fields["token_count"][turn, 0]
        own = rollout.fields["token_mask"][turn, 0][:count]
        said = rollout.fields["tokens"][turn, 0][:count][own]
        assert tokenizer.decode(said) == rollout.actions[turn, 0]
        heard = tokenizer.encode_batch([rollout.obs[turn, 0]])[0]
        whole += [*heard, *said]
        written += [False] * len(heard) + [True] * len(said)
    assert found.tokens[0, : found.lengths[0]].tolist() == whole
    assert found.mask[0, : found.lengths[0]].tolist() == written
    assert not found.old_log_prob[~found.mask].any()
    with torch.no_grad():  # the network finds them as likely in one pass as they were when they were written
        log_prob = policy.score(rollout, found).log_prob
    np.testing.assert_allclose(log_prob.numpy(), found.old_log_prob[found.mask], atol=1e-3)


def test_a_context_that_is_full_says_no_more_and_the_turns_run_out():
    env, policy = longest(context=200, max_new=3)
    rollout = Sampler(env, seed=1).collect(policy, episodes=2)
    assert rollout.valid.sum(axis=0).tolist() == [128, 128]
    assert rollout.truncated[-1].all()
    assert not rollout.terminated.any()
    found = policy.sequences(rollout)
    assert (found.lengths <= 200).all()
    assert found.truncated.all()
    for slot in range(2):
        wrote = rollout.fields["token_mask"][:, slot].any(axis=1)
        silent = int(np.argmin(wrote))
        assert 0 < silent < 128
        assert not wrote[silent:].any()
        assert rollout.fields["cut"][silent:, slot].all()
        assert set(rollout.actions[silent:, slot]) == {""}


def test_a_solvers_long_episodes_are_read_as_a_model_would_have_written_them():
    env, policy = longest(context=4096, max_new=8)
    rollout = Sampler(env, seed=2).collect(
        Solver(env.single_observation_space, env.single_action_space), episodes=2
    )
    assert rollout.terminated.any(axis=0).all()
    assert not rollout.truncated.any()
    found, tokenizer = policy.sequences(rollout), policy.tokenizer
    assert not found.truncated.any()
    for row, slot in zip(range(2), np.argsort(rollout.episode[0])):
        turns = int(rollout.valid[:, slot].sum())
        assert turns > 20
        texts = "".join(o + a for o, a in zip(rollout.obs[:turns, slot], rollout.actions[:turns, slot]))
        assert tokenizer.decode(found.tokens[row, : found.lengths[row]]) == texts
        assert tokenizer.decode(found.tokens[row][found.mask[row]]) == "".join(rollout.actions[:turns, slot])
        ends = found.tokens[row][found.mask[row]] == tokenizer.eos
        assert ends.sum() == turns
