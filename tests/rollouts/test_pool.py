"""Pools of opponents: who is drawn, who leaves, what is remembered; and games against them."""

import numpy as np
import pytest

import envs
from agents.ppo import PPO
from agents.random import Random
from rollouts.fleet import Fleet
from rollouts.pool import FEWEST, RECENT, Frozen, Pool, chances, digest, least_missed
from rollouts.reward import Reward
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.rollouts.test_sampler import same
from tests.toys import Nim, coin


class Steady(type(coin(Nim(1)))):
    """Takes as many stones as its weights say, where there are so many."""

    def act(self, obs, *, rng, first, memory=None, explore=True):
        decision = super().act(obs, rng=rng, first=first, memory=memory)
        stones = np.minimum(1 + int(self.bias), obs["planes"][:, 0].astype(np.int64))
        return type(decision)(stones - 1, decision.memory, decision.fields)

    def spec(self):
        return {"path": "tests.rollouts.test_pool:Steady", "options": {}}


def steady(bias=0.0):
    env = Nim(1)
    agent = Steady(env.single_observation_space, env.single_action_space)
    agent.bias = float(bias)
    return agent


def pool(**options):
    return Pool(steady, **({"every": 10} | options))


def weights(bias):
    return lambda: {"bias": np.array([float(bias)])}


def games(*returns, place=1, seat=0):
    """The account of games that ended so, one after another."""
    k = len(returns)
    columns = {"time": np.arange(k), "seat": np.full(k, seat), "opponent": np.full(k, place)}
    return columns | {"return": np.array(returns, float)}


# -- who is drawn ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choose", "win_rates", "expected"),
    [
        ("uniform", [0.1, 0.5, 0.9], [1 / 3, 1 / 3, 1 / 3]),
        ("latest", [0.1, 0.5, 0.9], [0, 1, 0]),
        ("variance", [0.1, 0.5, 0.9], [0.09 / 0.43, 0.25 / 0.43, 0.09 / 0.43]),
        ("squared", [0.1, 0.5, 0.9], [0.81 / 1.07, 0.25 / 1.07, 0.01 / 1.07]),
        ("variance", [1.0, 1.0], [0.5, 0.5]),
        ("squared", [1.0, 1.0], [0.5, 0.5]),
        ("variance", [0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3]),
        ("squared", [1.0, 0.0], [0, 1]),
    ],
)
def test_chances_by_hand(choose, win_rates, expected):
    np.testing.assert_allclose(chances(choose, win_rates, newest=1), expected, rtol=1e-12)


def test_a_choice_that_is_none_is_told():
    with pytest.raises(ValueError, match=r"^choose is one of uniform, latest, .*, not 'best'$"):
        pool(choose="best")


def test_the_learner_itself_has_its_share_and_members_have_the_rest():
    playing = pool(itself=0.8, choose="squared", keep=3)
    assert playing.odds() == [1.0]
    for step in (0, 10):
        playing.grow(weights(step), step)
    assert playing.odds() == pytest.approx([0.8, 0.1, 0.1])
    playing.count(games(*[1] * FEWEST, place=1))  # nothing is left to learn from the first
    assert playing.odds() == pytest.approx([0.8, 0.0, 0.2])
    playing.count(games(*[1] * FEWEST, place=2))
    assert playing.odds() == pytest.approx([0.8, 0.1, 0.1])


def test_a_win_rate_is_of_the_newest_games_once_there_are_enough():
    playing = pool()
    playing.grow(weights(0), 0)
    member = playing.members[0]
    playing.count(games(*[-1] * (FEWEST - 1)))
    assert member.win_rate == 0.5
    playing.count(games(0, seat=1))
    assert member.win_rate == pytest.approx(0.5 / FEWEST)
    playing.count(games(*[1] * (RECENT - 1)))
    assert member.win_rate == pytest.approx((RECENT - 0.5) / RECENT)
    assert (member.seats[0], member.seats[1:].max()) == (1, 0)
    assert member.games == FEWEST + RECENT - 1
    assert playing.metrics() == {
        "pool/size": 1,
        "pool/win_rate": member.win_rate,
        "pool/worst": member.win_rate,
    }


def test_games_are_counted_in_their_order_and_for_their_member():
    playing = pool(stay=[steady(), steady(1)])
    ended = {
        "time": np.array([3, 1, 2, 0]),
        "opponent": np.array([2, 1, 2, 0]),
        "seat": np.array([0, 1, 1, 0]),
        "return": np.array([1.0, 0.0, -1.0, 1.0]),
    }
    playing.count(ended)
    one, two = playing.members
    assert (one.seats.tolist(), one.points.tolist()) == ([1], [0.5])
    assert (two.seats.tolist(), two.points.tolist()) == ([1, 0], [0, 1])


# -- who joins and leaves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joined", "leaves"),
    [
        ([0, 10], 0),
        ([0, 10, 20], 1),
        ([0, 10, 20, 30], 1),
        ([0, 20, 30, 40], 2),
        ([0, 20, 40, 50], 2),
        ([0, 90, 100], 1),
    ],
)
def test_the_least_missed_is_between_the_nearest_neighbours(joined, leaves):
    assert least_missed(joined) == leaves


def test_a_pool_stays_spread_over_the_whole_training():
    playing = pool(keep=6)
    for step in range(0, 1001, 10):
        playing.grow(weights(step), step)
        there = sorted(m.joined for m in playing.members if not m.leaves)
        assert len(there) == min(6, step // 10 + 1)
        assert (there[0], there[-1]) == (0, step)
        assert len(playing.members) <= 7
    assert max(np.diff(there)) <= 4 * min(np.diff(there)[:-1])
    assert all(m.agent.weights()["bias"] == m.joined for m in playing.members)


def test_whoever_leaves_keeps_its_place_until_the_next_one_joins():
    playing = pool(keep=2, itself=0.0)
    for step in (0, 10, 20):
        playing.grow(weights(step), step)
    assert [m.leaves for m in playing.members] == [False, True, False]
    assert playing.odds() == pytest.approx([0, 0.5, 0, 0.5])
    assert playing.opponents(steady(99))[2].weights()["bias"] == 10
    playing.grow(weights(29), 29)  # too early
    assert [m.joined for m in playing.members] == [0, 10, 20]
    playing.grow(weights(30), 30)
    assert [m.joined for m in playing.members] == [0, 30, 20]
    assert [m.leaves for m in playing.members] == [False, False, True]


def test_a_pool_that_is_to_keep_fewer_shrinks():
    playing = pool(keep=4)
    for step in (0, 10, 20, 30):
        playing.grow(weights(step), step)
    playing.keep = 2
    for step in (40, 50):
        playing.grow(weights(step), step)
        assert [m.joined for m in playing.members if not m.leaves] == [0, step]


def test_agents_that_stay_never_leave_and_may_be_all_there_are():
    stay = [steady(7)]
    playing = pool(keep=1, stay=stay)
    for step in range(0, 50, 10):
        playing.grow(weights(step), step)
    assert [m.joined for m in playing.members if not m.leaves] == [-1, 40]
    alone = pool(every=None, itself=0.0, stay=stay, choose="latest")
    alone.grow(weights(3), 100)
    assert alone.odds() == [0, 1]


def test_a_pool_is_restored_from_disk(tmp_path):
    whole = pool(keep=2, choose="squared", stay=[steady(7)])
    for step in (0, 10, 20):
        whole.grow(weights(step), step)
    whole.count(games(*[-1] * FEWEST, place=2))
    (tmp_path / "saved").mkdir()
    save_tree(tmp_path / "saved", whole.get_state(), tmp_path / "segments")
    again = pool(keep=2, choose="squared", stay=[steady(0)])
    again.set_state(load_tree(tmp_path / "saved", tmp_path / "segments"))
    assert again.odds() == whole.odds()
    for playing in (whole, again):
        playing.count(games(1, place=3))
        playing.grow(weights(30), 30)
    assert again.odds() == whole.odds()
    biases = [[float(o.weights()["bias"][0]) for o in p.opponents(steady(1))] for p in (whole, again)]
    assert biases[0] == biases[1] == [1, 7, 0, 30, 20]
    with pytest.raises(ValueError, match="saved with 1 agents that stay, not 0"):
        pool().set_state(whole.get_state())


def in_time(ended):
    """The columns of an account in the order in which games ended."""
    order = np.argsort(ended["time"], kind="stable")
    return {name: column[order] for name, column in ended.items()}


# -- games -------------------------------------------------------------------------------------------------


def test_odds_decide_who_is_met():
    env = Nim(8)
    agents = [steady(b) for b in (0, 1, 0)]
    r = Sampler(env, seed=3).collect(coin(env), episodes=1000, opponents=agents, odds=[3, 0, 1])
    shares = np.bincount(r.ended["opponent"], minlength=3) / 1000
    assert shares[1] == 0
    assert abs(shares[0] - 0.75) < 4 * (0.75 * 0.25 / 1000) ** 0.5
    assert abs(r.ended["seat"].mean() - 0.5) < 0.01
    mine = np.take_along_axis(r.ended["seat_returns"], r.ended["seat"][:, None], 1)[:, 0]
    np.testing.assert_array_equal(mine, r.ended["return"])


def test_a_return_is_the_learners_own():
    """Who takes one stone at a time wins against who takes two just where a single one is left to it."""
    env, me = Nim(6, most=3), steady(0)
    playing = pool(every=None, itself=0.0, stay=[steady(1)])
    how = {"opponents": playing.opponents(me), "odds": playing.odds()}
    r = Sampler(env, seed=5).collect(me, episodes=150, **how)
    playing.count(r.ended)
    assert (r.ended["opponent"] == 1).all()
    stones = r.obs["planes"][0, :, 0]
    for slot in range(6):
        assert (r.env_rewards[0, slot] == 1) == (stones[slot] == 1)
    member = playing.members[0]
    assert len(member.points) == 150
    np.testing.assert_array_equal(member.points == 1, in_time(r.ended)["return"] == 1)
    np.testing.assert_array_equal(member.seats, in_time(r.ended)["seat"])
    first, second = (member.points[member.seats == s].mean() for s in (0, 1))
    assert 0.2 < first < 0.47  # of one stone
    assert 0.2 < second < 0.47  # of three, of which two are taken


@pytest.mark.parametrize("odds", [[1.0], [1.0, -0.5], [0.0, 0.0]])
def test_odds_that_are_none_are_told(odds):
    env = Nim(2)
    with pytest.raises(ValueError, match="2 opponents need as many odds, none below 0"):
        Sampler(env).collect(coin(env), steps=1, opponents=[coin(env)] * 2, odds=odds)


def test_games_go_on_with_whom_they_began_while_the_pool_grows():
    env = Nim(6, most=9)
    sampler, me = Sampler(env, seed=1), steady(0)
    sampler.collect(me, steps=1, opponents=[steady(0)], odds=[1.0])
    begun = sampler.get_state()["slots"]["_opponent"]
    r = sampler.collect(me, steps=1, opponents=[steady(0), steady(1)], odds=[0.0, 1.0])
    going_on = ~(r.terminated[0] | r.truncated[0])
    now = sampler.get_state()["slots"]["_opponent"]
    assert going_on.any()
    assert (begun == 0).all()
    assert (now[going_on] == 0).all()
    assert (now[~going_on] == 1).all()
    with pytest.raises(ValueError, match="go on with all the opponents that they began with"):
        sampler.collect(me, steps=1, opponents=[steady(0)], odds=[1.0])


BOARD = {"id": "board/TicTacToe-v0"}


def ppo(env, **options):
    small = {"n_steps": 16, "network": {"kind": "grid", "channels": 8, "hidden": 32}} | options
    return PPO(env.single_observation_space, env.single_action_space, seed=1, **small)


def learned(sampler, learner, playing, updates):
    """Train a learner against a pool; the last rollout."""
    reward, steps = Reward({"env": 1.0}, sampler_parts()), 0
    for _ in range(updates):
        actor = learner.actor
        r = sampler.collect(actor, **learner.wants, opponents=playing.opponents(actor), odds=playing.odds())
        reward(r)
        learner.learn(r)
        sampler.sync(learner)
        steps += r.decisions
        playing.count(r.ended)
        playing.grow(actor.weights, steps)
    return r


def sampler_parts():
    return envs.make(**BOARD).parts


def test_past_weights_are_frozen_while_the_learner_learns():
    env = envs.make(n=16, **BOARD)
    learner = ppo(env, lr=3e-3)
    playing = Pool(lambda: ppo(env).actor, every=250, keep=4)
    playing.grow(learner.actor.weights, 0)
    first = playing.members[0].agent
    obs, _ = env.reset(seed=list(range(16)))

    def value(agent):
        return agent.act(obs, rng=np.arange(16, dtype=np.uint64), first=np.ones(16, bool)).fields["value"]

    before, known = value(first).copy(), digest(first.weights())
    np.testing.assert_array_equal(before, value(learner.actor))
    learned(Sampler(env, seed=2), learner, playing, 5)
    np.testing.assert_array_equal(value(first), before)
    assert digest(first.weights()) == first.digest == known
    assert not np.allclose(value(learner.actor), before)
    assert len(playing.members) == 5


def test_who_is_frozen_shares_no_array_with_whom_it_was_made_of():
    mine = {"bias": np.array([1.0])}
    frozen = Frozen(steady(), mine)
    mine["bias"][0] = 5.0
    assert frozen.weights()["bias"] == 1
    assert frozen.agent.bias == 1


def test_a_learner_beats_a_weak_member_soon():
    env = envs.make(n=64, **BOARD)
    weak = Random(env.single_observation_space, env.single_action_space)
    learner = ppo(env, lr=3e-3, minibatch_size=512, gamma=1.0)
    playing = Pool(lambda: ppo(env).actor, itself=0.0, stay=[weak])
    learned(Sampler(env, seed=2), learner, playing, 2)
    began = playing.members[0].win_rate
    learned(Sampler(env, seed=3), learner, playing, 28)
    assert began < 0.7
    assert playing.members[0].win_rate > 0.85


def test_a_fleet_plays_a_growing_pool_as_its_workers_would_here():
    """Two workers in this process are two samplers side by side, weights and odds and all."""
    env = envs.make(n=4, **BOARD)
    learner = ppo(env, lr=3e-3)
    playing = Pool(lambda: ppo(env).actor, every=100, keep=2, itself=0.3)
    fleet = Fleet(BOARD, n=8, workers=2, seed=3, local=True)
    alone = [Sampler(envs.make(n=4, **BOARD), seed=3, worker=i) for i in range(2)]
    met = set()
    for _ in range(6):
        how = {"opponents": playing.opponents(learner.actor), "odds": playing.odds(), **learner.wants}
        whole = fleet.collect(learner.actor, **how)
        parts = [sampler.collect(learner.actor, **how) for sampler in alone]
        np.testing.assert_array_equal(whole.actions, np.concatenate([p.actions for p in parts], axis=1))
        for name in ("opponent", "seat", "return", "episode"):
            np.testing.assert_array_equal(whole.ended[name], np.concatenate([p.ended[name] for p in parts]))
        Reward({"env": 1.0}, env.parts)(whole)
        learner.learn(whole)
        playing.count(whole.ended)
        playing.grow(learner.actor.weights, 10**6 * (1 + len(met)))
        met |= set(whole.ended["opponent"].tolist())
    assert met >= {0, 1, 2, 3}


def test_frozen_weights_are_digested_once(monkeypatch):
    from rollouts import fleet as fleet_module

    playing = pool(stay=[steady(1), steady(2)])
    seen = []
    monkeypatch.setattr(fleet_module, "digest", lambda w: seen.append(1) or digest(w))
    workers = Fleet({"id": "tests.toys:Nim"}, n=4, workers=2, seed=5, local=True)
    me = steady(0)
    a = workers.collect(me, steps=4, opponents=playing.opponents(me), odds=playing.odds())
    assert len(seen) == 2  # of the learner, in either place
    again = Fleet({"id": "tests.toys:Nim"}, n=4, workers=2, seed=5, local=True)
    same(again.collect(me, steps=4, opponents=playing.opponents(me), odds=playing.odds()), a)


@pytest.mark.slow
def test_ray_plays_a_growing_pool_as_workers_in_process_do():
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        env = envs.make(n=4, **BOARD)
        learner, weak = ppo(env, lr=3e-3), Random(env.single_observation_space, env.single_action_space)
        playing = Pool(lambda: ppo(env).actor, every=128, keep=2, itself=0.3, stay=[weak])
        here, there = (Fleet(BOARD, n=8, workers=2, seed=3, local=local) for local in (True, False))
        for step in range(0, 768, 128):
            playing.grow(learner.actor.weights, step)
            how = {"opponents": playing.opponents(learner.actor), "odds": playing.odds(), **learner.wants}
            a, b = here.collect(learner.actor, **how), there.collect(learner.actor, **how)
            same(a, b)
            Reward({"env": 1.0}, env.parts)(a)
            learner.learn(a)
            playing.count(a.ended)
        assert set(np.unique(b.ended["opponent"])) >= {0, 1, 2}
        there.close()
    finally:
        ray.shutdown()
