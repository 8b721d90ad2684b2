import numpy as np

from envs import rng as rand

MASK = (1 << 64) - 1


def plain_splitmix(state):
    """SplitMix64 in Python's own integers: (next state, output)."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return state, z ^ (z >> 31)


def test_published_vector():
    """The first outputs of SplitMix64 from seed 1234567 (the reference implementation's own vector)."""
    state, outputs = 1234567, []
    for _ in range(3):
        state, z = plain_splitmix(state)
        outputs.append(z)
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_kernel_and_batch_give_the_same_numbers():
    states = rand.from_seeds([1, 2, 2**63 + 5])
    one, many = states.copy(), states.copy()
    u = rand.uniform(many, 4)
    for i in range(3):
        state = int(states[i])
        for j in range(4):
            state, z = plain_splitmix(state)
            assert rand.next_float(one, i) == u[i, j] == (z >> 11) * 2.0**-53
    np.testing.assert_array_equal(one, many)


def test_uniform_and_normal_are_what_they_say():
    states = rand.from_seeds(range(2000))
    u = rand.uniform(states, 50)
    assert 0 <= u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 0.08  # neighbouring seeds are unrelated
    x = rand.normal(states, 50)
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02
    below = [rand.next_below(states, i, 5) for i in range(2000)]
    assert set(below) == {0, 1, 2, 3, 4}


def test_rows_do_not_depend_on_their_neighbours():
    states = rand.from_seeds([5, 6, 7])
    whole, alone = states.copy(), states[1:2].copy()
    np.testing.assert_array_equal(rand.uniform(whole, 3)[1], rand.uniform(alone, 3)[0])
    np.testing.assert_array_equal(rand.normal(whole, 3)[1], rand.normal(alone, 3)[0])
