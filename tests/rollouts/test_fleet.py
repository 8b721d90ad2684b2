import os
import sys

import numpy as np
import pytest

from envs.options import OptionError
from rollouts import fleet as fleet_module
from rollouts.agent import Agent, Decision
from rollouts.fleet import Fleet, FleetError
from rollouts.problems import Curriculum, Listed, Problem, Seeking
from rollouts.rollout import concatenate
from rollouts.sampler import Sampler
from tests.rollouts.test_sampler import same
from tests.toys import Coin, Nim, Walk, coin

WALK = {"id": "tests.toys:Walk"}


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


NIM = {"id": "tests.toys:Nim"}


def fleet(local, workers=2, n=6, **kwargs):
    return Fleet(WALK, n=n, workers=workers, seed=5, local=local, **kwargs)


def test_local_workers_are_samplers_side_by_side():
    agent = coin(Walk(1))
    whole = fleet(True).collect(agent, steps=12)
    one = Sampler(Walk(3), seed=5, worker=0).collect(agent, steps=12)
    two = Sampler(Walk(3), seed=5, worker=1).collect(agent, steps=12)
    np.testing.assert_array_equal(whole.obs, np.concatenate([one.obs, two.obs], 1))
    np.testing.assert_array_equal(whole.final_obs[whole.final_at[:, 1] >= 3], two.final_obs)
    assert len(np.unique(whole.ended["episode"])) == len(whole.ended["episode"])
    ends = whole.terminated | whole.truncated
    np.testing.assert_array_equal(ends[whole.ended["time"], whole.ended["slot"]], True)


def test_workers_of_different_lengths_are_padded():
    r = fleet(True).collect(coin(Walk(1)), episodes=20, group_size=2)
    assert len(r.ended["length"]) == 20
    assert r.valid.sum() == r.ended["length"].sum()
    assert len(np.unique(r.ended["group"])) == 10


def listed(first=0, last=9):
    return Listed([Problem(i, {"length": 1 + i % 4}) for i in range(first, last)], shuffle=False)


def test_a_stream_of_problems_is_dealt_out_to_the_workers():
    whole = fleet(True, problems=listed()).collect(coin(Walk(1)), episodes=16, group_size=2)
    assert set(whole.ended["seed"]) == set(range(8))
    parts = [
        Sampler(Walk(3), seed=5, worker=i, problems=listed(4 * i)).collect(
            coin(Walk(1)), episodes=8, group_size=2
        )
        for i in range(2)
    ]
    same(whole, concatenate(parts))


def test_a_stream_learns_from_all_workers_at_once():
    stream = Curriculum([{"length": 2}, {"length": 4}], bar=0.9, episodes=16)  # even lengths are successes
    playing = fleet(True, problems=stream)
    playing.collect(coin(Walk(1)), steps=9)
    assert playing.get_state()["problems"]["taken"] == 0
    playing.collect(coin(Walk(1)), episodes=16)
    assert playing.get_state()["problems"] == {"taken": 16, "level": 1, "tried": 0, "solved": 0.0}


def seeking():
    return Seeking([{"length": 1}, {"length": 2}], seed=4, memory=2)  # only even lengths are successes


def test_what_a_seeking_stream_learns_is_the_same_on_ray(cluster):
    here, there = (fleet(local, problems=seeking()) for local in (True, False))
    for _ in range(3):
        same(*(f.collect(coin(Walk(1)), episodes=24, group_size=3) for f in (here, there)))
        assert here.told == there.told
    assert here.get_state()["problems"] == there.get_state()["problems"]
    assert max(here.get_state()["problems"]["worth"]) < 0.25  # all groups agree, so nothing is worth much
    there.close()


class Taker(Coin):
    """Takes as many stones as its weights say."""

    def act(self, obs, *, rng, first, memory=None, explore=True):
        stones = np.minimum(1 + int(self.bias), obs["planes"][:, 0].astype(np.int64))
        return Decision(stones - 1, fields={"bias": np.full(len(first), self.bias)})

    def spec(self):
        return {"path": "tests.rollouts.test_fleet:Taker", "options": {}}


def test_who_plays_plays_by_its_own_newest_weights():
    """Whatever its version: agents of equal spec, opponents, and one whose weights changed without a sync."""
    here, there = Sampler(Nim(4), seed=5), Fleet(NIM, n=4, workers=1, seed=5, local=True)
    spaces = here.env.single_observation_space, here.env.single_action_space
    me, opponent = Taker(*spaces), Taker(*spaces)
    for me.bias, opponent.bias in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0)):
        same(
            here.collect(me, steps=9, opponents=[opponent]), there.collect(me, steps=9, opponents=[opponent])
        )
    both = fleet(True)
    for bias in (3.0, 7.0):
        agent = coin(Walk(1))
        agent.bias = bias
        assert (both.collect(agent, steps=1).fields["bias"] == bias).all()


def test_ray_equals_the_same_workers_in_process(cluster):
    here, there = fleet(True, problems=listed()), fleet(False, problems=listed())
    agent = coin(Walk(1))
    for version in range(3):
        agent.bias = float(version)
        a, b = here.collect(agent, steps=8), there.collect(agent, steps=8)
        same(a, b)
        assert (b.version == version).all()
        assert (b.fields["bias"] == version).all()  # the weights that acted are those of that version
        here.sync(agent)
        there.sync(agent)
    state = there.get_state()
    a = there.collect(agent, episodes=12, group_size=3)
    same(here.collect(agent, episodes=12, group_size=3), a)
    again = fleet(True, problems=listed())
    assert again.set_state(state)
    same(again.collect(agent, episodes=12, group_size=3), a)
    there.close()


def test_ray_equals_in_process_with_a_network_on_an_arcade_game(cluster):
    import envs
    from agents.ppo import PPO

    game = {"id": "arcade/Breakout-v1"}
    env = envs.make(**game)
    learner = PPO(env.single_observation_space, env.single_action_space, seed=1)
    here, there = (Fleet(game, n=4, workers=2, seed=3, local=local) for local in (True, False))
    for _ in range(2):
        a, b = here.collect(learner.actor, steps=24), there.collect(learner.actor, steps=24)
        same(a, b)
    assert len(np.unique(a.actions)) > 1
    there.close()


BOARD = {"id": "board/TicTacToe-v0"}
SEARCHES = {
    "network": {"kind": "mlp", "hidden": [16]},
    "search": {"simulations": 8, "reuse": True},
    "fast": {"share": 0.5, "simulations": 4},
    "resign": {"below": 0.3, "control": 0.5},
    "n_steps": 6,
    "batch_size": 32,
}


@pytest.mark.slow
def test_ray_equals_in_process_with_a_search_on_a_board(cluster):
    import envs
    from search.alphazero import AlphaZero

    env = envs.make(**BOARD)
    learner = AlphaZero(env.single_observation_space, env.single_action_space, seed=1, **SEARCHES)
    here, there = (Fleet(BOARD, n=8, workers=2, seed=3, local=local) for local in (True, False))
    for _ in range(3):
        a, b = here.collect(learner.actor, **learner.wants), there.collect(learner.actor, **learner.wants)
        same(a, b)
    assert {"states", "weights", "control"} <= b.memory.keys()
    assert len(b.ended["episode"]) > 1
    assert len(np.unique(b.actions)) == 9
    there.close()


def test_training_on_ray_equals_the_same_workers_in_process(cluster, monkeypatch, tmp_path):
    import move37
    from move37 import build
    from tests.move37.runs import plain
    from tests.move37.test_workers import InProcess

    config = {
        "device": "cpu",
        "threads": 1,
        "env": BOARD | {"n": 8},
        "agent": {"kind": "alphazero"} | SEARCHES,
        "sampler": {"workers": 2},
        "budget": {"env_steps": 240},
        "log": {"every": 0},
    }
    there = move37.train(config, out=tmp_path / "there").metrics()
    monkeypatch.setattr(build, "Fleet", InProcess)
    assert plain(move37.train(config, out=tmp_path / "here").metrics()) == plain(there)
    assert there[-1]["gradient_steps"] > 10


def test_a_run_of_several_seats_goes_on_on_ray(cluster, monkeypatch):
    sent, put = [], cluster.put
    monkeypatch.setattr(cluster, "put", lambda value: sent.append(value) or put(value))
    there = Fleet(NIM, n=4, workers=1, seed=5)
    agent, opponent = coin(Nim(1)), coin(Nim(1))
    opponent.bias = 1.0
    for _ in range(2):
        r = there.collect(agent, steps=5, opponents=[opponent])
    assert [w["bias"][0] for w in sent] == [0, 1]  # each once, as nothing changed
    assert r.env_rewards.flags.writeable
    state = there.get_state()
    r = there.collect(agent, steps=5, opponents=[opponent])
    again = Fleet(NIM, n=4, workers=1, seed=5)
    assert again.set_state(state)
    same(again.collect(agent, steps=5, opponents=[opponent]), r)
    there.close()
    again.close()


def test_too_few_cores_are_told(cluster, monkeypatch):
    monkeypatch.setattr(fleet_module, "PATIENCE", 3.0)
    with pytest.raises(FleetError, match=r"^3 workers need 3 cores, and Ray has 2 in all: .* 3 seconds; .*$"):
        fleet(False, workers=3)


def test_a_killed_worker_is_named_and_replaced(cluster):
    there = fleet(False)
    there.collect(coin(Walk(1)), steps=2)
    cluster.kill(there.roster.places[1].actor)
    assert there.collect(coin(Walk(1)), steps=2).valid.all()
    assert there.take_news() == ["worker 1 was lost (killed, or out of memory); worker 2 takes its place"]
    there.close()


def test_what_a_fleet_says_of_itself(cluster):
    here, there = fleet(True), fleet(False)
    for playing in (here, there):
        playing.collect(coin(Walk(1)), steps=2)
        assert playing.told == {"fleet/workers": 2, "fleet/restarts": 0}
    there.close()


class Threads(Agent):
    """Tells how many threads torch and Atari games, once loaded, would use in the process where it acts."""

    def __init__(self, observation_space, action_space):
        pass

    def act(self, obs, *, rng, first, memory=None, explore=True):
        from envs.atari import _threads

        assert "torch" not in sys.modules  # it reads the environment when it is loaded
        rows = np.full((len(first), 2), (int(os.environ["OMP_NUM_THREADS"]), _threads()))
        return Decision(np.zeros(len(first), np.int64), fields={"threads": rows})


def test_a_worker_has_one_thread_whatever_the_driver_has(cluster, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    there = fleet(False)
    assert (there.collect(Threads(None, None), steps=1).fields["threads"] == 1).all()
    there.close()


def test_what_is_wrong_in_a_worker_is_raised_in_its_own_words(cluster):
    with pytest.raises(OptionError, match="has no option 'longst'; did you mean 'longest'") as error:
        Fleet({**WALK, "longst": 1}, n=2, workers=2)
    assert error.value.option == "longst"


def test_slots_that_cannot_be_shared_out():
    with pytest.raises(ValueError, match="4 slots cannot be shared out evenly to 3 workers"):
        Fleet(WALK, n=4, workers=3, local=True)


def test_text_on_ray_equals_text_in_process(cluster):
    """Of several turns and of one, by a language model before and after it learned, and by its expert."""
    import envs
    from llm_rl.policy import LanguagePolicy
    from llm_rl.solver import Solver

    task = {"id": "text/Mixed-v0", "families": {"Addition": 1, "GuessNumber": 1}}
    here, there = (Fleet(task, n=4, workers=2, seed=5, local=local) for local in (True, False))
    env = envs.make(n=1, **task)
    spaces = env.single_observation_space, env.single_action_space
    policy, solver = LanguagePolicy(*spaces, model={"size": "XS", "context": 96}, max_new=3), Solver(*spaces)
    for _ in range(2):
        for agent in (policy, solver):
            a, b = (playing.collect(agent, episodes=8, group_size=2) for playing in (here, there))
            same(a, b)
        policy.load_weights({name: array * 1.5 for name, array in policy.weights().items()})
    assert a.ended["success"].all()
    assert a.ended["length"].max() > a.ended["length"].min() == 1
