import numpy as np
import pytest
from gymnasium import spaces

from agents.random import Random
from envs import rng

N = 4000
SPACES = [
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([3, 2]),
    spaces.MultiBinary(3),
    spaces.Box(-1, 3, (2,)),
    spaces.Box(0, 5, (2,), np.int64),
    spaces.Box(np.array([-np.inf, 0.0], np.float32), np.array([np.inf, np.inf], np.float32)),
]


def act(space, obs=None, states=None):
    states = rng.from_seeds(range(N)) if states is None else states
    return Random(spaces.Discrete(1), space).act(obs, rng=states, first=np.ones(len(states), bool)).actions


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_actions_lie_in_their_space_and_reach_all_of_it(space):
    actions = act(space)
    assert len(actions) == N
    assert all(space.contains(a) for a in actions[:200])
    if not isinstance(space, spaces.Box):
        counts = np.unique(actions, axis=0, return_counts=True)[1]
        size = {"Discrete": 4, "MultiDiscrete": 6, "MultiBinary": 8}[type(space).__name__]
        assert len(counts) == size
        assert counts.max() / counts.min() < 1.4
    elif space.is_bounded():
        np.testing.assert_allclose(actions.mean(0), (space.low + space.high) / 2, atol=0.1)


def test_only_legal_actions_are_played_and_all_of_them():
    mask = np.tile(np.array([0, 1, 0, 1, 1], np.int8), (N, 1))
    counts = np.bincount(act(spaces.Discrete(5), {"action_mask": mask}), minlength=5)
    assert counts[0] == counts[2] == 0
    assert counts[[1, 3, 4]].min() > N / 3 * 0.9
    mask[17] = 0
    with pytest.raises(ValueError, match="row 17 has no legal action"):
        act(spaces.Discrete(5), {"action_mask": mask})


def test_a_row_depends_on_its_own_generator_only():
    space = spaces.MultiDiscrete([100, 100])
    np.testing.assert_array_equal(act(space)[5], act(space, states=rng.from_seeds([5]))[0])


def test_a_space_that_it_cannot_play_is_named():
    with pytest.raises(ValueError, match="Text"):
        act(spaces.Text(3))
