"""What gradient steps free is kept for the next ones."""

import json
import platform
import subprocess
import sys

import pytest

FAULTS = """
import json
import resource
import sys

import torch

import envs
from agents.ppo import PPO
from rollouts.heap import keep_heap
from rollouts.reward import Reward
from rollouts.sampler import Sampler

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_heap()
env = envs.make("arcade/Breakout-v1", n=32)
spaces = env.single_observation_space, env.single_action_space
learner = PPO(*spaces, n_steps=128, minibatch_size=1024, epochs=1)
rollout = Sampler(env).collect(learner.actor, **learner.wants)
Reward({"env": 1.0})(rollout)
pages = []
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    learner.learn(rollout)
    pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(json.dumps(pages))
"""


def pages_of(how: str) -> list[int]:
    """How many pages each of six updates of PPO asks the kernel for."""
    command = [sys.executable, "-c", FAULTS, how]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that is told")
def test_updates_use_the_memory_of_those_before():
    kept, given_back = sum(pages_of("kept")[3:]), sum(pages_of("given back")[3:])
    assert kept * 4 < given_back
