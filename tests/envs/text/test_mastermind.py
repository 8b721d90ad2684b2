"""Mastermind: every reply, and solvers that know what they were told and nothing else."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

import envs
from envs.text import load
from envs.text.check import check_task
from envs.text.dialogues.mastermind import LEVELS, TURNS, feedback
from envs.text.parsing import write
from envs.text.split import SPLITS, draw
from envs.text.task import DIRECT

NAME = "Mastermind"


def secret(pegs, colours, code):
    task = load(NAME)
    known = task.understand(f"mastermind:{pegs} {colours}")
    assert known.data == (pegs, colours, None)
    return task, known, type(known)(known.prompt, (pegs, colours, code), known.key, 1)


def play(pegs, colours, code, strategy=None):
    """What a solver says, which has read the prompt only, and what it hears."""
    task, known, question = secret(pegs, colours, code)
    said, heard = [], []
    while True:
        said.append(task.script(known, said, heard, strategy))
        reply = task.reply(question, said)
        if reply is None:
            return task.judge(question, said), said, heard
        heard.append(reply)


def by_taking_pegs_away(guess, code):
    """Black and white as at the board: pegs that are in place go first, then each finds one like it."""
    rest = [(a, b) for a, b in zip(guess, code) if a != b]
    black, left, white = len(code) - len(rest), [b for _, b in rest], 0
    for a, _ in rest:
        if a in left:
            left.remove(a)
            white += 1
    return black, white


def test_it_holds_to_the_contract():
    check_task(load(NAME), problems=60)


def test_pegs_are_told_as_at_the_board():
    for guess, code in itertools.product(itertools.product("abc", repeat=4), repeat=2):
        assert feedback("".join(guess), "".join(code)) == by_taking_pegs_away(guess, code)


def test_a_guess_is_answered_by_its_pegs():
    task, _, question = secret(4, "abcdef", "aabc")
    for guess, told in (("abca", "1b3w"), ("ffff", "0b0w"), ("aaaa", "2b0w"), ("caab", "1b3w")):
        assert task.reply(question, [write(guess)]) == told
    assert task.reply(question, [write("aabc")]) is None


WRONG = ["aabc", "<answer>aab</answer>", "<answer>aabcc</answer>", "<answer>aabg</answer>"]
WRONG += ["<answer>AABC</answer>", "<answer>a a b c</answer>", "<answer>aabc</answer><answer>aaaa</answer>"]
WRONG += ["", "<think><answer>aabc</answer></think>", "<answer>2b2w</answer>", "<answer></answer>"]


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_code_is_told_so(said):
    task, _, question = secret(4, "abcdef", "aabc")
    assert task.reply(question, [said]) == "invalid"
    verdict = task.judge(question, [said])
    assert (verdict.parsed, verdict.success, verdict.reward) == (False, False, 0)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("strategy", ["consistent", "minimax"])
def test_every_code_is_found_within_the_turns(level, strategy):
    pegs, count = LEVELS[level - 1]
    colours = "bdfhjlnp"[:count]
    codes = list(itertools.product(colours, repeat=pegs))
    for code in codes[:: (1, 1, 7, 31)[level - 1]]:
        verdict, said, _ = play(pegs, colours, "".join(code), strategy)
        assert verdict.success
        assert verdict.parts == {"consistent": 1, "steps": 1, "proved": 1}
        assert len(said) <= TURNS[pegs]


@pytest.mark.slow
def test_really_every_code_is_found_within_the_turns():
    """All codes at once: those that were answered alike so far are asked the same next."""
    for level, strategy in itertools.product((3, 4, 5), ("consistent", "minimax")):
        pegs, count = LEVELS[level - 1]
        task, known, _ = secret(pegs, "bdfhjlnp"[:count], "")
        todo, found = [(list(map("".join, itertools.product(known.data[1], repeat=pegs))), [], [])], 0
        while todo:
            codes, said, heard = todo.pop()
            said = [*said, task.script(known, said, heard, strategy)]
            assert len(said) <= TURNS[pegs]
            guess, alike = said[-1].partition("<answer>")[2][:pegs], {}
            for code in codes:
                alike.setdefault(feedback(guess, code), []).append(code)
            found += len(alike.pop((pegs, 0), []))
            todo += [(left, said, [*heard, f"{b}b{w}w"]) for (b, w), left in alike.items()]
        assert found == count**pegs


def test_the_solver_guesses_the_first_code_that_agrees():
    for code in map("".join, itertools.product("abcd", repeat=3)):
        _, said, heard = play(3, "abcd", code)
        told: list[tuple[str, tuple[int, int]]] = []
        for text in said:
            agree = (
                "".join(each)
                for each in itertools.product("abcd", repeat=3)
                if all(by_taking_pegs_away(old, each) == pegs for old, pegs in told)
            )
            guess = next(agree)
            assert text.endswith(write(guess))
            told.append((guess, by_taking_pegs_away(guess, code)))
        assert heard == [f"{b}b{w}w" for _, (b, w) in told[:-1]]


def test_minimax_leaves_the_fewest_in_the_worst_case():
    task, known, _ = secret(3, "abcd", "aaa")
    codes = list(map("".join, itertools.product("abcd", repeat=3)))

    def worst(guess, left):
        return max(Counter(by_taking_pegs_away(guess, code) for code in left).values())

    for told in (None, "0b1w", "1b0w", "1b1w"):
        said, heard, left = [], [], codes
        if told:
            said, heard = [write("aab")], [told]
            left = [c for c in codes if "{}b{}w".format(*by_taking_pegs_away("aab", c)) == told]
        guess = task.script(known, said, heard, "minimax")[-len("</answer>") - 3 : -len("</answer>")]
        assert guess in left
        assert worst(guess, left) == min(worst(other, left) for other in left)


def test_the_solver_knows_the_prompt_only():
    first = {secret(3, "abcd", code)[0].script(secret(3, "abcd", code)[2], [], []) for code in ("aaa", "dcb")}
    assert first == {"<think>none</think><answer>aaa</answer>"}
    task, known, _ = secret(3, "abcd", "aaa")
    assert task.script(known, ["nonsense"], ["invalid"], DIRECT) == write("aaa")
    assert task.script(known, [write("aaa")] * 3, ["0b0w", "9b9w", "?"], DIRECT)  # what cannot be true


def test_steps_hold_a_guess_against_those_before():
    task, _, question = secret(3, "abcd", "bca")
    said = [write("aab", "none"), write("bba", "aab 0b2w"), write("bca", "aab 0b2w\nbba 2b0w")]
    assert [task.reply(question, said[: i + 1]) for i in range(3)] == ["0b2w", "2b0w", None]
    verdict = task.judge(question, said)
    assert verdict.success
    assert verdict.parts == {"consistent": 1.0, "steps": 1.0, "proved": 1.0}
    said = [write("aab", "none"), write("ccc", "aab 0b0w"), "?", write("bca", "aab 0b2w")]
    verdict = task.judge(question, said)
    assert verdict.success
    assert verdict.parts == {"consistent": 0.5, "steps": 0.5, "proved": 0.0}  # ccc disagrees, ? is none
    assert not task.judge(question, [write("bca"), write("bcd")]).success
    assert not task.judge(question, []).success


def test_chance_is_the_share_of_all_ways_to_guess():
    task, _, question = secret(1, "ab", "b")
    assert task.limit(question) == 10
    ways = list(itertools.product("ab", repeat=10))
    found = sum(any(task.reply(question, [write(guess)]) is None for guess in way) for way in ways)
    assert task.chance(question) == pytest.approx(found / len(ways), abs=1e-12)


def test_the_secret_is_no_part_of_the_problem():
    task, rng = load(NAME), np.random.default_rng(0)
    train, test = ([draw(task, NAME, rng, 1, split) for _ in range(2000)] for split in SPLITS)
    assert not {q.prompt for q in train} & {q.prompt for q in test}
    secrets: dict[str, set[str]] = {}
    for question in test:
        secrets.setdefault(question.key, set()).add(question.data[2])
    assert max(map(len, secrets.values())) > 1
    assert {len(set(q.data[1])) for q in train} == {4}


OTHER = ["mastermind:3 abca", "mastermind:3 ba", "mastermind:0 abc", "mastermind:3 a", "mastermind:03 abc"]
OTHER += ["mastermind:9 abcdef", "mastermind:3 ab ", "3 abcd", "mastermind:3"]


@pytest.mark.parametrize("prompt", OTHER)
def test_other_texts_ask_for_no_code(prompt):
    with pytest.raises(ValueError, match=r"asks for no code|has more than"):
        load(NAME).understand(prompt)


def test_turns_differ_by_level():
    env = envs.make("text/Mastermind-v0", n=2, level=[1, 5])
    env.reset(seed=[0, 1], options={"slots": [{"level": 1}, {"level": 5}]})
    assert env.single_action_space.turns == 16
    ends = []
    for turn in range(16):
        _, _, terminated, truncated, _ = env.step(("?", "?"))
        assert not terminated.any()
        ends += [(turn + 1, slot) for slot in np.flatnonzero(truncated).tolist()]
    assert ends == [(10, 0), (16, 1)]
