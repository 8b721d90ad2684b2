import math
import re
from itertools import pairwise

import pytest

from move37.advice import FEW, NO_EPISODE_STEPS, REPEAT_AFTER, WINDOW, Adviser, advise

GOOD = {
    "env_steps": 10_000,
    "episodes": 12,
    "return": 3.0,
    "policy_loss": 0.01,
    "value_loss": 0.4,
    "entropy": 0.9,
    "approx_kl": 0.01,
    "explained_variance": 0.6,
    "grad_norm": 0.5,
    "replay_ratio": 8.0,
    "q_loss": 0.1,
}


GROUPS = {
    "env_steps": 10_000,
    "episodes": 5_000,
    "return": 0.5,
    "loss": 0.0,
    "entropy": 0.3,
    "approx_kl": 1e-3,
    "ratio_max": 1.5,
    "grad_norm": 0.5,
    "zero_variance": 0.2,
    "all_right": 0.1,
    "all_wrong": 0.1,
    "truncated": 0.0,
    "invalid": 0.0,
}
"""A good line of GRPO's."""


def history(**last):
    """A good first record, then a window in which `last` holds."""
    return [GOOD, *[GOOD | last] * WINDOW]


def test_a_good_run_needs_no_advice():
    assert advise(history(), slots=4, replay_ratio=8.0) == {}
    assert advise([]) == {}
    unknown = {"env_steps": 100, "episodes": 0, "return": math.nan, "explained_variance": math.nan}
    assert advise([unknown] * 5) == {}


@pytest.mark.parametrize(
    ("name", "last", "words"),
    [
        ("not_finite", {"policy_loss": math.nan}, ("policy_loss", "agent.lr", "last good checkpoint")),
        ("not_finite", {"grad_norm": math.inf}, ("grad_norm", "agent.lr")),
        ("entropy", {"entropy": 0.001}, ("entropy", "agent.entropy_coef")),
        (
            "explained_variance",
            {"explained_variance": -0.2},
            ("explained_variance", "-0.2", "agent.value_coef"),
        ),
        ("approx_kl", {"approx_kl": 0.4}, ("approx_kl", "0.4", "agent.target_kl")),
        ("replay_ratio", {"replay_ratio": 2.0}, ("replay_ratio", "2", "8", "agent.batch_size")),
        ("no_episode", {"episodes": 0, "env_steps": 4 * NO_EPISODE_STEPS}, ("no episode", "time limit")),
    ],
)
def test_each_trouble_is_named_with_what_to_try(name, last, words):
    found = advise(history(**last), slots=4, replay_ratio=8.0)
    assert list(found) == [name]
    assert all(word in found[name] for word in words)
    assert "\n" not in found[name]


@pytest.mark.parametrize(
    ("names", "last", "words"),
    [
        (["zero_variance"], {"zero_variance": 0.97, "all_wrong": 0.95}, ("97%", "too hard", "env.level")),
        (["zero_variance"], {"zero_variance": 1.0, "all_right": 1.0, "entropy": 0.0}, ("100%", "harder")),
        (["zero_variance"], {"zero_variance": 0.95}, ("Some", "agent.group_size")),
        (["truncated"], {"truncated": 0.99}, ("99%", "agent.max_new")),
        (["invalid"], {"invalid": 0.03}, ("3.0%", "verifier", "samples.jsonl")),
        (["invalid"], {"eval/invalid": 0.01}, ("1.0%", "verifier")),
        (["one_answer"], {"entropy": 0.004}, ("0.004", "agent.temperature")),
        (["ratio_max"], {"ratio_max": 40.0}, ("40", "agent.lr")),
        (["approx_kl"], {"approx_kl": 0.5}, ("0.5", "agent.minibatches")),
    ],
)
def test_each_trouble_of_a_group_is_named_with_what_to_try(names, last, words):
    found = advise([GROUPS, *[GROUPS | last] * FEW])
    assert list(found) == names
    assert all(word in found[names[0]] for word in words)
    assert advise([GROUPS] * (2 * FEW)) == {}
    assert "target_kl" not in found[names[0]]


def test_whoever_imitates_successes_is_told_that_there_are_none():
    line = {"env_steps": 10_000, "episodes": 500, "return": 0.0, "kept": 0.0}
    assert list(advise([line] * (1 + FEW))) == ["kept"]
    assert advise([line] * FEW) == {}
    assert advise([line] * FEW + [line | {"kept": 0.01}]) == {}


def test_exploding_gradients_are_two_high_norms_in_a_row_not_one():
    norms = [0.5] * 10
    records = [GOOD | {"grad_norm": norm} for norm in [*norms, 400.0]]
    assert advise(records) == {}
    assert "grad_norm" in advise([*records, GOOD | {"grad_norm": 500.0}])["grad_norm"]


def test_what_passes_soon_is_not_told():
    short = [GOOD, *[GOOD | {"explained_variance": -1.0, "entropy": 0.0}] * (WINDOW - 1)]
    assert advise(short) == {}
    assert advise([*history(explained_variance=-1.0), GOOD]) == {}


def test_a_density_s_entropy_may_be_below_zero():
    assert advise(history(entropy=-3.0)) == {}


def test_work_that_is_always_too_old_is_told():
    lines = [GOOD | {"fleet/dropped": float(3 * k)} for k in range(FEW)]
    found = advise([GOOD, *lines])
    assert list(found) == ["dropped"]
    assert "27 fragments" in found["dropped"]
    assert "sampler.max_lag" in found["dropped"]
    assert advise([GOOD, *lines[:-1]]) == {}  # too few to tell
    assert advise([GOOD, *[GOOD | {"fleet/dropped": 40.0}] * FEW]) == {}  # it was so once
    assert advise([GOOD, *lines[:4], *[lines[4]] * (FEW - 4)]) == {}


def test_no_episode_counts_steps_a_slot():
    long = {"episodes": 0, "env_steps": 4 * NO_EPISODE_STEPS}
    assert advise(history(**long), slots=8) == {}


def test_the_adviser_says_each_thing_once_and_then_ever_more_rarely():
    adviser = Adviser()
    adviser.read(GOOD)
    said = [i for i in range(8 * REPEAT_AFTER) if adviser.read(GOOD | {"approx_kl": 0.4})]
    gaps = [b - a for a, b in pairwise(said)]
    assert said[0] < 5
    assert gaps == [REPEAT_AFTER, 2 * REPEAT_AFTER, 4 * REPEAT_AFTER]


def test_the_adviser_knows_what_was_asked_for():
    adviser = Adviser(slots=1, replay_ratio=32.0)
    found = [text for _ in range(WINDOW + 1) for text in adviser.read(GOOD)]
    assert len(found) == 1
    assert "32" in found[0]


def test_a_replay_that_has_not_begun_is_not_off():
    waiting = {name: value for name, value in GOOD.items() if name != "q_loss"} | {"replay_ratio": 0.0}
    assert advise([waiting] * (WINDOW + 1), replay_ratio=8.0) == {}
    assert advise([waiting] * WINDOW + [GOOD | {"replay_ratio": 1.0}] * WINDOW, replay_ratio=8.0)


def test_what_it_says_to_try_are_options_that_there_are():
    from move37.config import options_model
    from move37.registry import agent_class

    kinds = ("ppo", "dqn", "grpo", "imitation")
    known = {name for kind in kinds for name in options_model(agent_class(kind)).model_fields}
    said = " ".join(
        text
        for last in (
            {"policy_loss": math.nan},
            {"entropy": 0.0},
            {"explained_variance": -1.0},
            {"approx_kl": 1.0},
            {"replay_ratio": 1.0},
        )
        for text in advise(history(**last), replay_ratio=8.0).values()
    )
    said += advise([GOOD, *[GOOD] * 10, *[GOOD | {"grad_norm": 1e3}] * 2])["grad_norm"]
    said += " ".join(
        text
        for last in (
            {"zero_variance": 1.0},
            {"zero_variance": 1.0, "all_wrong": 1.0},
            {"truncated": 1.0},
            {"entropy": 0.0},
            {"ratio_max": 99.0},
            {"approx_kl": 1.0},
            {"kept": 0.0},
        )
        for text in advise([GROUPS, *[GROUPS | last] * FEW]).values()
    )
    named = set(re.findall(r"agent\.(\w+)", said))
    assert len(named) >= 14
    assert named <= known
