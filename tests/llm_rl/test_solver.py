"""The expert of text tasks: right everywhere, from what it reads alone, and alike whoever plays beside it."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.options import OptionError
from envs.rng import from_seeds
from envs.text import NAMES, load
from envs.text.parsing import read
from llm_rl.solver import Solver
from rollouts.build import build_agent
from rollouts.fleet import Fleet
from rollouts.sampler import Sampler

FAMILIES = {"Sorting": [1, 4, 6], "Reversal": [1, 5], "GuessNumber": [2, 4], "Calculator": [1, 3]}


def solver(env, **options):
    return Solver(env.single_observation_space, env.single_action_space, **options)


def collect(id, episodes=24, n=8, seed=0, explore=True, strategies=None, **options):
    env = envs.make(id, n=n, **options)
    sampler = Sampler(env, seed=seed)
    return sampler.collect(solver(env, strategies=strategies), episodes=episodes, explore=explore)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_solved_by_every_strategy(name):
    task = load(name)
    for strategy in (None, *task.strategies, "direct"):
        rollout = collect(f"text/{name}-v0", level=2, strategies=strategy and {strategy: 1.0})
        assert (rollout.ended["success"] == 1).all(), strategy
        assert (rollout.ended["proved"] == float(strategy != "direct")).all(), strategy
        assert rollout.terminated.any(axis=0).all()


@pytest.mark.parametrize("instructions", [False, True])
def test_a_mixture_is_solved(instructions):
    rollout = collect("text/Mixed-v0", episodes=60, families=FAMILIES, instructions=instructions)
    assert (rollout.ended["proved"] == 1).all()
    tried = [name for name in rollout.ended if name.startswith("tried/") and rollout.ended[name].any()]
    assert len(tried) > 5


def flat(rollout):
    """(what was read, what was said) by episode."""
    out: dict[int, list[tuple[str, str]]] = {}
    for t, slot in zip(*np.nonzero(rollout.valid)):
        spoken = rollout.obs[t, slot], rollout.actions[t, slot]
        out.setdefault(int(rollout.episode[t, slot]), []).append(spoken)
    return out


def test_an_episode_depends_on_no_other():
    options = {"families": FAMILIES, "strategies": {"steps": 1.0, "direct": 1.0}, "episodes": 30}
    one, other = (flat(collect("text/Mixed-v0", n=n, **options)) for n in (1, 7))
    assert one == other
    assert any(len(turns) > 1 for turns in one.values())


def test_workers_build_their_own():
    fleet = Fleet({"id": "text/GuessNumber-v0", "level": 2}, n=4, workers=2, seed=3, local=True)
    env = envs.make("text/GuessNumber-v0", n=1, level=2)
    rollout = fleet.collect(solver(env, strategies={"direct": 1.0}), episodes=8)
    fleet.close()
    assert (rollout.ended["success"] == 1).all()
    assert not any(read(said).steps for turns in flat(rollout).values() for _, said in turns)


def test_strategies_are_drawn_by_their_weights():
    weights = {"steps": 6.0, "insertion": 3.0, "direct": 1.0}
    rollout = collect("text/Sorting-v0", episodes=1000, n=100, strategies=weights)
    task, counts = load("Sorting"), dict.fromkeys(weights, 0)
    for ((prompt, said),) in flat(rollout).values():
        question = task.understand(prompt)
        (way,) = [way for way in weights if said == task.completion(question, way)] or ["?"]
        counts[way] += 1
    for way, share in (("steps", 0.6), ("insertion", 0.3), ("direct", 0.1)):
        assert abs(counts[way] / 1000 - share) < 4 * (share * (1 - share) / 1000) ** 0.5
    best = collect("text/Sorting-v0", episodes=50, strategies=weights | {"insertion": 60.0}, explore=False)
    for ((prompt, said),) in flat(best).values():
        assert said == task.completion(task.understand(prompt), "insertion")


def test_a_dialogue_keeps_to_its_strategy():
    rollout = collect("text/GuessNumber-v0", episodes=40, strategies={"steps": 1, "direct": 1}, level=3)
    ways = set()
    for turns in flat(rollout).values():
        thought = {bool(read(said).steps) for _, said in turns}
        assert len(thought) == 1
        ways |= thought
    assert ways == {True, False}


def test_steps_stand_for_the_usual_way_where_there_is_none_of_this_name():
    task = load("Parity")
    assert "steps" not in task.strategies
    rollout = collect("text/Parity-v0", strategies={"steps": 1.0})
    for ((prompt, said),) in flat(rollout).values():
        assert said == task.completion(task.understand(prompt), task.strategies[0])


def test_a_stream_of_steps_goes_on_where_it_stopped():
    env = envs.make("text/Calculator-v0", n=3, level=2)
    whole = Sampler(env, seed=5).collect(solver(env), steps=12)
    env, other = (envs.make("text/Calculator-v0", n=3, level=2) for _ in range(2))
    sampler = Sampler(env, seed=5)
    sampler.collect(solver(env), steps=6)
    resumed = Sampler(other, seed=5)
    assert resumed.set_state(sampler.get_state())
    rest = resumed.collect(solver(other), steps=6)
    assert rest.actions.tolist() == whole.actions[6:].tolist()


def test_it_only_reads_its_memory():
    env = envs.make("text/GuessNumber-v0", n=2)
    agent, rng = solver(env), from_seeds([1, 2])
    obs, _ = env.reset(seed=0)
    first = agent.act(obs, rng=rng, first=np.ones(2, bool))
    kept = first.memory["transcript"].copy()
    obs = env.step(first.actions)[0]
    agent.act(obs, rng=rng, first=np.zeros(2, bool), memory=first.memory)
    assert (first.memory["transcript"] == kept).all()


def test_it_is_built_again_by_its_spec():
    env = envs.make("text/Sorting-v0", n=4)
    agent = solver(env, strategies={"insertion": 1.0})
    again = build_agent(agent.spec(), env.single_observation_space, env.single_action_space)
    obs, _ = env.reset(seed=0)
    acts = [
        each.act(obs, rng=from_seeds(range(4)), first=np.ones(4, bool)).actions for each in (agent, again)
    ]
    assert acts[0] == acts[1]
    assert isinstance(again, Solver)


def test_what_does_not_fit_is_told():
    env = envs.make("text/Sorting-v0", n=1)
    with pytest.raises(OptionError, match="no strategy 'insertoin' here; did you mean 'insertion'"):
        solver(env, strategies={"insertoin": 1.0})
    with pytest.raises(OptionError, match="none that Sorting has, above 0; it has: steps, insertion, direct"):
        solver(env, strategies={"insertion": 0.0})
    with pytest.raises(OptionError, match="strategies"):
        solver(env, strategies={"insertion": -1.0})
    mixed = envs.make("text/Mixed-v0", n=1, families={"Sorting": [1], "Reversal": [1]})
    with pytest.raises(OptionError, match="none that Reversal has"):
        solver(mixed, strategies={"insertion": 1.0})
    with pytest.raises(ValueError, match="text tasks only"):
        Solver(spaces.Discrete(2), spaces.Discrete(2))
    with pytest.raises(ValueError, match="is no problem of Sorting"):
        solver(env).act(("hello",), rng=from_seeds([0]), first=np.ones(1, bool))
