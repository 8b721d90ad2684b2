import math
import pickle

import numpy as np
import pytest
from gymnasium import spaces

from agents.dqn import DQN
from agents.options import OptionError
from agents.policy import PolicyActor
from agents.ppo import PPO
from move37.build import build
from move37.config import make_config
from move37.errors import UserError
from move37.origin import Origin

VECTOR, THREE = spaces.Box(-1, 1, (4,)), spaces.Discrete(3)
BOTH = [
    ("gamma", 1.5, "gamma must be less than or equal to 1, not 1.5"),
    ("gamma", math.nan, "gamma must be a finite number, not nan"),
    ("lr", -1e-3, "lr must be greater than or equal to 0, not -0.001"),
    ("lr", math.inf, "lr must be a finite number, not inf"),
    ("max_grad_norm", -1, "max_grad_norm must be greater than 0, not -1"),
    ("max_grad_norm", 0, "max_grad_norm must be greater than 0, not 0"),
    ("precision", "fp8", "precision must be 'fp32' or 'bf16', not 'fp8'"),
    ("network.kind", "vektor", "network kind 'vektor' is not known; did you mean 'vector'?"),
    ("network.hidden", [-3], "network.hidden must be greater than or equal to 1, not -3"),
    ("network.hidden", [0], "network.hidden must be greater than or equal to 1, not 0"),
    ("network.hidden", "x", "network.hidden must be a valid list, not 'x'"),
    ("network.activation", 3, "network.activation must be 'tanh', 'relu' or 'silu', not 3"),
    ("network.chanels", 3, "network has no 'chanels'; it has: hidden, activation"),
]
PPOS = [
    ("minibatch_size", 0, "minibatch_size must be greater than or equal to 1, not 0"),
    ("clip", 0.0, "clip must be greater than 0, not 0.0"),
    ("clip_value", -1.0, "clip_value must be greater than 0, not -1.0"),
    ("value_coef", -5, "value_coef must be greater than or equal to 0, not -5"),
    ("target_kl", -1, "target_kl must be greater than 0, not -1"),
    ("entropy_coef", math.nan, "entropy_coef must be a finite number, not nan"),
    ("entropy_coef", [0.1, math.inf], "entropy_coef must be a finite number, not inf"),
    ("entropy_coef", [1, 2, 3], "entropy_coef must be a number or [start, end], at least 0, not [1, 2, 3]"),
    ("entropy_coef", -0.1, "entropy_coef must be a number or [start, end], at least 0, not -0.1"),
]
DQNS = [
    ("n_step", 0, "n_step must be greater than or equal to 1, not 0"),
    ("batch_size", 1.5, "batch_size must be a valid integer, not 1.5"),
    ("replay_ratio", -1, "replay_ratio must be greater than or equal to 0, not -1"),
    ("target_every", 0, "target_every must be greater than or equal to 1, not 0"),
    ("learning_starts", -1, "learning_starts must be greater than or equal to 0, not -1"),
    ("eval_epsilon", 1.1, "eval_epsilon must be less than or equal to 1, not 1.1"),
    ("replay_capacity", 10, "at least 32, not 10"),
    ("replay_capacity", 10**13, "GiB"),
    ("epsilon.finish", 0.1, "epsilon has no 'finish'; it has: start, end, steps"),
    ("epsilon.start", 2, "epsilon.start must be less than or equal to 1, not 2"),
    ("epsilon.steps", -5, "epsilon.steps must be greater than or equal to 0, not -5"),
    ("prioritised.alpha", -1, "prioritised.alpha must be greater than or equal to 0, not -1"),
    ("prioritised.beta", 9, "prioritised.beta must be less than or equal to 1, not 9"),
    ("prioritised.alpha", "x", "prioritised.alpha must be a valid number, not 'x'"),
    ("prioritised.gamma", 0.1, "prioritised has no 'gamma'; it has: alpha, beta"),
    ("distributional.atoms", 5.7, "distributional.atoms must be a valid integer, not 5.7"),
    ("distributional.atoms", 1, "distributional.atoms must be greater than or equal to 2, not 1"),
    ("distributional.v_max", math.inf, "distributional.v_max must be a finite number, not inf"),
]
CASES = [(kind, *case) for kind, cases in ((PPO, BOTH + PPOS), (DQN, BOTH + DQNS)) for case in cases]


def nested(option, value):
    """`{"network": {"hidden": value}}` for "network.hidden"."""
    section, _, key = option.partition(".")
    return {section: {key: value} if key else value}


@pytest.mark.parametrize(("kind", "option", "value", "said"), CASES)
def test_what_is_out_of_range_is_refused_by_name(kind, option, value, said):
    with pytest.raises(OptionError) as error:
        kind(VECTOR, THREE, **nested(option, value))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.option == option


@pytest.mark.parametrize(("kind", "option", "value", "said"), CASES)
def test_a_run_is_refused_with_the_key_before_it_begins(kind, option, value, said):
    config = {
        "env": {"id": "CartPole-v1"},
        "agent": {"kind": kind.__name__.lower(), **nested(option, value)},
        "budget": {"env_steps": 100},
        "threads": 1,
        "device": "cpu",
    }
    with pytest.raises(UserError) as error:
        build(make_config(config), Origin("run.yaml"))
    assert all(f": agent.{option}" in line for line in str(error.value).splitlines())


def test_what_fits_is_taken_as_it_is():
    learner = PPO(VECTOR, THREE, lr=np.float64(1e-3), entropy_coef=(0.1, 0), network={"hidden": (8, 4)})
    assert learner.entropy_coef == (0.1, 0)
    assert learner.actor.options["network"] == {"kind": "vector", "hidden": [8, 4], "activation": "tanh"}
    dqn = DQN(VECTOR, THREE, epsilon={"steps": 100.0}, prioritised={"beta": 1}, distributional=True)
    assert (dqn.epsilon.end, dqn.epsilon.steps, dqn.priorities.alpha) == (0.01, 100, 0.5)
    assert dqn.online.atoms == 51


def test_an_actor_that_is_built_alone_is_checked_too_and_its_errors_travel():
    with pytest.raises(OptionError, match="share must be a valid boolean, not 'yes'") as error:
        PolicyActor(VECTOR, THREE, share="yes")
    assert pickle.loads(pickle.dumps(error.value)).option == "share"
    with pytest.raises(TypeError, match="unexpected keyword argument 'shared'"):
        PolicyActor(VECTOR, THREE, shared=True)
