import copy
import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats

from agents.dqn import DQN, RAINBOW
from agents.q_actor import QActor
from agents.q_losses import best_actions, huber_loss, make_goals, take_action
from agents.q_networks import NoisyLinear, QNetwork
from agents.replay import Replay
from agents.replay.sum_tree import set_leaves
from envs.rng import from_seeds
from move37.advice import WINDOW, Adviser
from rollouts.build import build_agent
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.streams import Stream
from tests.toys import Nim, Toy

torch.set_num_threads(1)  # tiny networks: a second thread only waits
NUMBER, THREE = spaces.Box(-np.inf, np.inf, (1,), np.float32), spaces.Discrete(3)
SMALL = {"kind": "vector", "hidden": [32], "activation": "relu"}
ATOMS = {"atoms": 31, "v_min": -1.0, "v_max": 2.0}
SWITCHES = {
    "plain": {},
    "double": {"double": True},
    "dueling": {"dueling": True},
    "n_step": {"n_step": 3},
    "prioritised": {"prioritised": True},
    "distributional": {"distributional": ATOMS},
    "noisy": {"noisy": True},
    "rainbow": {**RAINBOW, "distributional": ATOMS},
}


class Corridors(Toy):
    """The first action picks one of two corridors of three rooms; later actions change nothing.

    Rooms 1, 2, 3 pay 0, 0, 1 and end. Rooms 4, 5, 6 pay 0.5, 0, −0.2 and are cut, before room 2 is seen.
    """

    pay = np.array([0, 0, 0, 1, 0.5, 0, -0.2], np.float32)
    saved = ("room",)

    def __init__(self, n=1, seed=None):
        super().__init__(n, spaces.Box(0, 1, (7,), np.float32), spaces.Discrete(2))
        self.room = np.zeros(n, np.int64)

    def _obs(self):
        return np.eye(7, dtype=np.float32)[self.room]

    def _begin(self, slots, seeds, options):
        self.room[slots] = 0

    def step(self, actions):
        rewards, ended, cut = self.pay[self.room], self.room == 3, self.room == 6
        self.room = np.where(self.room == 0, np.where(actions == 0, 1, 4), self.room + 1)
        final = np.eye(7, dtype=np.float32)[np.full(self.num_envs, 2)]
        self.room[ended | cut] = 0
        return self._obs(), rewards, ended, cut, {"final_obs": final, "parts": {}}


def corridor_values(gamma):
    """The best values `[7, 2]` of the Corridors, by hand."""
    v = np.zeros(7)
    v[3], v[2], v[1] = 1, gamma, gamma**2
    v[6] = -0.2 + gamma * v[2]
    v[5] = gamma * v[6]
    v[4] = 0.5 + gamma * v[5]
    q = np.repeat(v[:, None], 2, axis=1)
    q[0] = gamma * v[[1, 4]]
    return q


def train(learner, env, updates):
    sampler = Sampler(env, seed=1)
    for i in range(updates):
        learner.progress = i / updates
        rollout = sampler.collect(learner.actor, **learner.wants)
        rollout.rewards = rollout.env_rewards
        metrics = learner.learn(rollout)
    return metrics


def values(learner, obs):
    with torch.no_grad():
        return learner.online.values(learner.online(torch.as_tensor(obs))).numpy()


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_switch_and_all_together_learn_a_small_world(switch):
    env = Corridors(16)
    learner = DQN(
        env.single_observation_space,
        env.single_action_space,
        gamma=0.9,
        lr=3e-3,
        batch_size=64,
        learning_starts=128,
        target_every=128,
        replay_capacity=4000,
        epsilon={"end": 0.5, "steps": 1000},
        network=SMALL,
        **SWITCHES[switch],
    )
    metrics = train(learner, env, 120)
    np.testing.assert_allclose(values(learner, np.eye(7, dtype=np.float32)), corridor_values(0.9), atol=0.03)
    assert metrics["replay_ratio"] == pytest.approx(8, rel=0.02)
    assert {"q_loss", "q_mean", "epsilon", "replay_size", "grad_norm", "lr"} <= metrics.keys()


@pytest.mark.parametrize("n_step", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_other_players_turn_is_a_loss_and_masks_are_kept(n_step):
    """Nim: who takes the last stone wins. One agent holds both seats and learns who wins from where."""
    env = Nim(16)
    gamma = 0.9
    learner = DQN(
        env.single_observation_space,
        env.single_action_space,
        gamma=gamma,
        lr=3e-3,
        batch_size=64,
        n_step=n_step,
        learning_starts=128,
        target_every=256,
        epsilon={"start": 0.5, "end": 0.02, "steps": 15_000},
        double=True,
        network={"kind": "vector", "hidden": [64, 64], "activation": "relu"},
    )
    train(learner, env, 300)
    best = np.zeros(8)
    for stones in range(1, 8):
        best[stones] = max(1 if k == stones else -gamma * best[stones - k] for k in (1, 2) if k <= stones)
    got = values(learner, np.arange(1, 8, dtype=np.float32)[:, None])
    got[0, 1] = -np.inf  # taking two of one stone is not legal, and never learned
    np.testing.assert_array_equal(np.sign(got.max(1)), np.sign(best[1:]))
    if n_step == 1:  # with more, the values are those of play that sometimes strays
        np.testing.assert_allclose(got.max(1), best[1:], atol=0.2)


def make(n=4, **options):
    options = {"network": SMALL, "batch_size": 16, "learning_starts": 40, **options}
    return DQN(NUMBER, THREE, **options), Stream(n, seed=5)


@pytest.mark.parametrize("switch", ["plain", "rainbow"])
def test_a_stopped_and_resumed_learner_takes_the_very_same_steps(tmp_path, switch):
    options = dict(replay_capacity=200, target_every=64, replay_ratio=7.3, **SWITCHES[switch])
    one, stream = make(**options)
    for _ in range(30):
        one.learn(stream.fragment(5))
    assert one.gradient_steps > 100
    assert one.debt > 0
    (tmp_path / "state").mkdir()
    save_tree(tmp_path / "state", one.state_dict(), tmp_path / "segments")
    other, _ = make(seed=99, **options)
    other.load_state_dict(load_tree(tmp_path / "state", tmp_path / "segments"))
    assert other.actor.epsilon == one.actor.epsilon
    for _ in range(30):
        rollout = stream.fragment(5)
        assert one.learn(rollout) == other.learn(rollout)
    for a, b in zip(one.online.parameters(), other.online.parameters()):
        assert torch.equal(a, b)


def test_a_state_before_the_first_rollout_can_be_loaded():
    one, _ = make(seed=1)
    other, _ = make(seed=2)
    other.load_state_dict(one.state_dict())
    assert other.replay is None
    np.testing.assert_array_equal(other.weights()["advantage.weight"], one.weights()["advantage.weight"])


def test_another_architecture_is_refused_by_name():
    plain, _ = make()
    dueling, _ = make(dueling=True)
    with pytest.raises(ValueError, match=r"value\.weight"):
        dueling.load_state_dict(plain.state_dict())
    wide, _ = make(network={"kind": "vector", "hidden": [64]})
    with pytest.raises(ValueError, match=r"another architecture: .*weight"):
        wide.load_state_dict(plain.state_dict())


@pytest.mark.parametrize(("slots", "steps"), [(1, 7), (4, 5), (32, 1)])
@pytest.mark.parametrize(("ratio", "batch"), [(8, 16), (0.25, 5)])
def test_the_replay_ratio_holds_for_any_number_of_slots(slots, steps, ratio, batch):
    learner, _ = make(replay_ratio=ratio, batch_size=batch, learning_starts=100)
    stream, rows, logged = Stream(slots, idle=0.2), 0, []
    while rows < 700:
        rollout = stream.fragment(steps)
        rows += rollout.decisions
        metrics = learner.learn(rollout)
        assert learner.env_steps == rows
        assert learner.gradient_steps == int(max(0, rows - 100) * ratio / batch)
        assert ("replay_ratio" in metrics) == (rows > 100)
        logged.append(metrics.get("replay_ratio", 0.0) * min(rollout.decisions, max(0, rows - 100)))
    assert sum(logged) == pytest.approx(learner.gradient_steps * batch)
    assert sum(logged) / (rows - 100) == pytest.approx(ratio, rel=0.1)


def test_the_ratio_that_is_logged_is_this_updates_so_a_new_one_shows_at_once():
    options = {"learning_starts": 100, "replay_capacity": 1000}
    before, stream = make(replay_ratio=8, **options)
    for _ in range(30):
        before.learn(stream.fragment(4))
    after, _ = make(replay_ratio=2, **options)
    after.load_state_dict(before.state_dict())
    adviser = Adviser(slots=4, replay_ratio=2)
    seen = [after.learn(stream.fragment(40)) for _ in range(WINDOW + 1)]
    assert [x["replay_ratio"] for x in seen] == pytest.approx([2.0] * len(seen), rel=0.1)
    assert not any("replay_ratio" in text for x in seen for text in adviser.read(x))


@pytest.mark.parametrize("batch", [16, 100])
def test_a_replay_that_has_not_begun_or_waits_for_a_whole_batch_is_not_warned_of(batch):
    learner, stream = make(replay_ratio=0.5, batch_size=batch, learning_starts=200, replay_capacity=1000)
    adviser, told = Adviser(slots=4, replay_ratio=0.5), []
    for _ in range(150):
        told += adviser.read(learner.learn(stream.fragment(10)))
    assert learner.gradient_steps > 20
    assert not [text for text in told if "replay_ratio" in text]


@pytest.mark.parametrize(("slots", "steps"), [(1, 10), (5, 2), (10, 3)])
def test_the_target_network_is_copied_every_so_many_env_steps(slots, steps):
    learner, _ = make(target_every=60, learning_starts=0, lr=1e-2)
    stream, copies = Stream(slots, idle=0.0), 0
    before = copy.deepcopy(learner.target.state_dict())
    for k in range(1, 31):
        learner.learn(stream.fragment(steps))
        after = copy.deepcopy(learner.target.state_dict())
        changed = any(not torch.equal(before[name], after[name]) for name in before)
        due = k * slots * steps // 60 > (k - 1) * slots * steps // 60
        assert changed == due
        copies += changed
        before = after
    assert copies == 30 * slots * steps // 60


def test_targets_are_those_of_dqn_and_of_double_dqn():
    rng = np.random.default_rng(0)
    target, online = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    mask = rng.random((40, 3)) < 0.6
    mask[:, 1] |= ~mask.any(1)
    returns, discounts = rng.normal(size=40), rng.choice([0, 0.9, 0.81, -0.9], 40)
    for judge in (target, online):
        picks = best_actions(torch.as_tensor(judge), torch.as_tensor(mask))
        following = take_action(torch.as_tensor(target)[:, :, None], picks)
        got = make_goals(following, torch.zeros(1), torch.as_tensor(returns), torch.as_tensor(discounts))
        for i in range(40):
            legal = [a for a in range(3) if mask[i, a]]
            best = max(legal, key=lambda a: judge[i, a])
            assert float(got[i, 0]) == pytest.approx(returns[i] + discounts[i] * target[i, best])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("atoms", [False, ATOMS])
def test_the_learner_uses_each_network_for_its_part(double, atoms):
    learner, stream = make(double=double, distributional=atoms, n_step=2, gamma=0.9)
    with torch.no_grad():
        for p in learner.target.advantage.parameters():
            p.neg_()
    rollout = stream.fragment(9)
    learner.learn(rollout)
    batch = learner.replay.sample(32, from_seeds([0]))
    next_obs = torch.as_tensor(batch.obs[32:])
    learner.batch_size = 32
    got = learner._goals(batch, next_obs, 1)
    with torch.no_grad():
        theirs, ours = learner.target(next_obs), learner.online(next_obs)
    judge = learner.online.values(ours) if double else learner.target.values(theirs)
    other = learner.target.values(theirs) if double else learner.online.values(ours)
    assert (judge.argmax(1) != other.argmax(1)).any()
    following = torch.stack([theirs[i, judge[i].argmax()] for i in range(32)])
    wanted = make_goals(
        following, learner.target.support, torch.as_tensor(batch.returns), torch.as_tensor(batch.discounts)
    )
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("double", [False, True])
def test_targets_keep_to_what_is_legal_next(double):
    space = spaces.Dict(planes=NUMBER, action_mask=spaces.MultiBinary(3))
    learner, stream = DQN(space, THREE, network=SMALL, batch_size=64, double=double), Stream(4, seed=5)
    rollout = stream.fragment(30)
    favourite = int(learner.target(torch.zeros(1, 1))[0, :, 0].argmax())
    for name in ("obs", "final_obs"):
        mask = np.ones((*getattr(rollout, name).shape[:-1], 3), np.int8)
        mask[..., favourite] = 0
        setattr(rollout, name, {"planes": 0 * getattr(rollout, name), "action_mask": mask})
    learner.learn(rollout)
    batch = learner.replay.sample(64, from_seeds([0]))
    q = np.sort(learner.target(torch.zeros(1, 1)).detach().numpy()[0, :, 0])
    goals = learner._goals(batch, torch.as_tensor(batch.obs[64:]), 1).numpy()[:, 0]
    np.testing.assert_allclose(goals, batch.returns + batch.discounts * q[1], rtol=1e-4, atol=1e-5)


def test_huber_loss_is_quadratic_then_linear():
    q = torch.tensor([0.0, 0.5, -1.0, 3.0, -9.0], requires_grad=True)
    loss, error = huber_loss(q, torch.zeros(5))
    np.testing.assert_allclose(loss.detach(), [0, 0.125, 0.5, 2.5, 8.5])
    np.testing.assert_allclose(error, [0, 0.5, 1, 3, 9])
    loss.sum().backward()
    np.testing.assert_allclose(q.grad, [0, 0.5, -1, 1, -1])


def test_importance_weights_multiply_each_items_loss():
    learner, stream = make(prioritised={"alpha": 1.0, "beta": 0.5}, batch_size=32, max_grad_norm=None, lr=0.0)
    learner.learn(stream.fragment(10))
    replay = learner.replay
    replay.sampler.update(replay.sample(16, from_seeds([3])).at, np.linspace(0, 5, 16))
    drawn = replay.sample(32, learner.rng.copy(), 0.5)
    assert drawn.weights.min() < 0.8
    reference = copy.deepcopy(learner.online)
    obs, next_obs = torch.as_tensor(drawn.obs).chunk(2)
    with torch.no_grad():
        goal = drawn.returns + drawn.discounts * learner.target(next_obs).squeeze(2).max(1).values.numpy()
    total = 0.0
    for i in range(32):
        q = reference(obs[i : i + 1])[0, drawn.actions[i], 0]
        delta = (q - float(goal[i])).abs()
        total = total + float(drawn.weights[i]) * torch.where(delta < 1, delta**2 / 2, delta - 0.5) / 32
    total.backward()
    stats_ = learner._update(replay, 1)
    assert float(stats_[0][0]) == pytest.approx(total.item(), rel=1e-5)
    for a, b in zip(learner.online.parameters(), reference.parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7)


def test_replayed_items_get_the_priority_of_their_own_error():
    learner, stream = make(prioritised={"alpha": 0.5, "beta": 0.5}, batch_size=32, lr=0.0)
    learner.learn(stream.fragment(10))
    replay = learner.replay
    leaves = replay.sampler.tree[len(replay.sampler.tree) // 2 :]
    leaves[leaves > 0] = 1.0  # as if they had never been replayed
    set_leaves(replay.sampler.tree, np.flatnonzero(leaves > 0), leaves[leaves > 0])
    drawn = replay.sample(64, learner.rng.copy(), 0.5)
    learner._update(replay, 2)
    obs, next_obs = torch.as_tensor(drawn.obs).chunk(2)
    with torch.no_grad():
        q = learner.online(obs).squeeze(2).gather(1, torch.as_tensor(drawn.actions)[:, None])[:, 0].numpy()
        goal = drawn.returns + drawn.discounts * learner.target(next_obs).squeeze(2).max(1).values.numpy()
    np.testing.assert_allclose(leaves[drawn.at], np.sqrt(np.abs(q - goal) + 1e-6), rtol=1e-3, atol=1e-3)
    assert (leaves[leaves > 0] != 1).sum() == len(set(drawn.at))


def test_beta_rises_to_one_over_the_budget():
    learner, stream = make(prioritised={"alpha": 0.5, "beta": 0.4})
    learner.learn(stream.fragment(10))
    replay, asked = learner.replay, []

    def sample(k, rng, beta):
        asked.append(beta)
        return Replay.sample(replay, k, rng, beta)

    replay.sample = sample
    for learner.progress in (0.0, 0.5, 1.0):
        learner._update(replay, 1)
    assert asked == pytest.approx([0.4, 0.7, 1.0])


def test_gradients_are_clipped_to_their_global_norm():
    for limit in (1e-3, None):
        learner, stream = make(max_grad_norm=limit)
        norm = learner.learn(stream.fragment(20))["grad_norm"]
        stepped = float(torch.nn.utils.get_total_norm([p.grad for p in learner.online.parameters()]))
        assert norm > 1e-2  # that of before
        assert stepped == pytest.approx(1e-3, rel=1e-3) if limit else stepped > 1e-2


def test_a_noisy_network_strays_by_chance_too_where_it_is_asked_to():
    learner, _ = make(noisy=True, epsilon={"start": 1.0, "steps": 100}, replay_ratio=0)
    assert learner.actor.epsilon == 1.0
    learner.learn(Stream(5, idle=0.0).fragment(10))
    assert learner.actor.epsilon == pytest.approx(0.5)
    assert make(noisy=True, epsilon={"start": 1.0})[0].actor.epsilon == 1.0
    assert make(noisy=True)[0].actor.epsilon == 0.0


def test_epsilon_falls_in_a_line_over_env_steps_whatever_the_slots():
    for slots in (1, 8):
        learner, _ = make(epsilon={"start": 0.9, "end": 0.1, "steps": 400}, replay_ratio=0)
        stream, rows = Stream(slots, idle=0.0), 0
        assert learner.actor.epsilon == pytest.approx(0.9)
        while rows < 600:
            metrics = learner.learn(stream.fragment(4))
            rows += 4 * slots
            assert metrics["epsilon"] == pytest.approx(max(0.1, 0.9 - 0.8 * rows / 400))
            assert float(learner.weights()["epsilon"]) == pytest.approx(metrics["epsilon"])


def act(actor, obs, rng, **options):
    first = np.zeros(len(rng), bool)
    return actor.act(obs, rng=rng, first=first, **options).actions


def test_each_slot_throws_its_own_coin():
    actor, n = QActor(NUMBER, THREE, network=SMALL), 4000
    obs, rng = np.zeros((n, 1), np.float32), from_seeds(range(n))
    greedy = act(actor, obs, rng)[0]
    actor.epsilon = 0.3
    actions = act(actor, obs, rng)
    strayed = (actions != greedy).mean()
    assert strayed == pytest.approx(0.3 * 2 / 3, abs=0.03)
    assert (
        stats.chisquare(np.bincount(actions[actions != greedy], minlength=3)[np.arange(3) != greedy]).pvalue
        > 1e-3
    )
    again = act(actor, obs[:7], from_seeds(range(7)))
    alone = [act(actor, obs[:1], from_seeds([i]))[0] for i in range(7)]
    np.testing.assert_array_equal(again, alone)  # a row's choice is its own generator's
    assert (act(actor, obs, rng, explore=False) == greedy).all()
    actor.eval_epsilon = 1.0
    assert len(set(act(actor, obs, rng, explore=False))) == 3


def test_acting_keeps_to_the_mask_and_to_the_spaces_start():
    space = spaces.Dict(planes=NUMBER, action_mask=spaces.MultiBinary(3))
    actor = QActor(space, spaces.Discrete(3, start=5), network=SMALL)
    rng, mask = from_seeds(range(300)), np.random.default_rng(0).random((300, 3)) < 0.5
    mask[:, 2] |= ~mask.any(1)
    obs = {"planes": np.random.default_rng(1).normal(size=(300, 1)).astype(np.float32), "action_mask": mask}
    for actor.epsilon in (0.0, 0.5, 1.0):
        actions = act(actor, obs, rng)
        assert mask[np.arange(300), actions - 5].all()
    mask[4] = False
    for actor.epsilon in (0.0, 1.0):
        with pytest.raises(ValueError, match="row 4 has no legal action"):
            act(actor, obs, rng)


def test_noisy_rows_have_their_own_noise_anew_each_time_and_none_when_not_exploring():
    actor, n = QActor(NUMBER, THREE, network=SMALL, noisy=True, dueling=True), 2000
    obs, rng = np.zeros((n, 1), np.float32), from_seeds(range(n))
    first = act(actor, obs, rng)
    assert len(set(first)) > 1
    assert (act(actor, obs, rng) != first).mean() > 0.1
    np.testing.assert_array_equal(first[:5], act(actor, obs[:5], from_seeds(range(5))))
    assert len(set(act(actor, obs, rng, explore=False))) == 1
    with torch.no_grad():
        mean = actor.network.values(actor.network(torch.zeros(1, 1)))
    assert int(mean.argmax()) == act(actor, obs, rng, explore=False)[0]


def test_a_noisy_layer_is_the_papers():
    torch.manual_seed(0)
    layer, x, noise = NoisyLinear(5, 3), torch.randn(4, 5), torch.randn(4, 8)
    nn_bound = 1 / np.sqrt(5)
    assert layer.weight.abs().max() <= nn_bound
    assert layer.weight_sigma.unique().item() == pytest.approx(0.5 * nn_bound)
    with torch.no_grad():
        out = layer(x, noise)
        for i in range(4):
            f = [np.sign(e) * np.sqrt(abs(e)) for e in noise[i].numpy()]
            weight = layer.weight.numpy() + layer.weight_sigma.numpy() * np.outer(f[5:], f[:5])
            bias = layer.bias.numpy() + layer.bias_sigma.numpy() * np.array(f[5:])
            np.testing.assert_allclose(out[i], weight @ x[i].numpy() + bias, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_an_update_has_one_noise_for_all_its_items_and_another_than_the_next():
    learner, _ = make(noisy=True, batch_size=6)
    obs = torch.ones(18, 1)
    out = learner._forward(learner.online, obs, 3).detach()[:, 0, 0]
    for update in range(3):
        assert out[update::3].unique().numel() == 1
    assert out.unique().numel() == 3
    single = learner._forward(learner.online, obs).detach()[:, 0, 0]
    assert single.unique().numel() == 1
    assert single[0] not in out


def test_learned_noise_sees_gradients():
    learner, stream = make(noisy=True)
    before = learner.weights()["advantage.weight_sigma"]
    for _ in range(5):
        learner.learn(stream.fragment(5))
    assert (learner.weights()["advantage.weight_sigma"] != before).mean() > 0.2  # all but dead features


@pytest.mark.parametrize("atoms", [False, ATOMS])
def test_dueling_takes_the_mean_advantage_away(atoms):
    network = QNetwork(NUMBER, 3, network=SMALL, dueling=True, distributional=atoms)
    x = torch.randn(6, 1)
    with torch.no_grad():
        features = network.encoder(x)
        a = network.advantage(features).reshape(6, 3, -1)
        v = network.value(features)
        out = network(x)
        for i in range(6):
            for action in range(3):
                wanted = v[i] + a[i, action] - (a[i, 0] + a[i, 1] + a[i, 2]) / 3
                torch.testing.assert_close(out[i, action], wanted)
        torch.testing.assert_close(out.mean(1), v)


def test_a_worker_builds_the_same_actor_from_its_spec_and_weights():
    learner, stream = make(**SWITCHES["rainbow"], epsilon={"start": 0.5, "end": 0.5}, eval_epsilon=0.1)
    learner.learn(stream.fragment(30))
    other = build_agent(learner.actor.spec(), NUMBER, THREE)
    other.load_weights(learner.weights())
    obs = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    for explore in (True, False):
        rng = from_seeds(range(50)), from_seeds(range(50))
        np.testing.assert_array_equal(
            act(other, obs, rng[0], explore=explore), act(learner, obs, rng[1], explore=explore)
        )
    with pytest.raises(ValueError, match="architecture"):
        other.load_weights({"epsilon": np.array(0.0)})


def test_bf16_learns_too():
    learner, stream = make(precision="bf16", **SWITCHES["rainbow"])
    metrics = learner.learn(stream.fragment(50))
    assert np.isfinite(metrics["q_loss"])


def test_actions_that_cannot_be_counted_are_refused():
    with pytest.raises(ValueError, match=r"Discrete .* PPO"):
        DQN(NUMBER, gym.spaces.Box(-1, 1, (2,)))


def test_a_rollout_without_rewards_is_refused():
    learner, stream = make()
    with pytest.raises(ValueError, match="rewards"):
        learner.learn(dataclasses.replace(stream.fragment(2), rewards=None))
