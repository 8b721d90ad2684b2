"""The arcade games in lock step with the `minatar` package: the same draws, the same game, step by step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from envs.arcade import load
from envs.arcade.vector import Arcade
from envs.rng import from_seeds

minatar = pytest.importorskip("minatar")

from tests.envs.minatar_twins import RULES, Rules, make_twin  # noqa: E402

SLOTS = 8
SCRIPTED = range(SLOTS // 2)  # half of the slots play to score, the others at random
RARE_EVERY = 150


def assert_same_state(state, twins, rules: Rules) -> None:
    """All of the hidden state, and how many numbers were drawn."""
    fields = {name: value.copy() for name, value in state["fields"].items()}
    empty = fields["cell"] < 0 if "cell" in fields else None  # what an empty row once held does not matter
    for name in ("rightward", "gold") if empty is not None else ():
        fields[name][empty] = 0
    for name in ("shots", "bullets", "fish", "subs", "divers") if "n_divers" in fields else ():
        width = np.arange(fields[name].shape[1])
        fields[name][width >= fields[f"n_{name}"][:, None]] = 0
    for i, twin in enumerate(twins):
        assert state["rng"][i] == twin.random.generator
        for name, value in {**rules.fields(twin.env), "last_action": twin.last_action}.items():
            np.testing.assert_array_equal(fields[name][i], value, err_msg=f"{name} in slot {i}")


def set_rare_states(env: Arcade, twins, rules: Rules, rng: np.random.Generator) -> None:
    state = env.get_state()
    assert_same_state(state, twins, rules)
    for i, twin in enumerate(twins):
        rules.rare(twin.env, rng)
        for name, value in rules.fields(twin.env).items():
            state["fields"][name][i] = value
    obs = env.set_state(state)
    np.testing.assert_array_equal(obs, np.stack([twin.state() for twin in twins]))


def lockstep(name: str, steps: int, seed: int) -> Counter[str]:
    """Play both sides for `steps` steps in all; returns how often each event happened."""
    rules, rng = RULES[name], np.random.default_rng(seed)
    env = Arcade(f"arcade/{name}-v0", SLOTS)
    seeds = range(seed, seed + SLOTS)
    first, _ = env.reset(seed=seed)
    twins = [make_twin(rules.module, generator) for generator in from_seeds(seeds)]
    np.testing.assert_array_equal(first, np.stack([twin.state() for twin in twins]))
    chosen = rng.integers(6, size=(steps // SLOTS, SLOTS))
    counts: Counter[str] = Counter()
    before = env.get_state()["fields"]
    for t, actions in enumerate(chosen):
        if t % RARE_EVERY == RARE_EVERY - 1:
            set_rare_states(env, twins, rules, rng)
            before = env.get_state()["fields"]
        for i in SCRIPTED:
            actions[i] = rules.policy(twins[i].env)
        obs, rewards, terminated, _, info = env.step(actions)
        assert_same_step(twins, actions, obs, rewards, terminated, info)
        after = env.get_state()["fields"]
        events = {
            **rules.events(before, after, rewards, terminated),
            "sticky": after["last_action"] != actions,
        }
        counts.update({event: int(np.count_nonzero(where)) for event, where in events.items()})
        before = after
    assert_same_state(env.get_state(), twins, rules)
    return counts


def assert_same_step(twins, actions, obs, rewards, terminated, info) -> None:
    seen = np.empty_like(obs)
    for i, twin in enumerate(twins):
        reward, over = twin.act(int(actions[i]))
        assert (reward, over) == (rewards[i], terminated[i])
        if over:
            assert np.array_equal(info["final_obs"][i], twin.state())
            twin.reset()
        seen[i] = twin.state()
    assert np.array_equal(obs, seen)


@pytest.mark.parametrize("name", RULES)
def test_lockstep_with_minatar(name):
    counts = lockstep(name, 200_000, seed=11)
    assert all(counts.values()), f"never seen: {[event for event, count in counts.items() if not count]}"


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_lockstep_with_minatar_long(name):
    counts = lockstep(name, 1_000_000, seed=2_024)
    assert all(counts.values()), f"never seen: {[event for event, count in counts.items() if not count]}"


@pytest.mark.parametrize("name", RULES)
def test_channels_and_minimal_actions_are_minatars(name):
    twin = minatar.Environment(RULES[name].module)
    game, minimal = load(f"arcade/{name}-v1")
    assert minimal
    assert list(game.minimal) == twin.minimal_action_set()
    theirs = sorted(twin.env.channels, key=twin.env.channels.get)
    assert [c.replace("gauge", "guage") for c in game.channels] == theirs
