"""Text tasks as environments: one template for all families, and the faces that are the same for all."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
import warnings
from hashlib import sha256

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import envs
from envs.options import OptionError
from envs.text import ABOUT, NAMES, OUTSIDE, PATHS, load
from envs.text.check import Judge, check_task, mutate, same
from envs.text.parsing import write
from envs.text.spaces import TextSpace, understand
from envs.text.split import bucket, check_size, draw, side
from envs.text.task import DIRECT, Dialogue
from rollouts.agent import Agent, Decision
from rollouts.problems import Listed, Problem
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.envs.text import test_arc as arc
from tests.envs.text import test_code_tasks as code
from tests.envs.text import test_countdown as countdown
from tests.envs.text import test_crossword as crossword
from tests.envs.text import test_geometry as geometry
from tests.envs.text import test_logic_tasks as logic
from tests.envs.text import test_puzzles as puzzles
from tests.envs.text import test_puzzles_numbers as figures
from tests.envs.text import test_text_maze as text_maze
from tests.envs.text import test_writing as writing
from tests.envs.text import toy_tasks
from tests.envs.text.toy_tasks import FLAWS, Double, Endless, Guess

TOYS = "tests.envs.text.toy_tasks"
DOUBLE, CRASHING, GUESS = f"{TOYS}:Double", f"{TOYS}:Crashing", f"{TOYS}:Guess"
ID = "text/Addition-v0"


def solve(env, obs):
    """What the solver says to prompts of families of one turn."""
    tasks = env.single_observation_space.tasks()
    return tuple(tasks[name].completion(question) for name, question in (understand(tasks, o) for o in obs))


# -- the template ------------------------------------------------------------------------------------------


JUDGES: dict[str, tuple[Judge, Judge | None]] = {
    "Countdown": (countdown.right_answer, countdown.right_steps),
    "KnightsAndKnaves": (logic.right_kinds, logic.right_argument),
    "Sudoku": (logic.right_grid, logic.right_filling),
    "Proof": (logic.right_derivation, logic.right_plan),
    "Equations": (figures.right_values, figures.right_elimination),
    "Sequences": (figures.right_terms, figures.right_rule),
    "Satisfiability": (puzzles.right_values, puzzles.right_argument),
    "Coloring": (puzzles.right_colours, puzzles.right_colour_argument),
    "ShortestPath": (puzzles.right_path, puzzles.right_settling),
    "Maze": (puzzles.right_way, puzzles.right_track),
    "Hanoi": (puzzles.right_moves, puzzles.right_positions),
    "River": (puzzles.right_crossings, puzzles.right_banks),
    "Geometry": (lambda answer, q: same(answer, str(q.data[-1])), geometry.right_steps),
    "Writing": (writing.right, writing.right_steps),
    "Crossword": (crossword.right, crossword.right_steps),
    "Arc": (arc.right, arc.right_steps),
    "Functions": (code.is_right, None),
    "Repair": (code.is_right, None),
    "TextMaze": (text_maze.right_walk, None),
}
"""Of answers and of steps, for the families in which several are right."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ("Functions", "Repair"))) for n in NAMES]
)
def test_every_family_holds_to_the_contract(name):
    """On a problem or two of each level; each family's own tests take more (of what is slow here, fewer)."""
    right, right_steps = JUDGES.get(name, (None, None))
    check_task(load(name), problems=12, seed=1, right=right, right_steps=right_steps)


@pytest.mark.parametrize("toy", [Double, Guess])
def test_sound_toys_pass(toy):
    check_task(toy(), problems=40)


@pytest.mark.parametrize("flawed", FLAWS, ids=lambda kind: kind.__name__)
def test_a_flawed_family_does_not(flawed):
    with pytest.raises(AssertionError, match=FLAWS[flawed]) as error:
        check_task(flawed(), problems=60, seconds=0.25)
    assert "\n" not in str(error.value)


def test_an_answer_that_is_right_by_another_way_is_the_judges_to_tell():
    """`2n` may be answered by `-2n` too: without a judge that is a flaw, with one it is not."""

    class Both(Double):
        alphabet = f"{Double.alphabet}-"

        def check(self, answer, question):
            return super().check(answer.removeprefix("-"), question)

    with pytest.raises(AssertionError, match="the wrong answer '-"):
        check_task(Both(), problems=200)
    check_task(Both(), problems=200, right=lambda a, q: same(a.removeprefix("-"), str(2 * q.data)))


def test_mutants_differ_in_every_way():
    rng = np.random.default_rng(0)
    found = {mutate(rng, "ab c", "abcd ") for _ in range(3000)}
    assert {"bb c", "aab c", "ab cab c", "b c", "ba c", "ab", "dab c", "ad c", "ab d"} <= found
    assert all(same(a, b) for a, b in (("7", "+7."), ("a b", "AB"), ("1,000", "1000")))
    assert not same("7", "-7")
    assert {mutate(rng, "7", "7") for _ in range(100)} == {"7", "77"}


def test_the_lines_about_families_are_one_for_each():
    assert set(ABOUT) == {*PATHS, "Mixed"}
    assert {f"text/{name}-v0" for name in ABOUT} <= set(envs.names())
    for name in NAMES:
        assert ABOUT[name].endswith(load(name).about)  # options may stand before it


# -- Gymnasium ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ABOUT if name not in OUTSIDE])
def test_single_environments_pass_gymnasiums_check(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is out of date.*")
        check_env(gymnasium.make(f"text/{name}-v0", render_mode="ansi").unwrapped)


def test_gymnasium_makes_them_in_any_process():
    code = (
        "import gymnasium; e = gymnasium.make('envs:text/Addition-v0', level=4); "
        "obs, info = e.reset(seed=3); print(obs, info, e.step('?')[1:4])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    obs, info = envs_single(level=4).reset(seed=3)
    assert done.stdout == f"{obs} {info} (0.0, True, False)\n"


def envs_single(id=ID, **options):
    return gymnasium.make(id, **options).unwrapped


def test_a_solved_problem_earns_1_and_the_info_says_all():
    env = envs_single(level=2, render_mode="ansi")
    obs, info = env.reset(seed=1)
    assert info == {"level": 2, "family": "Addition"}
    said = solve_one(env, obs)
    after, reward, terminated, truncated, info = env.step(said)
    assert (after, reward, terminated, truncated) == ("", 1.0, True, False)
    assert info["parts"] == {"success": 1.0, "parsed": 1.0, "error": 0.0, "steps": 1.0, "proved": 1.0}
    verdict = {"reward": 1.0, "success": True, "parsed": True, "error": ""}
    assert info["verdict"] == verdict | {"parts": {"steps": 1.0, "proved": 1.0}}
    assert env.render() == f"{obs}\n> {said}\n(right; reward 1)"
    with pytest.raises(ResetNeeded):
        env.step(said)


def solve_one(env, obs):
    (task,) = env.observation_space.tasks().values()
    return task.completion(task.understand(obs))


def test_a_single_environment_draws_from_np_random_and_nothing_else():
    env = envs_single(level=5)
    env.reset(seed=1)
    env.np_random = np.random.default_rng(9)
    again = [env.reset()[0] for _ in range(3)]
    env.np_random = np.random.default_rng(9)
    assert [env.reset()[0] for _ in range(3)] == again
    assert len(set(again)) == 3


def test_a_single_environment_and_a_slot_of_a_batch_have_the_same_problems():
    env, batch = envs_single(level=[1, 4]), envs.make(ID, n=3, level=[1, 4])
    obs, _ = batch.reset(seed=[5, 6, 7])
    singles = [[env.reset(seed=seed)[0], env.reset()[0]] for seed in (5, 6, 7)]
    assert obs == tuple(first for first, _ in singles)
    assert batch.step(("", "", ""))[0] == tuple(second for _, second in singles)
    assert env.reset(seed=5, options={"level": 2})[0] != singles[0][0]
    assert env.reset(seed=5)[0] == singles[0][0]  # one episode's options are its own


# -- the batch ---------------------------------------------------------------------------------------------


def test_seed_and_options_name_a_problem_on_any_slot_and_environment():
    small, large = envs.make(ID, n=1, level=3), envs.make(ID, n=5, level=1)
    named = {"level": 6, "split": "test"}
    (alone,), _ = small.reset(seed=[11], options={"slots": [named]})
    for _ in range(2):
        obs, _ = large.reset(seed=[1, 2, 3, 11, 4], options={"slots": [None, None, None, named, None]})
        assert obs[3] == alone
        assert len(obs[3]) == 6 + 1 + 6 + 1
        assert len(obs[0]) == 4
        large.step(("",) * 5)


def test_masked_slots_begin_anew_and_the_others_stay():
    env = envs.make(ID, n=4, level=5)
    before, _ = env.reset(seed=0)
    mask = np.array([False, True, False, True])
    after, _ = env.reset(seed=[0, 50, 0, 51], options={"reset_mask": mask})
    fresh, _ = envs.make(ID, n=4, level=5).reset(seed=[9, 50, 9, 51])
    assert [a == b for a, b in zip(before, after)] == [True, False, True, False]
    assert [after[1], after[3]] == [fresh[1], fresh[3]]


def test_options_of_an_episode_hold_until_the_slot_is_reset():
    env = envs.make(ID, n=2, seed=0)
    env.reset(seed=0, options={"slots": [{"level": 4}, None]})
    for _ in range(3):
        obs = env.step(("", ""))[0]
        assert [len(o) for o in obs] == [10, 4]
    obs, _ = env.reset()
    assert [len(o) for o in obs] == [4, 4]


def test_the_next_problem_comes_in_the_step_that_ends_one():
    env = envs.make(ID, n=3, seed=4)
    obs, _ = env.reset()
    said = (*solve(env, obs)[:1], write("-1"), "no answer")
    after, rewards, terminated, truncated, info = env.step(said)
    assert rewards.tolist() == [1, 0, 0]
    assert rewards.dtype == np.float32
    assert terminated.all()
    assert not truncated.any()
    assert info["final_obs"] == ("", "", "")
    assert all(solve(env, after))
    assert {name: part.tolist() for name, part in info["parts"].items()} == {
        "success": [1, 0, 0],
        "parsed": [1, 1, 0],
        "error": [0, 0, 0],
        "steps": [1, 0, 0],
        "proved": [1, 0, 0],
    }
    assert [v["error"] for v in info["verdicts"]] == ["", "another number", "no <answer>…</answer>"]
    json.dumps(info["verdicts"])


def test_a_dialogue_goes_on_until_it_is_answered_or_its_turns_are_used_up():
    env = envs.make(GUESS, n=3)
    obs, _ = env.reset(seed=[2, 3, 4])
    assert obs == ("guess",) * 3
    assert env.parts == ("success", "parsed", "error", "steps", "proved", "tries")
    hidden = [e.question.data for e in env._episodes]
    shown = []
    for said in (["?", write("0"), write("9")], ["?", *map(write, map(str, hidden[1:]))]):
        obs, rewards, terminated, truncated, info = env.step(tuple(said))
        shown.append((obs, terminated.tolist(), info["parts"]["tries"].tolist()))
    assert 0 < min(hidden[1:]) <= max(hidden[1:]) < 9
    assert shown[0] == (("?", "low", "high"), [False] * 3, [0, 0, 0])
    assert shown[1] == (("?", "guess", "guess"), [False, True, True], [0, 2, 2])
    assert rewards.tolist() == [0, 1, 1]
    env.step(("?",) * 3)
    obs, rewards, terminated, truncated, info = env.step(("?", "", ""))
    assert truncated.tolist() == [True, False, False]
    assert not terminated.any()
    assert info["final_obs"] == ("?", "?", "?")  # the last reply; the true last observation
    assert obs[0] == "guess"
    assert info["parts"]["tries"].tolist() == [4, 0, 0]


def test_an_answer_in_the_last_turn_is_a_true_end():
    env = envs.make(GUESS, seed=2)
    for _ in range(3):
        env.step(("?",))
    _, rewards, terminated, truncated, _ = env.step((write(str(env._episodes[0].question.data)),))
    assert (rewards[0], terminated[0], truncated[0]) == (1, True, False)


def test_a_single_dialogue_says_only_what_is_new():
    env = envs_single_toy(Guess)
    assert env.reset(seed=0)[0] == "guess"
    hidden = env._episode.question.data
    assert env.step("hm")[:4] == ("?", 0.0, False, False)
    assert env.step(write(str(hidden)))[:4] == ("", 1.0, True, False)
    endless = envs_single_toy(Endless)
    endless.reset(seed=0)
    ends = [endless.step("hm")[:4] for _ in range(4)]
    assert ends == [("?", 0.0, False, False)] * 3 + [("?", 0.0, False, True)]


def envs_single_toy(kind):
    from envs.text.env import TextEnv

    return TextEnv(f"{TOYS}:{kind.__name__}", deadline=0)


def test_levels_are_drawn_evenly_and_told_apart_by_their_parts():
    env, sums = envs.make(ID, n=100, level=[1, 3, 4], seed=0), np.zeros(6)
    names = [f"{what}/Addition-{level}" for level in (1, 3, 4) for what in ("tried", "success")]
    assert env.parts == ("success", "parsed", "error", "steps", "proved", *names)
    obs, _ = env.reset()
    for _ in range(30):
        said = tuple(text if len(o) == 4 else "" for o, text in zip(obs, solve(env, obs)))
        obs, _, _, _, info = env.step(said)
        sums += [info["parts"][name].sum() for name in names]
    tried, right = sums[::2], sums[1::2]
    assert tried.sum() == 3000
    assert np.abs(tried - 1000).max() < 4 * np.sqrt(3000 * 2 / 9)
    assert right.tolist() == [tried[0], 0, 0]


def test_instructions_come_before_the_prompt_and_are_understood():
    plain, told = envs.make(ID, n=2, seed=3), envs.make(ID, n=2, seed=3, instructions=True)
    obs, shown = plain.reset()[0], told.reset()[0]
    assert shown == tuple(f"{load('Addition').instructions}\n{o}" for o in obs)
    assert told.single_observation_space.contains(shown[0])
    assert set(told.single_action_space.alphabet) == set(load("Addition").alphabet)
    assert told.step(solve(told, shown))[1].tolist() == [1, 1]


# -- splits ------------------------------------------------------------------------------------------------


def drawn(env, steps=40):
    """The keys of the problems that an environment deals."""
    keys = set()
    for _ in range(steps):
        keys |= {e.question.key for e in env._episodes}
        env.step(("",) * env.num_envs)
    return keys


def test_train_and_test_never_share_a_problem_and_are_all_there_is():
    train, test, both = (
        drawn(envs.make(ID, n=64, level=2, split=split, seed=i))
        for i, split in enumerate(["train", "test", None])
    )
    assert len(train) > 1000
    assert len(test) > 500
    assert not train & test
    assert all(side("Addition", key) == "train" for key in train)
    assert all(side("Addition", key) == "test" for key in test)
    share = np.mean([side("Addition", key) == "test" for key in both])
    assert abs(share - 0.2) < 4 * np.sqrt(0.16 / len(both))


def test_a_problem_has_its_side_for_ever():
    """By another way to the same hash, and as it was on the day when the split was made."""
    for key in ("356+478", "12+5", ""):
        whole = int(sha256(f"Addition:{key}".encode()).hexdigest()[:16], 16)
        assert bucket("Addition", key) == whole % 100
    assert [bucket("Addition", f"{i}+7") for i in range(8)] == BUCKETS
    assert side("Addition", "0+7", 0.01 * (BUCKETS[0] + 1)) == "test"
    assert side("Addition", "0+7", 0.01 * BUCKETS[0]) == "train"


BUCKETS = [33, 64, 15, 74, 18, 97, 74, 41]


def test_wording_does_not_cross_the_split_nor_does_a_mix():
    mixed = envs.make("text/Mixed-v0", n=64, families={"Addition": 2, "ChainSum": 1}, split="test", seed=0)
    keys = {(e.entry.name, e.question.key) for e in mixed._episodes}
    assert {name for name, _ in keys} == {"Addition", "ChainSum"}
    assert all(side(name, key) == "test" for name, key in keys)


def test_what_cannot_be_split_is_said():
    with pytest.raises(
        OptionError, match=r"level 1 of Addition has 55 problems, too few for a train and a test"
    ):
        envs.make(ID, split="train")
    envs.make(ID, split="train", level=2)
    with pytest.raises(OptionError, match="split must be train or test or null, not 'valid'"):
        envs.make(ID, split="valid")
    with pytest.raises(OptionError, match=r"test_share must be from 0.01 to 0.99, not 0"):
        envs.make(ID, split="test", test_share=0.0)
    lonely = toy_tasks.OneOnly()
    missing = "test" if side("OneOnly", "1") == "train" else "train"
    with pytest.raises(OptionError, match=f"level 1 of OneOnly: no {missing} problem in 1000 draws"):
        draw(lonely, "OneOnly", np.random.default_rng(0), 1, missing)
    with pytest.raises(OptionError, match=r"51 problems are most of the 100 that level 1 of Double has"):
        check_size(Double(), "Double", 1, 51)
    check_size(Double(), "Double", 1, 50)
    check_size(Double(), "Double", 1, 51, memorise=True)
    with pytest.raises(OptionError, match="ask for fewer"):
        check_size(Double(), "Double", 1, 30, test_share=0.75)  # of 25


def test_a_pool_is_always_the_same_few_problems_of_the_train_split():
    def keys(n, **options):
        env = envs.make(ID, n=n, level=2, **{"split": "train", "pool": 12, **options})
        env.reset(seed=list(range(100, 100 + n)))
        return {e.question.key for e in env._episodes}

    assert keys(200) == keys(300)
    assert len(keys(200)) == 12
    assert {side("Addition", key) for key in keys(200)} == {"train"}
    tested = keys(200, split="test")  # of which there is no pool
    assert {side("Addition", key) for key in tested} == {"test"}
    assert len(tested) > 100
    one = gymnasium.make(f"envs:{ID}", level=2, split="train", pool=12)
    many = envs.make(ID, n=1, level=2, split="train", pool=12)
    assert one.reset(seed=100)[0] == many.reset(seed=[100])[0][0]
    env = envs.make("text/GuessNumber-v0", n=400, split="train", pool=100, memorise=True, seed=0)
    assert 80 < len({e.question.key for e in env._episodes}) <= 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pool": 20}, "pool is a number of problems to train on: it needs split: train"),
        ({"split": "train", "pool": 0}, "pool must be a problem or more, not 0"),
        ({"split": "train", "pool": 2048}, r"2,048 problems are most of the 4,095 that level 2 of Addition"),
        ({"split": "train", "pool": 4000, "memorise": True}, r"only 3,?\d+ train problems were found"),
    ],
)
def test_a_pool_that_would_only_be_remembered_is_refused(options, said):
    with pytest.raises(OptionError, match=said):
        envs.make(ID, n=1, level=2, **options).reset()


# -- several families --------------------------------------------------------------------------------------


FAMILIES = {"Addition": [1, 2], "Dag": {"levels": 3, "modulus": 7}, DOUBLE: [2]}


def test_a_mix_tells_each_skill_by_itself():
    env = envs.make("text/Mixed-v0", n=200, families=FAMILIES, seed=0)
    labels = ["Addition-1", "Addition-2", "Dag-3", f"{DOUBLE}-2"]
    assert [name.removeprefix("tried/") for name in env.parts if name.startswith("tried/")] == labels
    assert env.single_observation_space.task == "Mixed"
    obs, tried = env.reset()[0], dict.fromkeys(labels, 0.0)
    for _ in range(4):
        said = tuple(a if "%" in o else "" for o, a in zip(obs, solve(env, obs)))
        obs, _, _, _, info = env.step(said)
        for label in labels:
            tried[label] += info["parts"][f"tried/{label}"].sum()
            right = info["parts"][f"tried/{label}"] * (label == "Dag-3")
            assert (info["parts"][f"success/{label}"] == right).all()
    assert sum(tried.values()) == 800
    assert max(abs(count - 200) for count in tried.values()) < 4 * np.sqrt(150)
    assert any("%7?" in o for o in obs)
    env.close()


def test_an_episode_of_a_mix_may_name_its_family_and_level():
    env = envs.make("text/Mixed-v0", n=3, families=FAMILIES, seed=0)
    env.reset(options={"slots": [{"family": "Addition", "level": 7}, {"family": "Dag"}, {"level": [1]}]})
    for _ in range(5):
        entries = [e.entry for e in env._episodes]
        assert (entries[0].name, entries[0].level) == ("Addition", 7)
        assert (entries[1].name, entries[1].level) == ("Dag", 3)
        assert entries[2].level == 1
        env.step(("",) * 3)
    env.close()


def test_dialogues_and_single_turns_go_side_by_side():
    env = envs.make("text/Mixed-v0", n=8, families={"Addition": 1, GUESS: 1}, deadline=0, seed=1)
    obs, _ = env.reset()
    assert set(obs) > {"guess"}
    assert env.single_action_space.turns == 4
    talks = [o == "guess" for o in obs]
    after, _, terminated, truncated, info = env.step(("?",) * 8)
    assert [o == "?" for o in after] == talks
    assert terminated.tolist() == [not talk for talk in talks]
    assert not truncated.any()
    assert [text == "" for text, talk in zip(info["final_obs"], talks) if not talk] == [True] * (
        8 - sum(talks)
    )


# -- verifiers that fail -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise", "RuntimeError: on purpose"),
        ("nan", "the reward is nan"),
        ("two", "the reward is 2.0"),
        ("none", "verify gave a NoneType"),
    ],
)
def test_a_verifier_that_fails_costs_its_own_sample_only(fault, said):
    env = envs.make(CRASHING, n=3, deadline=0, seed=0)
    obs, _ = env.reset()
    right = solve(env, obs)
    _, rewards, terminated, _, info = env.step((right[0], fault, right[2]))
    assert rewards.tolist() == [1, 0, 1]
    assert terminated.all()
    assert info["parts"]["error"].tolist() == [0, 1, 0]
    assert info["parts"]["success"].tolist() == [1, 0, 1]
    assert info["parts"]["parsed"].tolist() == [1, 0, 1]
    assert said in info["verdicts"][1]["error"]
    assert "\n" not in info["verdicts"][1]["error"]


def test_a_verifier_that_hangs_is_given_up():
    env = envs.make(CRASHING, n=3, deadline=1.0, seed=0)
    right = solve(env, env.reset()[0])
    started = time.monotonic()
    _, rewards, _, _, info = env.step((right[0], "hang", right[2]))
    assert time.monotonic() - started < 30
    assert rewards.tolist() == [1, 0, 1]
    assert info["parts"]["error"].tolist() == [0, 1, 0]
    env.close()


def test_ones_own_verifier_has_a_deadline_and_ours_needs_none():
    from envs.text.verifiers import DEADLINE

    own, ours = envs.make(DOUBLE, n=1, seed=0), envs.make(ID, n=1, seed=0)
    for env in (own, ours):
        env.step(solve(env, env.reset()[0]))
    assert [guard.deadline for guard in own.verifiers._guards.values()] == [DEADLINE]
    assert not ours.verifiers._guards
    own.close()
    assert not own.verifiers._guards


def test_a_reply_that_fails_ends_the_episode_as_invalid():
    env = envs.make(GUESS, n=2, deadline=0, seed=0)
    obs, _, terminated, _, info = env.step(("raise", "hm"))
    assert obs == ("guess", "?")
    assert terminated.tolist() == [True, False]
    assert info["parts"]["error"].tolist() == [1, 0]


# -- saving ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "options"),
    [
        (ID, {"level": [2, 5], "split": "train"}),
        (GUESS, {"deadline": 0}),
        ("text/Mixed-v0", {"families": {"Dag": [1, 2], GUESS: 1}, "deadline": 0, "instructions": True}),
    ],
)
def test_a_saved_batch_goes_on_exactly(id, options, tmp_path):
    def go_on(env, obs):
        seen = [obs]
        for k in range(6):
            obs, rewards, terminated, truncated, info = env.step(
                tuple(write(str((k + i) % 10)) for i in range(5))
            )
            seen.append(
                (
                    obs,
                    rewards.tolist(),
                    terminated.tolist(),
                    truncated.tolist(),
                    info["final_obs"] if (terminated | truncated).any() else None,
                    info["verdicts"],
                )
            )
        return seen

    env = envs.make(id, n=5, **options)
    env.reset(seed=7, options={"slots": [None, {"level": 1, "split": None}, None, None, None]})
    obs = env.step(("?",) * 5)[0]
    save_tree(tmp_path, env.get_state())
    expected = go_on(env, obs)
    fresh = envs.make(id, n=5, **options)
    assert go_on(fresh, fresh.set_state(load_tree(tmp_path))) == expected
    used = envs.make(id, n=5, seed=99, **options)
    used.step(("x",) * 5)
    assert go_on(used, used.set_state(load_tree(tmp_path))) == expected


def test_a_state_of_something_else_is_refused():
    env = envs.make(ID, n=2, seed=0)
    state = env.get_state()
    with pytest.raises(ValueError, match="a state of text/Addition-v0 cannot continue text/ChainSum-v0"):
        envs.make("text/ChainSum-v0", n=2).set_state(state)
    with pytest.raises(ValueError, match="a state of 2 slots cannot fill 3"):
        envs.make(ID, n=3).set_state(state)
    with pytest.raises(ValueError, match="slot 0: the generator makes another problem than"):
        envs.make(ID, n=2, level=9).set_state(state)


def test_nothing_works_before_a_reset():
    env, one = envs.make(ID), envs_single(render_mode="ansi")
    for call in (env.get_state, lambda: env.step(("",)), lambda: one.step(""), one.render):
        with pytest.raises(ResetNeeded):
            call()


# -- spaces ------------------------------------------------------------------------------------------------


def test_spaces_carry_what_an_agent_must_know():
    env = envs.make(ID, n=2)
    space = env.single_action_space
    assert (space.task, space.turns, space.stops) == ("Addition", 1, ())
    assert space.alphabet == "".join(sorted(load("Addition").alphabet))
    assert set(space.characters) == {*space.alphabet, *"<>/think answer tool result".replace(" ", "")}
    assert repr(space) == f"TextSpace(Addition, {len(space.alphabet)} characters, turns=1)"
    talk = envs.make(GUESS).single_action_space
    assert (talk.turns, talk.stops) == (4, ("</tool>",))
    assert "stops=('</tool>',)" in repr(talk)
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert env.action_space.contains(solve(env, env.reset()[0]))


def test_equal_spaces_are_equal_wherever_they_come_from():
    one, other = (envs.make("text/Dag-v0", n=n).single_observation_space for n in (1, 2))
    assert one == other == pickle.loads(pickle.dumps(one))
    assert one != envs.make("text/Dag-v0", modulus=7).single_observation_space
    assert one != envs.make(ID).single_observation_space
    assert one != gymnasium.spaces.Text(one.max_length, min_length=0, charset=one.characters)
    assert (
        load("Dag", {"modulus": 7}).modulus
        == envs.make("text/Dag-v0", modulus=7).single_action_space.tasks()["Dag"].modulus
    )


def test_random_texts_are_short_and_of_the_space():
    space = TextSpace("Addition", {"Addition": {}}, "0123456789+=\n")
    space.seed(0)
    texts = [space.sample() for _ in range(200)]
    assert all(space.contains(text) for text in texts)
    assert {len(text) for text in texts} == set(range(33))
    assert len(space.sample(mask=(3, None))) == 3


def test_a_prompt_that_no_family_knows_is_said():
    tasks = TextSpace("Mixed", {"Addition": {}, "Dag": {}}, "x").tasks()
    assert understand(tasks, "a=3;a%23?")[0] == "Dag"
    with pytest.raises(ValueError, match="'hello' is no problem of Addition, Dag"):
        understand(tasks, "hello")


# -- a user's own ------------------------------------------------------------------------------------------


def test_a_users_family_is_an_environment_by_its_import_path(tmp_path, monkeypatch):
    source = (
        "from tests.envs.text.toy_tasks import Double\n"
        "class Twice(Double):\n    def __init__(self, offset: int = 5):\n        super().__init__(offset)\n"
        "def other():\n    return 3\n"
    )
    (tmp_path / "my_tasks.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    env = envs.make("my_tasks:Twice", n=2, seed=0, level=2, offset=40_000)
    obs, _ = env.reset()
    assert all(int(o.split()[1]) >= 40_000 for o in obs)
    assert env.step(solve(env, obs))[1].tolist() == [1, 1]
    env.close()
    check_task(load("my_tasks:Twice"), problems=10)
    with pytest.raises(ValueError, match=r"made a int, not an envs\.text\.task\.Task"):
        load("my_tasks:other")
    sys.modules.pop("my_tasks", None)


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("text/Adition-v0", {}, "did you mean text/Addition-v0"),
        (ID, {"levle": 2}, "environment 'text/Addition-v0' has no option 'levle'; did you mean 'level'?"),
        (ID, {"level": 11}, "level of Addition must be a whole number from 1 to 10, not 11"),
        (ID, {"level": 0}, "must be a whole number from 1 to 10, not 0"),
        (ID, {"level": True}, "must be a whole number from 1 to 10, not True"),
        (ID, {"level": 1.5}, "must be a whole number from 1 to 10, not 1.5"),
        (ID, {"level": []}, "must be a level or a list of different ones, not []"),
        (ID, {"level": [2, 2]}, "must be a level or a list of different ones, not [2, 2]"),
        (ID, {"level": [1, "x"]}, "must be a whole number from 1 to 10, not 'x'"),
        (ID, {"split": 3}, "split of environment 'text/Addition-v0' must be text or null, not 3"),
        (ID, {"instructions": 1}, "must be true or false, not 1"),
        (ID, {"deadline": -1}, "deadline must be 0 (none) or more seconds, not -1"),
        (ID, {"render_mode": "human"}, "render_mode must be ansi or null, not 'human'"),
        (ID, {"families": {"Dag": 1}}, "is one family; families are for text/Mixed-v0"),
        (
            "text/Dag-v0",
            {"modulus": "x"},
            "modulus of environment 'text/Dag-v0' must be a whole number, not 'x'",
        ),
        ("text/Mixed-v0", {"families": {}}, "families must name families and their levels"),
        ("text/Mixed-v0", {"families": ["Dag"]}, "families must name families and their levels"),
        ("text/Mixed-v0", {"families": {"Dagg": 1}}, "no family of text tasks 'Dagg'; did you mean 'Dag'?"),
        (
            "text/Mixed-v0",
            {"families": {"Dag": 99}},
            "level of Dag must be a whole number from 1 to 12, not 99",
        ),
        (
            "text/Mixed-v0",
            {"families": {"Dag": {"modulo": 7}}},
            "the family 'Dag' has no option 'modulo'; did",
        ),
        ("text/Mixed-v0", {"level": 2}, "takes 'level' for each family"),
        ("text/Mixed-v0", {"size": 4}, "takes 'size' for each family"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(id, options, message):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        envs.make(id, **options)
    assert message in str(error.value)


def test_what_is_wrong_with_an_episodes_options_is_said_with_its_slot():
    env = envs.make(ID, n=2)
    for options, said in (
        ({"levle": 2}, "slot 1: an episode has no option 'levle'; did you mean 'level'?"),
        ({"level": 50}, "slot 1: level of Addition must be"),
        ({"family": "Dag"}, "slot 1: there are no problems of 'Dag' here; there is: Addition"),
        ({"split": "x"}, "slot 1: split must be train or test"),
    ):
        with pytest.raises(OptionError) as error:
            env.reset(options={"slots": [None, options]})
        assert said in str(error.value)
    env.reset(seed=0)
    for actions in ("ab", ("",), ("", 3), ("", None)):
        with pytest.raises(ValueError, match=r"actions must be 2 texts|an action is text"):
            env.step(actions)
    one = envs_single()
    one.reset(seed=0)
    with pytest.raises(ValueError, match="an action is text, not 3"):
        one.step(3)
    with pytest.raises(ValueError, match="no family of text tasks 'Adition'; did you mean 'Addition'"):
        load("Adition")


# -- the one interface -------------------------------------------------------------------------------------


class Solver(Agent):
    """Answers what it has read: an agent like any other, built from the spaces."""

    def __init__(self, observation_space, action_space, strategy=None):
        self.tasks, self.strategy = observation_space.tasks(), strategy

    def act(self, obs, *, rng, first, memory=None, explore=True):
        read = [understand(self.tasks, o) for o in obs]
        return Decision(tuple(self.tasks[name].completion(q, self.strategy) for name, q in read))


def test_a_solver_is_an_agent_and_a_group_faces_one_problem():
    env = envs.make(ID, n=6, level=3)
    agent = Solver(env.single_observation_space, env.single_action_space)
    rollout = Sampler(env, seed=1).collect(agent, episodes=24, group_size=4)
    assert rollout.ended["success"].tolist() == [1] * 24
    assert rollout.ended["proved"].tolist() == [1] * 24
    prompts: dict[int, set[str]] = {}
    for t, slot in zip(*np.nonzero(rollout.valid)):
        prompts.setdefault(int(rollout.group[t, slot]), set()).add(rollout.obs[t, slot])
    assert len(prompts) == 6
    assert all(len(asked) == 1 for asked in prompts.values())
    assert len(set.union(*prompts.values())) == 6
    direct = Sampler(env, seed=1).collect(Solver(env.single_observation_space, None, DIRECT), steps=5)
    assert direct.ended["success"].sum() == 30
    assert direct.ended["steps"].sum() == 0


def test_a_problem_stream_names_levels_and_families():
    env = envs.make("text/Mixed-v0", n=4, families={"Addition": [1], "Dag": [1]})
    named = [Problem(5, {"family": "Addition", "level": 8}), Problem(6, {"family": "Dag", "level": 2})]
    agent = Solver(env.single_observation_space, env.single_action_space)
    rollout = Sampler(env, problems=Listed(named)).collect(agent, episodes=8)
    prompts = rollout.obs[0].tolist()
    assert {len(p) for p in prompts if "%" not in p} == {18}
    assert {p.count(";") for p in prompts if "%" in p} == {4}
    assert rollout.ended["success"].all()
    assert rollout.ended["tried/Addition-1"].sum() == 0  # it was of another level


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_solved_in_a_batch(name):
    env = envs.make(f"text/{name}-v0", n=2, seed=0)
    obs, _ = env.reset()
    (task,) = env.single_observation_space.tasks().values()
    asked = [task.understand(o) for o in obs]
    said: list[list[str]] = [[], []]
    heard: list[list[str]] = [[], []]
    done, success = np.zeros(2, bool), np.zeros(2)
    for _ in range(env.single_action_space.turns):
        for i in range(2):
            talk = isinstance(task, Dialogue)
            said[i].append(task.script(asked[i], said[i], heard[i]) if talk else task.completion(asked[i]))
        obs, _, terminated, truncated, info = env.step(tuple(s[-1] for s in said))
        success += np.where(done, 0, info["parts"]["success"])
        done |= terminated | truncated
        if done.all():
            break
        for i in range(2):
            heard[i].append(obs[i])
    assert success.tolist() == [1, 1]
