import logging
import sys

import numpy as np
import pytest
import torch
from gymnasium import spaces

import envs
from agents.options import OptionError
from agents.rllib.actor import RLlibActor
from agents.rllib.env import Single, one_seat
from agents.rllib.learner import RLlib, epsilon_at
from agents.rllib.settings import make_module
from agents.rllib.view import View
from envs.rng import from_seeds
from rollouts.build import build_agent
from rollouts.storage import load_tree, save_tree

NETWORK = {"fcnet_hiddens": [8, 8], "fcnet_activation": "tanh"}
SMALL = {"train_batch_size_per_learner": 64, "minibatch_size": 32, "num_epochs": 1, "model_config": NETWORK}
TINY = {
    "PPO": SMALL,
    "APPO": {"train_batch_size_per_learner": 40, "rollout_fragment_length": 10, "model_config": NETWORK},
    "IMPALA": {"train_batch_size_per_learner": 40, "rollout_fragment_length": 10, "model_config": NETWORK},
    "DQN": {
        "num_steps_sampled_before_learning_starts": 100,
        "min_sample_timesteps_per_iteration": 200,
        "epsilon": [[0, 1.0], [400, 0.0]],
    },
    "SAC": {"num_steps_sampled_before_learning_starts": 50, "train_batch_size_per_learner": 16},
}
TICTACTOE = "board/TicTacToe-v0"


def spaces_of(id, **options):
    env = envs.make(id, **options)
    return env.single_observation_space, env.single_action_space


def actor(id, algorithm="PPO", **config):
    return RLlibActor(*spaces_of(id), seed=3, algorithm=algorithm, config=config)


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


# -- what the network sees ---------------------------------------------------------------------------------


def test_vectors_and_numbers_are_flat():
    view = View.of(spaces.Box(-1, 1, (2, 3)))
    assert view.space.shape == (6,)
    np.testing.assert_array_equal(view.batch(np.arange(12.0).reshape(2, 2, 3))[1], np.arange(6, 12))
    one = View.of(spaces.Discrete(3, start=5))
    np.testing.assert_array_equal(one.batch(np.array([5, 7])), [[1, 0, 0], [0, 0, 1]])


def test_pictures_have_their_planes_last_and_no_bytes():
    first = View.of(spaces.Box(0, 255, (4, 84, 84), np.uint8))
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 84, 84)).astype(np.uint8)
    assert first.space.shape == (84, 84, 4)
    np.testing.assert_allclose(first.batch(frames)[1, 5, 6], frames[1, :, 5, 6] / 255, rtol=1e-6)
    assert View.of(spaces.Box(0, 1, (10, 10, 4), bool)).picture
    assert not View.of(spaces.Box(0, 1, (7, 6, 2), bool)).picture
    assert View.of(spaces.Box(0, 1, (7, 6, 2), bool), [[16, 3, 1]]).picture


def test_a_mask_stands_behind_the_planes():
    env = envs.make(TICTACTOE, n=2, seed=1)
    obs, *_ = env.step(np.array([4, 0]))
    batch = View.of(env.single_observation_space).batch(obs)
    np.testing.assert_array_equal(batch[:, -9:], obs["action_mask"])
    np.testing.assert_array_equal(batch[:, :-9], obs["planes"].reshape(2, -1))


# -- who acts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["PPO", "IMPALA", "APPO"])
def test_log_probabilities_are_those_of_rllibs_own_distribution(algorithm):
    from ray.rllib.core.columns import Columns

    agent, obs = actor("CartPole-v1", algorithm), np.random.default_rng(0).normal(size=(5, 4))
    out = agent.module.forward_exploration({Columns.OBS: torch.as_tensor(obs, dtype=torch.float32)})
    kind = agent.module.get_exploration_action_dist_cls()
    theirs = kind.from_logits(out[Columns.ACTION_DIST_INPUTS])
    for action in (0, 1):
        told = theirs.logp(torch.full((5,), action)).detach().numpy()
        np.testing.assert_allclose(agent.described(obs)[:, action], told, atol=1e-6)


def test_continuous_actions_are_what_rllibs_connector_makes_of_its_own():
    from ray.rllib.core.columns import Columns
    from ray.rllib.utils.spaces.space_utils import unsquash_action

    obs = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    for algorithm in ("PPO", "SAC"):
        agent = actor("Pendulum-v1", algorithm)
        out = agent.module.forward_inference({Columns.OBS: torch.as_tensor(obs)})
        dist = agent.module.get_inference_action_dist_cls().from_logits(out[Columns.ACTION_DIST_INPUTS])
        mean = dist.loc if algorithm == "SAC" else dist.to_deterministic().loc
        best = (mean.tanh() if algorithm == "SAC" else mean).detach().numpy()
        ours = agent.act(obs, rng=from_seeds(range(6)), first=np.ones(6, bool), explore=False).actions
        np.testing.assert_allclose(ours, unsquash_action(best, agent.action_space), atol=1e-6)
        drawn = agent.act(obs, rng=from_seeds(range(6)), first=np.ones(6, bool)).actions
        assert np.abs(drawn).max() <= 2
        assert not np.allclose(drawn, ours)


def test_each_row_draws_from_its_own_generator():
    agent, obs = actor("CartPole-v1"), np.zeros((64, 4), np.float32)
    rng = from_seeds(range(64))
    whole = agent.act(obs, rng=rng, first=np.ones(64, bool)).actions
    assert 10 < whole.sum() < 54
    half = agent.act(obs[32:], rng=from_seeds(range(32, 64)), first=np.ones(32, bool)).actions
    np.testing.assert_array_equal(whole[32:], half)
    assert (rng != from_seeds(range(64))).all()


@pytest.mark.parametrize("algorithm", ["PPO", "APPO", "IMPALA", "DQN"])
def test_only_legal_actions_are_played_and_believed_in(algorithm):
    agent = actor(TICTACTOE, algorithm)
    agent.epsilon = 0.5
    env = envs.make(TICTACTOE, n=50, seed=0)
    obs, *_ = env.step(np.tile(np.arange(5), 10))
    for explore in (True, False):
        got = agent.act(obs, rng=from_seeds(range(50)), first=np.ones(50, bool), explore=explore).actions
        assert obs["action_mask"][np.arange(50), got].all()
    illegal = agent.outputs(obs)[~obs["action_mask"]]
    assert (illegal <= -1e9).all()


def test_dqn_explores_by_its_epsilon():
    agent, obs = actor("CartPole-v1", "DQN"), np.zeros((400, 4), np.float32)
    best = agent.act(obs[:1], rng=from_seeds([0]), first=np.ones(1, bool), explore=False).actions[0]
    agent.epsilon = 0.4
    got = agent.act(obs, rng=from_seeds(range(400)), first=np.ones(400, bool)).actions
    assert 0.14 < (got != best).mean() < 0.26  # half of the random ones are the best
    agent.load_weights({**agent.weights(), "epsilon": np.array(0.0)})
    assert (agent.act(obs, rng=from_seeds(range(400)), first=np.ones(400, bool)).actions == best).all()


def test_epsilon_falls_in_a_line():
    settings = actor("CartPole-v1", "DQN", epsilon=[[0, 1.0], [400, 0.2]]).settings
    assert [epsilon_at(settings, n) for n in (0, 200, 999)] == pytest.approx([1.0, 0.6, 0.2])
    assert epsilon_at(actor("CartPole-v1").settings, 0) == 0


def test_the_network_asked_for_is_the_network():
    agent = actor("CartPole-v1", model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"})
    shapes = {k: v.shape for k, v in agent.weights().items() if k.endswith("weight")}
    assert list(shapes.values()) == [(64, 4), (64, 64), (2, 64)]
    assert "Tanh" in str(agent.module)


def test_it_is_built_again_from_its_spec_and_weights(tmp_path):
    one = actor(TICTACTOE, **SMALL)
    save_tree(tmp_path, {"spec": one.spec(), "weights": one.weights()})
    saved = load_tree(tmp_path)
    two = build_agent(saved["spec"], *spaces_of(TICTACTOE))
    obs, _ = envs.make(TICTACTOE, n=3, seed=0).reset(seed=0)
    two.load_weights(saved["weights"])
    np.testing.assert_array_equal(one.outputs(obs), two.outputs(obs))
    assert not hasattr(sys.modules.get("ray"), "is_initialized") or not sys.modules["ray"].is_initialized()


def test_weights_of_another_network_are_told():
    other = actor("CartPole-v1", model_config={"fcnet_hiddens": [9]}).weights()
    with pytest.raises(ValueError, match="another architecture: encoder"):
        actor("CartPole-v1", model_config={"fcnet_hiddens": [8]}).load_weights(other)


# -- what does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "option", "said"),
    [
        ({"gama": 0.9}, "config.gama", "did you mean 'gamma'"),
        ({"num_env_runners": 2}, "config.num_env_runners", "sampler.workers"),
        ({"num_envs_per_env_runner": 2}, "config.num_envs_per_env_runner", "env.n"),
        ({"model": {}}, "config.model", "model_config"),
        ({"model_config": {"fcnet_hidden": [8]}}, "config.model_config.fcnet_hidden", "fcnet_hiddens"),
        ({"model_config": {"use_lstm": True}}, "config.model_config.use_lstm", "ppo and impala"),
        ({"model_config": 3}, "config.model_config", "mapping"),
        ({"model_config": {"conv_filters": [[16, 3, 1]]}}, "config.model_config", "pictures"),
    ],
)
def test_a_key_that_does_not_fit_is_told(config, option, said):
    with pytest.raises(OptionError, match=said) as told:
        actor("CartPole-v1", **config)
    assert told.value.option == option


def test_actions_and_observations_that_cannot_be_are_told():
    with pytest.raises(OptionError, match="DQN plays Discrete actions"):
        actor("Pendulum-v1", "DQN")
    with pytest.raises(OptionError, match="no action masks"):
        actor(TICTACTOE, "SAC")
    with pytest.raises(ValueError, match="not text"):
        actor("text/Sorting-v0")
    with pytest.raises(OptionError, match="algorithm"):
        actor("CartPole-v1", "A3C")


def test_an_opponent_is_for_board_games():
    with pytest.raises(OptionError, match="for board games of two"):
        one_seat({"id": "CartPole-v1"}, {"path": "agents.random:Random"})
    with pytest.raises(OptionError, match="is neither"):
        one_seat({"id": "pettingzoo/classic/tictactoe_v3"}, None)


# -- one environment ---------------------------------------------------------------------------------------


def single(id, worker=0, opponent=None, **options):
    class Context(dict):
        worker_index = worker

    told = {"where": {"id": id, **options}, "opponent": opponent, "filters": None, "folders": []}
    return Single(Context(told))


def test_an_episode_is_ours_from_its_first_step_to_its_last():
    """By the same actions as in the batch: the true last observation, and the account of the whole."""
    one, batch = single("CartPole-v1"), envs.make("CartPole-v1")
    obs, _ = one.reset(seed=5)
    assert obs.dtype == np.float32
    assert one.observation_space.contains(obs)
    shown = batch.reset(seed=[0])[0]
    state = one._env.batch.get_state()
    shown = batch.set_state(state)
    np.testing.assert_array_equal(shown[0], obs)
    total = 0.0
    for step in range(600):
        obs, reward, terminated, truncated, info = one.step(step % 2)
        shown, rewards, ends, cuts, told = batch.step(np.array([step % 2]))
        total += rewards[0]
        assert (reward, terminated, truncated) == (rewards[0], ends[0], cuts[0])
        if terminated or truncated:
            break
        np.testing.assert_array_equal(obs, shown[0])
        assert info == {}
    np.testing.assert_array_equal(obs, told["final_obs"][0])
    assert info == {"return": total, "length": step + 1}
    np.testing.assert_array_equal(one.reset()[0], shown[0])


def test_workers_play_other_games_by_the_same_seed():
    first, again, other = (single("CartPole-v1", worker).reset(seed=7)[0] for worker in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_board_game_is_one_seat_each_in_turn():
    from envs.board.single import BoardEnv

    uct = {"path": "search.uct:UCT", "options": {"simulations": 30}}
    one, rng, lost = single(TICTACTOE, opponent=uct), np.random.default_rng(0), 0
    assert isinstance(one._env, BoardEnv)
    seats = set()
    for game in range(12):
        obs, _ = one.reset(seed=game if game == 0 else None)
        seats.add(int((obs[:-9] > 0).sum() > obs[:-9].size))
        seats.add(one._env._mine)
        while True:
            obs, reward, ended, _, _ = one.step(rng.choice(np.flatnonzero(obs[-9:])))
            if ended:
                lost += reward < 0
                break
    assert seats == {0, 1}
    assert lost >= 8


def test_a_face_for_gymnasium_is_whole():
    from gymnasium.utils.env_checker import check_env

    for id in ("CartPole-v1", "arcade/Breakout-v1", TICTACTOE):
        check_env(single(id), skip_render_check=True)


# -- training ----------------------------------------------------------------------------------------------


def trains(id, algorithm, workers=0, opponent=None, turns=2):
    learner = RLlib(*spaces_of(id), seed=1, algorithm=algorithm, config=TINY[algorithm], opponent=opponent)
    learner.begin({"id": id}, 4, workers)
    before = learner.weights()
    played = [learner.train() for _ in range(turns)]
    assert sum(p.decisions for p in played) == learner.env_steps > 0
    moved = [k for k, v in learner.weights().items() if k != "epsilon" and not np.array_equal(v, before[k])]
    assert moved
    return learner, played


@pytest.mark.parametrize(
    ("id", "algorithm", "workers"),
    [
        (TICTACTOE, "PPO", 0),
        ("CartPole-v1", "DQN", 0),
        pytest.param("CartPole-v1", "PPO", 2, marks=pytest.mark.slow),
        pytest.param("arcade/Breakout-v1", "PPO", 0, marks=pytest.mark.slow),
        pytest.param("CartPole-v1", "APPO", 1, marks=pytest.mark.slow),
        pytest.param(TICTACTOE, "APPO", 1, marks=pytest.mark.slow),
        pytest.param("CartPole-v1", "IMPALA", 2, marks=pytest.mark.slow),
        pytest.param(TICTACTOE, "IMPALA", 1, marks=pytest.mark.slow),
        pytest.param(TICTACTOE, "DQN", 1, marks=pytest.mark.slow),
        pytest.param("Pendulum-v1", "SAC", 0, marks=pytest.mark.slow),
        pytest.param("CartPole-v1", "SAC", 0, marks=pytest.mark.slow),
    ],
)
def test_each_algorithm_trains_and_goes_on(cluster, tmp_path, id, algorithm, workers):
    learner, played = trains(id, algorithm, workers)
    episodes = [p.ended["length"] for p in played]
    assert all(len(p.ended["return"]) == len(p.ended["length"]) for p in played)
    assert sum(map(np.sum, episodes)) <= learner.env_steps
    assert all(np.isfinite(list(p.metrics.values())).all() for p in played)
    save_tree(tmp_path, learner.state_dict())
    weights, steps = learner.weights(), learner.env_steps
    learner.close()
    again = RLlib(*spaces_of(id), seed=1, algorithm=algorithm, config=TINY[algorithm])
    again.begin({"id": id}, 4, workers)
    again.load_state_dict(load_tree(tmp_path))
    for name, array in weights.items():
        np.testing.assert_array_equal(again.weights()[name], array)
    there = again.state_dict()["optimisers"]
    for name, moments in load_tree(tmp_path)["optimisers"].items():
        for i, one in moments.items():
            for key, array in one.items():
                np.testing.assert_array_equal(there[name][i][key], array)
    assert again.train().decisions == again.env_steps - steps > 0
    again.close()


def test_what_the_actor_plays_is_what_rllib_learned(cluster):
    """Logits of the actor on its own against those of the whole module in RLlib's learner."""
    from ray.rllib.core.columns import Columns

    learner, _ = trains("CartPole-v1", "PPO")
    obs = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    whole = learner.algo.get_module()
    theirs = learner.algo.learner_group._learner.module["default_policy"]
    for module in (whole, theirs):
        out = module.forward_inference({Columns.OBS: torch.as_tensor(obs)})[Columns.ACTION_DIST_INPUTS]
        np.testing.assert_array_equal(learner.actor.outputs(obs), out.detach().numpy())
    learner.close()


@pytest.mark.slow
def test_a_run_that_goes_on_plays_other_games(cluster):
    def first_obs(steps):
        from agents.rllib.callbacks import GoesOn

        learner = RLlib(*spaces_of("CartPole-v1"), seed=1, config=SMALL)
        learner.begin({"id": "CartPole-v1"}, 2, 0)
        if steps:
            GoesOn(steps, steps)(learner.algo.env_runner)
        episodes = learner.algo.env_runner.sample(num_timesteps=4)
        learner.close()
        return sorted(float(e.get_observations(0)[0]) for e in episodes)

    assert first_obs(0) == first_obs(0)
    assert first_obs(0) != first_obs(10)


def test_too_few_cores_are_told(cluster):
    learner = RLlib(*spaces_of("CartPole-v1"), config=SMALL)
    with pytest.raises(ValueError, match=r"ask for 3 cores, and Ray has 2"):
        learner.begin({"id": "CartPole-v1"}, 3, 3)


def test_no_log_line_of_rllibs_is_left(caplog):
    with caplog.at_level(logging.WARNING):
        agent = actor("CartPole-v1")
        make_module(agent.settings, agent.view, agent.action_space)
    assert not [r for r in caplog.records if r.name.startswith("ray")]
