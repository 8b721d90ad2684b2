"""Learners side by side take the step that one alone would have taken: all kinds, in two processes."""

import multiprocessing
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist

import envs
from agents.dqn import RAINBOW
from agents.parallel import Seat, SharedNorm, add_up_gradients, share, together
from agents.team import meet
from move37.registry import agent_class, with_inner
from rollouts.reward import Reward
from rollouts.sampler import Sampler

SMALL = {"size": "XS"}
WORDS = {"id": "text/Addition-v0", "level": 1}
LANGUAGE = {"kind": "language", "model": SMALL, "max_new": 6}
GRID = {"kind": "grid", "channels": 4, "hidden": 16}
CASES = {
    "ppo": ("ppo", {"id": "CartPole-v1"}, {"n_steps": 16, "minibatch_size": 50, "epochs": 2}),
    "ppo that remembers": (
        "ppo",
        {"id": "CartPole-v1"},
        {"n_steps": 16, "minibatch_size": 48, "lstm": 8, "clip_value": 0.2, "normalise_obs": True},
    ),
    "ppo of one row a step": ("ppo", {"id": "CartPole-v1"}, {"n_steps": 2, "minibatch_size": 1, "epochs": 1}),
    "impala": ("impala", {"id": "arcade/Breakout-v1"}, {"minibatch_size": 30, "network": GRID}),
    "impala that remembers": ("impala", {"id": "CartPole-v1"}, {"minibatch_size": 40, "lstm": 8}),
    "dqn": ("dqn", {"id": "CartPole-v1"}, {"learning_starts": 0, "batch_size": 8, "double": True}),
    "rainbow": (
        "dqn",
        {"id": "arcade/Breakout-v1"},
        {**RAINBOW, "learning_starts": 0, "batch_size": 9, "network": GRID},
    ),
    "alphazero": (
        "alphazero",
        {"id": "board/TicTacToe-v0"},
        {
            "n_steps": 12,
            "network": {"kind": "resnet", "blocks": 1, "channels": 8},
            "search": {"simulations": 4},
            "batch_size": 17,
        },
    ),
    "imitation": (
        "imitation",
        WORDS,
        {"student": LANGUAGE, "expert": {"kind": "solver"}, "episodes": 33, "batch_size": 16, "warmup": 0},
    ),
    "imitation of decisions": (
        "imitation",
        {"id": "CartPole-v1"},
        {"student": {"kind": "ppo"}, "expert": {"kind": "random"}, "n_steps": 10, "batch_size": 31},
    ),
    "grpo": (
        "grpo",
        {"id": "CartPole-v1"},
        {
            "policy": {"kind": "ppo"},
            "problems": 4,
            "group_size": 4,
            "max_new": 600,
            "minibatches": 2,
            "kl": {"coef": 0.1},
            "correction": 2.0,
            "entropy_coef": 0.01,
            "epochs": 2,
        },
    ),
    "grpo with a critic": (
        "grpo",
        WORDS,
        {
            "model": SMALL,
            "max_new": 6,
            "problems": 1,
            "group_size": 3,
            "advantage": "gae",
            "minibatches": 2,
            "warmup": 0,
        },
    ),
}
UPDATES = 3
NORM, DONE = "a shared norm", "done"


def learned(case, seat):
    """(weights, metrics of every update) of one of so many learners that learn what is played alone."""
    kind, where, options = CASES[case]
    env = envs.make(n=4, **where)
    spaces = env.single_observation_space, env.single_action_space
    learner = agent_class(kind)(*spaces, seed=3, **with_inner(options))
    sampler, reward, told = Sampler(env, seed=5), Reward({"env": 1.0}), []
    for update in range(UPDATES):
        rollout = sampler.collect(learner.actor, **learner.wants)
        reward(rollout)
        rollout.newest += update % 2 * (kind in ("ppo", "impala"))  # then it is corrected for its age
        with together(seat):
            told.append(learner.learn(rollout))
        learner.load_weights(
            {k: np.round(v, 4) for k, v in learner.weights().items()}
        )  # so both play the same
    return learner.weights(), told


def other(port, pipe):
    """The second learner: does what it hears of."""
    torch.set_num_threads(1)
    limit = timedelta(seconds=60)
    meet(dist.TCPStore("127.0.0.1", port, 2, False, limit), 1, 2, limit, False)
    while (case := pipe.recv()) != DONE:
        pipe.send(normed(Seat(1, 2)) if case == NORM else learned(case, Seat(1, 2)))


@pytest.fixture(scope="module")
def pair():
    """The other's end of a pipe: told of a case, it tells what it has learned."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the other, so that both play the same to the last bit
    limit = timedelta(seconds=60)
    store = dist.TCPStore("127.0.0.1", 0, 2, True, limit, wait_for_workers=False)
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=other, args=(store.port, there), daemon=True
    )
    process.start()
    meet(store, 0, 2, limit, False)
    yield here
    here.send(DONE)
    process.join(10)
    dist.destroy_process_group()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("case", CASES)
def test_two_learners_are_as_one(case, pair):
    pair.send(case)
    weights, told = learned(case, Seat(0, 2))
    theirs, their_told = pair.recv()
    alone, told_alone = learned(case, Seat(0, 1))
    assert weights
    for name in weights:
        np.testing.assert_array_equal(weights[name], theirs[name])  # to the last bit: they never part
        np.testing.assert_allclose(weights[name], alone[name], rtol=1e-3, atol=3e-4, err_msg=name)
    for ours, same, one in zip(told, their_told, told_alone, strict=True):
        assert ours == pytest.approx(same, rel=1e-6, nan_ok=True)
        assert ours == pytest.approx(one, rel=2e-3, abs=2e-4, nan_ok=True)


def normed(seat):
    """(what a shared norm gives for this learner's rows, gradients summed, statistics) of 7 rows."""
    torch.manual_seed(0)
    norm, x, weigh = SharedNorm(3), torch.randn(7, 3, 2, 2), torch.randn(7, 3, 2, 2)
    with together(seat):
        own = share(7).own
        out = norm(x[own])
        (out * weigh[own]).sum().backward()
        add_up_gradients(list(norm.parameters()))
    return out.detach().numpy(), norm.weight.grad.numpy(), norm.running_var.numpy()


def test_a_shared_norm_is_that_of_the_whole_batch(pair):
    pair.send(NORM)
    (first, *ours), (second, *theirs), (whole, *alone) = normed(Seat(0, 2)), pair.recv(), normed(Seat(0, 1))
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)
    for here, there, one in zip(ours, theirs, alone):
        np.testing.assert_allclose(here, there, rtol=1e-6)
        np.testing.assert_allclose(here, one, rtol=1e-5, atol=1e-5)


def test_shares_are_all_rows_once():
    for rows in (0, 1, 2, 7, 64):
        for learners in (1, 2, 3, 5):
            parts = []
            for rank in range(learners):
                with together(Seat(rank, learners)):
                    own, every, weight = share(rows)
                    assert every == rows
                    if weight:
                        parts += range(rows)[own]
                    else:
                        assert own == slice(0, 1)
            assert parts == list(range(rows))
