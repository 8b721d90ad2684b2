import numpy as np
import pytest
import torch
from gymnasium import spaces

import envs
from agents.experience import experience_of
from agents.policy import Normaliser, PolicyActor
from agents.ppo import PPO, ppo_loss
from envs import rng
from rollouts.build import build_agent
from rollouts.reward import Reward
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.toys import Nim, Walk

torch.set_num_threads(1)  # networks this small are fastest so
VECTOR = spaces.Box(-1, 1, (4,))
GRID = spaces.Box(0, 1, (5, 5, 3), bool)
BOARD = spaces.Dict(planes=VECTOR, action_mask=spaces.MultiBinary(3))
CASES = {
    "discrete": (VECTOR, spaces.Discrete(3), {}),
    "grid": (GRID, spaces.Discrete(3), {"network": {"channels": 4, "hidden": 16}}),
    "shared": (VECTOR, spaces.Discrete(3), {"share": True}),
    "multi": (VECTOR, spaces.MultiDiscrete([3, 2]), {}),
    "box": (VECTOR, spaces.Box(-1, 1, (2,)), {}),
    "masked": (BOARD, spaces.Discrete(3), {}),
    "normalised": (VECTOR, spaces.Box(-1, 1, (2,)), {"normalise_obs": True}),
}


def observe(space, shape, g):
    if isinstance(space, spaces.Dict):
        mask = g.random((*shape, 3)) < 0.5
        mask[..., 1] = True
        return {"planes": observe(space["planes"], shape, g), "action_mask": mask.astype(np.int8)}
    x = g.normal(3.0, 2.0, size=(*shape, *space.shape))
    return x > 3 if space.dtype == bool else x.astype(np.float32)


def at(obs, index):
    return {k: v[index] for k, v in obs.items()} if isinstance(obs, dict) else obs[index]


def play(learner, space, steps=16, n=6, seed=0, **columns):
    """A rollout that the learner's actor played on random observations, with random ends and rewards."""
    g = np.random.default_rng(seed)
    obs, states = observe(space, (steps + 1, n), g), rng.from_seeds(range(n))
    decisions = [learner.act(at(obs, t), rng=states, first=np.zeros(n, bool)) for t in range(steps)]
    terminated, truncated = g.random((2, steps, n)) < 0.1
    rewards = g.normal(size=(steps, n)).astype(np.float32)
    named = {
        "terminated": terminated,
        "truncated": truncated,
        "valid": np.ones((steps, n), bool),
        "first": np.zeros((steps, n), bool),
        "sign": np.ones((steps, n), np.float32),
        **dict.fromkeys(("episode", "group", "seed"), np.zeros((steps, n), np.int64)),
        "rewards": rewards,
        **columns,
    }
    ends = np.argwhere(named["terminated"] | named["truncated"])
    return Rollout(
        obs=obs,
        actions=np.stack([d.actions for d in decisions]),
        env_rewards=rewards,
        final_obs=observe(space, (len(ends),), g),
        final_at=ends,
        fields={k: np.stack([d.fields[k] for d in decisions]) for k in ("log_prob", "value")},
        **named,
    )


def make(case, **options):
    space, actions, given = CASES[case]
    return PPO(space, actions, **given, **options), space


def same(a, b):
    return all((a[name] == b[name]).all() for name in a)


@pytest.mark.parametrize("case", CASES)
def test_the_first_minibatch_finds_the_policy_as_it_acted(case):
    learner, space = make(case, epochs=1, minibatch_size=10_000)
    for _ in range(3):  # later too: the normaliser has moved by then
        metrics = learner.learn(play(learner, space))
        assert abs(metrics["approx_kl"]) < 1e-6
        assert metrics["clip_fraction"] == 0
        assert abs(metrics["policy_loss"]) < 1e-5  # minus the mean of a normalised advantage
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize("case", ["discrete", "grid", "multi", "box", "masked"])
def test_learning_makes_good_actions_likelier(case):
    learner, space = make(case, epochs=30, lr=1e-2, gamma=0.0, anneal_lr=False, target_kl=None)
    rollout = play(learner, space, steps=32)
    good = rollout.actions.reshape(*rollout.valid.shape, -1)[..., 0] > 0
    rollout.rewards = good.astype(np.float32)
    before = good.mean()
    for seed in range(3):
        learner.learn(rollout)
        rollout = play(learner, space, steps=32, seed=seed + 1)
        good = rollout.actions.reshape(*rollout.valid.shape, -1)[..., 0] > 0
        rollout.rewards = good.astype(np.float32)
    assert good.mean() > before + 0.15


def plain_loss(log_prob, entropy, value, numbers, clip, clip_value, value_coef, entropy_coef):
    total = 0.0
    advantage = (numbers[2] - numbers[2].mean()) / (numbers[2].std(ddof=1) + 1e-8)
    for i in range(len(value)):
        ratio = np.exp(log_prob[i] - numbers[0, i])
        gain = min(ratio * advantage[i], min(max(ratio, 1 - clip), 1 + clip) * advantage[i])
        error = (value[i] - numbers[3, i]) ** 2
        if clip_value is not None:
            near = numbers[1, i] + min(max(value[i] - numbers[1, i], -clip_value), clip_value)
            error = max(error, (near - numbers[3, i]) ** 2)
        total += -gain + value_coef * 0.5 * error - entropy_coef * entropy[i]
    return total / len(value)


@pytest.mark.parametrize("clip_value", [None, 0.1])
def test_the_loss_against_a_plain_one(clip_value):
    g = np.random.default_rng(0)
    log_prob, entropy, value, numbers = g.normal(size=9), g.random(9), g.normal(size=9), g.normal(size=(4, 9))
    options = {"clip": 0.2, "clip_value": clip_value, "value_coef": 0.7, "entropy_coef": 0.03}
    tensors = [torch.from_numpy(x) for x in (log_prob, entropy, value, numbers)]
    loss, stats = ppo_loss(*tensors, normalise_advantage=True, **options)
    assert float(loss) == pytest.approx(plain_loss(log_prob, entropy, value, numbers, **options), rel=1e-9)
    ratio = np.exp(log_prob - numbers[0])
    assert float(stats[3]) == pytest.approx((ratio - 1 - np.log(ratio)).mean(), rel=1e-9)
    assert float(stats[4]) == (abs(ratio - 1) > 0.2).mean()


def test_a_minibatch_of_one_keeps_its_advantage():
    one = torch.ones(1)
    loss, _ = ppo_loss(
        one, one, one, torch.tensor([[1.0], [1], [3], [1]]), clip=0.2, clip_value=None, value_coef=1.0,
        entropy_coef=0.0, normalise_advantage=True,
    )  # fmt: skip
    assert float(loss) == -3.0


def test_returns_bootstrap_from_the_true_last_observation_and_from_nothing_after_an_end():
    learner, space = make("discrete", gamma=0.9, gae_lambda=1.0)
    truncated, terminated = np.zeros((2, 4, 3), bool)
    truncated[1, 0] = terminated[2, 1] = truncated[3, 2] = terminated[3, 2] = True
    rollout = play(learner, space, steps=4, n=3, truncated=truncated, terminated=terminated)
    numbers, _ = learner._numbers(rollout)
    returns, r = numbers[3], rollout.rewards

    def value(obs):
        return learner.act(obs, rng=rng.from_seeds([0]), first=np.zeros(1, bool)).fields["value"][0]

    assert rollout.final_at.tolist() == [[1, 0], [2, 1], [3, 2]]
    assert returns[1, 0] == pytest.approx(r[1, 0] + 0.9 * value(rollout.final_obs[:1]), rel=1e-5)
    assert returns[0, 0] == pytest.approx(r[0, 0] + 0.9 * returns[1, 0], rel=1e-5)
    assert returns[2, 1] == pytest.approx(r[2, 1], rel=1e-5)
    assert returns[3, 2] == pytest.approx(r[3, 2], rel=1e-5)
    assert returns[3, 0] == pytest.approx(r[3, 0] + 0.9 * value(rollout.obs[4, :1]), rel=1e-5)


def test_rows_that_are_not_valid_change_nothing():
    outcomes = []
    for garbage in (0.0, 1e6):
        learner, space = make("masked", minibatch_size=7)
        valid = np.random.default_rng(5).random((16, 6)) < 0.7
        rollout = play(learner, space, valid=valid)
        for array in (rollout.rewards, *rollout.fields.values()):
            array[~valid] = garbage
        rollout.obs["planes"][:-1][~valid] = garbage
        rollout.obs["action_mask"][:-1][~valid] = 0
        outcomes.append((learner.learn(rollout), learner.weights()))
    assert outcomes[0][0] == outcomes[1][0]
    assert same(outcomes[0][1], outcomes[1][1])


def test_every_valid_row_is_seen_once_an_epoch_in_parts_of_nearly_one_size():
    learner, space = make("discrete", epochs=3, minibatch_size=10)
    rows, valid = np.arange(0, 86, 2), np.tile([True, False], (43, 1))
    experience = experience_of(play(learner, space, steps=43, n=2, valid=valid), learner.actor)
    parts = [p.numpy() for p in learner._minibatches(experience)]
    assert sorted({len(p) for p in parts}) == [8, 9]
    epochs = np.concatenate(parts).reshape(3, -1)
    assert all((np.sort(epoch) == rows).all() for epoch in epochs)
    assert (epochs[0] != epochs[1]).any()


def test_a_target_kl_ends_all_epochs_before_the_step_that_would_go_on():
    learner, space = make("discrete", lr=0.1, epochs=10, minibatch_size=48, target_kl=1e-3)
    metrics = learner.learn(play(learner, space))
    assert metrics["gradient_steps"] == 1
    assert (
        make("discrete", epochs=10, minibatch_size=48)[0].learn(play(learner, space))["gradient_steps"] == 20
    )


def test_a_target_kl_that_is_not_reached_changes_nothing():
    a, b = (make("discrete", target_kl=kl, minibatch_size=20)[0] for kl in (None, 1e9))
    rollout = play(a, VECTOR)
    assert a.learn(rollout) == b.learn(rollout)
    assert same(a.weights(), b.weights())


def test_gradients_are_clipped_to_their_global_norm():
    for limit in (1e-3, None):
        learner, space = make("discrete", max_grad_norm=limit)
        norm = learner.learn(play(learner, space))["grad_norm"]
        gradients = [p.grad for p in learner.actor.network.parameters()]
        stepped = float(torch.nn.utils.get_total_norm(gradients))
        assert norm > 1e-2  # that of before
        assert stepped == pytest.approx(1e-3, rel=1e-3) if limit else stepped > 1e-2


@pytest.mark.parametrize("case", ["discrete", "grid"])
def test_heads_begin_orthogonal_the_policy_with_a_gain_of_a_hundredth_the_value_with_one(case):
    network = make(case)[0].actor.network
    for head, gain in ((network.policy, 0.01), (network.value, 1.0)):
        rows = head.weight.detach()
        torch.testing.assert_close(rows @ rows.T, gain**2 * torch.eye(len(rows)), rtol=1e-4, atol=1e-8)
        assert (head.bias == 0).all()


def test_policy_and_value_share_an_encoder_for_grids_and_not_for_vectors_unless_told():
    networks = {case: make(case)[0].actor.network for case in ("discrete", "shared", "grid")}
    assert [case for case, network in networks.items() if network.value_encoder is None] == ["shared", "grid"]
    own, its = networks["discrete"].encoder, networks["discrete"].value_encoder
    assert (own.layers[0].weight != its.layers[0].weight).any()
    assert make("grid", share=False)[0].actor.network.value_encoder is not None


def test_schedules_go_in_lines_over_the_budget():
    learner, space = make("discrete", lr=1.0, entropy_coef=[0.1, 0.02])
    learner.progress = 0.25
    metrics = learner.learn(play(learner, space))
    assert metrics["lr"] == learner.optimiser.param_groups[0]["lr"] == 0.75
    assert metrics["entropy_coef"] == pytest.approx(0.08)
    learner.progress = 1.0
    before = learner.weights()
    learner.learn(play(learner, space))
    assert same(before, learner.weights())


@pytest.mark.parametrize("case", ["grid", "normalised"])
def test_after_a_restart_it_goes_on_number_for_number(case, tmp_path):
    learner, space = make(case, minibatch_size=20)
    learner.learn(play(learner, space))
    save_tree(tmp_path, learner.state_dict())
    again, _ = make(case, minibatch_size=20, seed=99)
    again.load_state_dict(load_tree(tmp_path))
    for seed in (1, 2):
        a, b = play(learner, space, seed=seed), play(again, space, seed=seed)
        np.testing.assert_array_equal(a.actions, b.actions)
        assert learner.learn(a) == again.learn(b)
    assert same(learner.weights(), again.weights())


def test_the_state_of_another_architecture_is_refused():
    learner, other = make("discrete")[0], make("discrete", network={"hidden": [8]})[0]
    with pytest.raises(ValueError, match=r"encoder\.layers\.0\.weight is \(8, 4\), not \(64, 4\)"):
        learner.load_state_dict(other.state_dict())


def test_a_nan_stops_the_step_and_leaves_the_weights():
    learner, space = make("discrete")
    rollout = play(learner, space)
    learner.learn(rollout)
    before = learner.weights()
    rollout.rewards[3, 2] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        learner.learn(rollout)
    assert same(before, learner.weights())


@pytest.mark.parametrize("case", CASES)
def test_an_actor_built_from_its_spec_and_weights_acts_the_same(case):
    learner, space = make(case)
    learner.learn(play(learner, space))
    actor = build_agent(learner.actor.spec(), space, CASES[case][1])
    actor.load_weights(learner.weights())
    obs = observe(space, (5,), np.random.default_rng(3))
    a, b = (x.act(obs, rng=rng.from_seeds(range(5)), first=np.zeros(5, bool)) for x in (actor, learner))
    np.testing.assert_array_equal(a.actions, b.actions)
    np.testing.assert_array_equal(a.fields["log_prob"], b.fields["log_prob"])


def test_without_exploring_the_likeliest_legal_action_is_played():
    learner, space = make("masked")
    obs = observe(space, (50,), np.random.default_rng(0))
    decision = learner.act(obs, rng=rng.from_seeds(range(50)), first=np.zeros(50, bool), explore=False)
    with torch.no_grad():
        logits = learner.actor.network(torch.from_numpy(obs["planes"]))[0].numpy()
    np.testing.assert_array_equal(decision.actions, np.where(obs["action_mask"], logits, -np.inf).argmax(1))
    obs["action_mask"][7] = 0
    with pytest.raises(ValueError, match="row 7 has no legal action"):
        learner.act(obs, rng=rng.from_seeds(range(50)), first=np.zeros(50, bool))


def test_one_of_several_choices_without_anything_legal_is_refused():
    space = spaces.Dict(planes=VECTOR, action_mask=spaces.MultiBinary(5))
    learner, mask = PPO(space, spaces.MultiDiscrete([3, 2])), np.ones((4, 5), np.int8)
    obs, states = {"planes": np.zeros((4, 4), np.float32), "action_mask": mask}, rng.from_seeds(range(4))
    learner.act(obs, rng=states, first=np.zeros(4, bool))
    mask[2, 3:] = 0
    with pytest.raises(ValueError, match=r"row 2 has no legal action in choice 1$"):
        learner.act(obs, rng=states, first=np.zeros(4, bool))


def test_equal_seeds_are_equal_learners():
    a, b, c = (make("discrete", seed=s)[0] for s in (1, 1, 2))
    assert same(a.weights(), b.weights())
    assert not same(a.weights(), c.weights())


def test_the_normaliser_is_the_mean_and_variance_of_all_it_saw():
    g = np.random.default_rng(0)
    parts = [g.normal(5, 3, (k, 2)) for k in (3, 50, 17)]
    normaliser = Normaliser((2,))
    for part in parts:
        normaliser.update(torch.from_numpy(part))
    everything = np.concatenate(parts)
    np.testing.assert_allclose(normaliser.mean, everything.mean(0))
    np.testing.assert_allclose(normaliser.var, everything.var(0))
    x = normaliser(torch.from_numpy(everything)).numpy()
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normaliser(torch.full((1, 2), 1e9)), 10)


def test_bf16_acts_and_learns_near_fp32():
    exact, rough = (make("grid", precision=p, epochs=1)[0] for p in ("fp32", "bf16"))
    rollout = play(exact, GRID)
    a, b = exact.learn(rollout), rough.learn(rollout)
    assert b["value_loss"] == pytest.approx(a["value_loss"], rel=0.05)
    assert all(x.dtype == np.float32 for x in rough.weights().values())


def test_spaces_that_it_cannot_play_are_named():
    with pytest.raises(ValueError, match="no policy for actions in Text"):
        PPO(VECTOR, spaces.Text(3))
    with pytest.raises(ValueError, match="normalise_obs is for vectors"):
        PolicyActor(GRID, spaces.Discrete(2), normalise_obs=True)
    learner, space = make("discrete")
    with pytest.raises(ValueError, match="no rewards yet"):
        learner.learn(play(learner, space, rewards=None))


def train(env, updates, learner):
    """Play and learn; the mean raw return of the last quarter's episodes."""
    sampler, reward, returns = Sampler(env, seed=1), Reward({"env": 1.0}), []
    for i in range(updates):
        learner.progress = i / updates
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        learner.learn(rollout)
        returns += list(rollout.ended["return"])
    return float(np.mean(returns[-len(returns) // 4 :]))


def learner_for(env, **options):
    return PPO(env.single_observation_space, env.single_action_space, **options)


TOY = {"n_steps": 16, "epochs": 8, "lr": 5e-3, "normalise_obs": True}


def test_it_plays_both_seats_of_nim_and_finds_the_winning_moves():
    learner = learner_for(Nim(64), gamma=1.0, **TOY)
    train(Nim(64), 40, learner)
    stones = np.array([1, 2, 4, 5, 7])  # leave a multiple of three
    obs = {"planes": stones[:, None].astype(np.float32), "action_mask": (stones[:, None] >= [1, 2])}
    decision = learner.act(obs, rng=rng.from_seeds(range(5)), first=np.zeros(5, bool), explore=False)
    np.testing.assert_array_equal(decision.actions + 1, stones % 3)
    np.testing.assert_allclose(decision.fields["value"], 1, atol=0.15)


def test_values_of_a_walk_that_ends_or_is_cut():
    learner = learner_for(Walk(64, longest=4), gamma=0.5, gae_lambda=0.9, **TOY)
    train(Walk(64, longest=4), 40, learner)
    obs = np.array([[1, 2], [0, 2], [2, 3], [3, 3]], np.float32)
    value = learner.act(obs, rng=rng.from_seeds(range(4)), first=np.zeros(4, bool)).fields["value"]
    np.testing.assert_allclose(value[:2], [1, 1.5], atol=0.05)  # a true end: the rewards and no more
    assert value[2] == pytest.approx(1 + 0.5 * value[3], abs=0.05)  # a limit: the last observation counts on


@pytest.mark.slow
def test_cartpole_is_balanced():
    env = envs.make("CartPole-v1", n=8, seed=0)
    learner = learner_for(env, n_steps=32, epochs=20, lr=1e-3, gamma=0.98, gae_lambda=0.8, entropy_coef=0.0)
    assert train(env, 400, learner) > 400
