"""Our arcade games are true Gymnasium citizens: other people's learners train on them and improve."""

import gymnasium
import numpy as np
import pytest

import envs  # noqa: F401 (registers the ids)

ID = "arcade/Breakout-v1"


def random_return(episodes=300):
    """The mean return of random play: about 0.5."""
    env, rng, total = gymnasium.make(ID), np.random.default_rng(0), 0.0
    env.reset(seed=0)
    for _ in range(episodes):
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
            total, over = total + reward, terminated or truncated
        env.reset()
    return total / episodes


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_gymnasium_makes_vectors_of_every_mode(mode):
    env = gymnasium.make_vec(ID, num_envs=3, vectorization_mode=mode, sticky=0.0)
    obs, _ = env.reset(seed=7)
    assert obs.shape == (3, 10, 10, 4)
    assert env.step(np.zeros(3, np.int64))[0].shape == obs.shape
    env.close()


# -- Stable-Baselines3 -------------------------------------------------------------------------------------


def stable_baselines(n_steps):
    """(its PPO on 16 of our games, those games)."""
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env

    games = make_vec_env(ID, n_envs=16, seed=0)
    options = {"n_steps": n_steps, "batch_size": 256, "learning_rate": 1e-3, "seed": 0, "device": "cpu"}
    return stable_baselines3.PPO("MlpPolicy", games, policy_kwargs={"net_arch": [128]}, **options), games


def test_stable_baselines_plays_our_games():
    learner, _ = stable_baselines(n_steps=16)
    from stable_baselines3.common.env_checker import check_env

    check_env(gymnasium.make(ID).unwrapped)
    learner.learn(512)
    returns = [episode["r"] for episode in learner.ep_info_buffer]
    assert len(returns) >= 10
    assert np.mean(returns) < 3


@pytest.mark.slow
def test_stable_baselines_learns_our_games():
    learner, games = stable_baselines(n_steps=128)
    from stable_baselines3.common.evaluation import evaluate_policy

    learner.learn(100_000)
    mean, _ = evaluate_policy(learner, games, n_eval_episodes=100, deterministic=False)
    assert mean > 3 * random_return()


# -- RLlib -------------------------------------------------------------------------------------------------


def rllib(n_steps):
    """The config of RLlib's PPO on 16 of our games, with our small network, all in this process."""
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.tune.registry import register_env

    # its convolutions do not take bool
    register_env("breakout", lambda _: gymnasium.wrappers.DtypeObservation(gymnasium.make(ID), np.float32))
    network = DefaultModelConfig(
        conv_filters=[[16, 3, 1]],
        head_fcnet_hiddens=[128],
        head_fcnet_activation="relu",
        vf_share_layers=True,
    )
    config = PPOConfig().environment("breakout").rl_module(model_config=network)
    config = config.env_runners(
        num_env_runners=0, num_envs_per_env_runner=16, rollout_fragment_length=n_steps
    )
    return config.training(train_batch_size=16 * n_steps, minibatch_size=256, num_epochs=4, lr=1e-3)


def test_rllib_plays_our_games():
    config = rllib(n_steps=32)
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    runner = SingleAgentEnvRunner(config=config)
    episodes = runner.sample(num_timesteps=512)
    assert sum(map(len, episodes)) >= 512
    assert sum(episode.is_terminated for episode in episodes) >= 10
    assert {episode.get_observations(0).shape for episode in episodes} == {(10, 10, 4)}
    runner.stop()


@pytest.mark.slow
def test_rllib_learns_our_games():
    config = rllib(n_steps=128)
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    algorithm = config.build_algo()
    try:
        for _ in range(30):
            result = algorithm.train()
    finally:
        algorithm.stop()
        ray.shutdown()
    assert result["env_runners"]["episode_return_mean"] > 2 * random_return()
