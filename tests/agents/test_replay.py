import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from scipy import stats

from agents.replay import Replay
from agents.replay.buffer import check_capacity
from agents.replay.storage import FrameRing, stack_depth
from envs.rng import from_seeds
from rollouts.storage import Segment, load_tree, save_tree
from tests.streams import Stream

NUMBER = spaces.Box(-np.inf, np.inf, (1,), np.float32)


def plain_items(stream, n_step, gamma):
    """Every finished n-step item of a stream, by the slowest reading of the definition: `{seen: item}`."""
    items = {}
    for rows in stream.rows:
        for i, start in enumerate(rows):
            total, discount, boot = 0.0, 1.0, None
            for k in range(n_step):
                if i + k >= len(rows) or rows[i + k].episode != start.episode:
                    break  # still open, or dropped
                row = rows[i + k]
                total += discount * row.reward
                discount *= gamma * row.sign * (not row.terminated)
                if row.terminated or row.truncated:
                    boot = row.final
                    break
                if k == n_step - 1 and i + n_step < len(rows):
                    boot = rows[i + n_step].seen if rows[i + n_step].episode == start.episode else None
            if boot is not None:
                items[start.seen] = (start.action, total, discount, boot)
    return items


def held_items(replay):
    """Every item that `replay` holds, read entry by entry: `{seen: item}`."""
    ring, items = replay.ring, {}
    for entry in range(replay.low, ring.head):
        row = {name: column[entry % ring.rows] for name, column in ring.columns.items()}
        if row["boots"] < 0:
            continue
        seen, boot = ring.get(np.array([entry, row["boots"]]))[:, 0]
        items[int(seen)] = (int(row["actions"]), float(row["returns"]), float(row["discounts"]), int(boot))
    return items


def assert_same_items(held, plain):
    for seen, (action, total, discount, boot) in held.items():
        wanted = plain[seen]
        assert action == wanted[0]
        assert total == pytest.approx(wanted[1], abs=1e-5)
        assert discount == pytest.approx(wanted[2], abs=1e-6)
        assert discount == 0 or boot == wanted[3]


@pytest.mark.parametrize("n_step", [1, 3, 5])
@pytest.mark.parametrize(("slots", "drops"), [(1, 0.0), (4, 0.0), (3, 0.05)])
def test_n_step_items_are_those_of_the_definition(n_step, slots, drops):
    stream = Stream(slots, seed=n_step, drops=drops)
    replay = Replay(NUMBER, 5000, n_step=n_step, gamma=0.9)
    for steps in (1, 4, 1, 7, 2, 30, 1, 1, 100):
        replay.add(stream.fragment(steps))
    plain, held = plain_items(stream, n_step, 0.9), held_items(replay)
    assert held.keys() == plain.keys()
    assert replay.items == len(held) > 40 * slots
    assert_same_items(held, plain)
    assert sum(item[2] == 0 for item in held.values()) > 5  # true ends were there,
    assert sum(abs(item[2]) > 0 and item[3] not in held for item in held.values()) > 2  # and cut ones


@pytest.mark.parametrize("n_step", [1, 4])
def test_a_wrapped_ring_holds_the_latest_items_and_never_a_window_across_the_write_head(n_step):
    stream = Stream(3, seed=7, drops=0.02)
    replay = Replay(NUMBER, 120, n_step=n_step, gamma=0.9)
    for _ in range(60):
        replay.add(stream.fragment(5))
        held, plain = held_items(replay), plain_items(stream, n_step, 0.9)
        assert replay.items == len(held)
        assert_same_items(held, plain)
        newest = sorted(plain)[-60:]
        assert held.keys() >= set(newest)
    assert replay.ring.head > 4 * replay.ring.rows
    assert 90 <= replay.ring.head - replay.low <= replay.ring.rows


def test_what_was_open_in_a_slot_that_slept_too_long_is_dropped():
    stream, replay = Stream(2, idle=0.0, ends=0.0), Replay(NUMBER, 60, n_step=2, gamma=0.9)
    replay.add(stream.fragment(3))
    asleep = {row.seen for row in stream.rows[0]}
    for _ in range(50):
        rollout = stream.fragment(3)
        rollout.valid[:, 0] = False
        replay.add(rollout)
        stream.rows[0] = stream.rows[0][:3]
    replay.add(stream.fragment(3))
    held = held_items(replay)
    assert len(held) == replay.items > 40
    assert not asleep & held.keys()
    assert_same_items(held, plain_items(stream, 2, 0.9))


def test_samples_are_the_items():
    stream, replay, rng = Stream(3, seed=2), Replay(NUMBER, 200, n_step=3, gamma=0.9), from_seeds([0])
    for _ in range(40):
        replay.add(stream.fragment(8))
    plain, batch = plain_items(stream, 3, 0.9), replay.sample(500, rng)
    for i in range(500):
        seen, boot = int(batch.obs[i, 0]), int(batch.obs[500 + i, 0])
        got = {seen: (batch.actions[i], batch.returns[i], batch.discounts[i], boot)}
        assert_same_items(got, plain)
    assert batch.next_masks is None
    assert (batch.weights == 1).all()


def test_uniform_draws_every_item_alike_and_nothing_else():
    stream, replay, rng = Stream(2, seed=1), Replay(NUMBER, 100, n_step=2), from_seeds([5])
    for _ in range(40):
        replay.add(stream.fragment(4))
    held = held_items(replay)
    drawn = replay.sample(40_000, rng).obs[:40_000, 0].astype(int)
    assert set(drawn) == set(held)
    counts = np.array([np.sum(drawn == seen) for seen in held])
    assert stats.chisquare(counts).pvalue > 1e-3


def test_prioritised_draws_and_weights_are_those_of_the_paper():
    stream, rng, alpha, beta = Stream(2, seed=1), from_seeds([5]), 0.6, 0.4
    replay = Replay(NUMBER, 100, n_step=2, alpha=alpha)
    for _ in range(40):
        replay.add(stream.fragment(4))
    held = sorted(held_items(replay))
    errors = dict(zip(held, np.random.default_rng(0).exponential(2.0, len(held))))
    for _ in range(80):  # until every item was drawn once
        batch = replay.sample(64, rng)
        replay.update(batch, np.array([errors[int(seen)] for seen in batch.obs[:64, 0]], np.float32))
    priority = np.array([(errors[seen] + 1e-6) ** alpha for seen in held])
    chance = priority / priority.sum()
    batch = replay.sample(30_000, rng, beta)
    drawn = np.searchsorted(held, batch.obs[:30_000, 0].astype(int))
    assert stats.chisquare(np.bincount(drawn, minlength=len(held)), chance * 30_000).pvalue > 1e-3
    weights = (len(held) * chance[drawn]) ** -beta
    np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-4)
    assert (batch.weights <= 1).all()


def test_new_items_get_the_largest_priority_so_far_and_forgotten_ones_none():
    stream, rng = Stream(2, seed=1), from_seeds([5])
    replay = Replay(NUMBER, 100, alpha=1.0)
    replay.add(stream.fragment(30))
    batch = replay.sample(8, rng)
    replay.update(batch, np.full(8, 7.0))
    replay.update(batch, np.full(8, 0.5))
    leaves = replay.sampler.tree[len(replay.sampler.tree) // 2 :]
    before = set(np.flatnonzero(leaves > 0))
    replay.add(stream.fragment(3))
    new = sorted(set(np.flatnonzero(leaves > 0)) - before)
    assert len(new) > 2
    np.testing.assert_allclose(leaves[new], 7.0, rtol=1e-5)
    for _ in range(50):
        replay.add(stream.fragment(5))
        assert np.count_nonzero(leaves) == replay.items == len(held_items(replay))


class Film:
    """Stacked pictures of `slots` endless episodes, newest frame last; `pad` says how a stack begins."""

    def __init__(self, slots, pad, depth=4, size=9):
        self.rng, self.pad, self.depth, self.size = np.random.default_rng(0), pad, depth, size
        self.stacks = np.stack([self.begin() for _ in range(slots)])

    def frame(self):
        return self.rng.integers(0, 255, (self.size, self.size), np.uint8)

    def begin(self):
        frames = [self.frame() for _ in range(self.depth)]
        older = {"zero": [frames[0] * 0] * 3, "repeat": [frames[-1]] * 3, "other": frames[:-1]}[self.pad]
        return np.stack([*older, frames[-1]])

    def fragment(self, stream, steps):
        """A fragment of `stream` whose observations are pictures instead; ends begin new stacks."""
        rollout, obs, finals = stream.fragment(steps), [], []
        for t in range(steps):
            obs.append(self.stacks.copy())
            for s in np.flatnonzero(rollout.valid[t]):
                following = np.concatenate([self.stacks[s][1:], self.frame()[None]])
                over = rollout.terminated[t, s] or rollout.truncated[t, s]
                self.stacks[s] = self.begin() if over else following
                if over:
                    finals.append(following)
        shape = (self.depth, self.size, self.size)
        return dataclasses.replace(
            rollout,
            obs=np.stack([*obs, self.stacks.copy()]),
            final_obs=np.array(finals, np.uint8).reshape(-1, *shape),
        )


@pytest.mark.parametrize("pad", ["zero", "repeat", "other"])
def test_stacks_come_back_as_they_were_seen_and_frames_are_stored_once(pad):
    space = spaces.Box(0, 255, (4, 9, 9), np.uint8)
    stream, film, seen = Stream(3, seed=4, idle=0.1), Film(3, pad), {}
    replay, rng = Replay(space, 300, n_step=3), from_seeds([0])
    rows, cuts, games = 0, 0, set()
    for _ in range(60):
        rollout = film.fragment(stream, 6)
        replay.add(rollout)
        rows += rollout.decisions
        games |= set(rollout.episode[rollout.valid])
        cuts += int((rollout.truncated & ~rollout.terminated).sum())
        for t, s in zip(*np.nonzero(rollout.valid)):
            seen[rollout.obs[t, s].tobytes()] = rollout.obs[t, s]
        for picture in rollout.final_obs:
            seen[picture.tobytes()] = picture
        entries = np.arange(replay.low, replay.ring.head)
        items = entries[replay.ring.columns["boots"][entries % replay.ring.rows] >= 0]
        assert all(picture.tobytes() in seen for picture in replay.ring.get(items))
        assert replay.ring._chain(items).min() >= replay.ring.tail  # nothing that may be overwritten
        assert all(picture.tobytes() in seen for picture in replay.sample(32, rng).obs)
    assert replay.ring.head == rows + cuts + 3 * len(games)
    assert replay.ring.columns["frames"].shape[1:] == (9, 9)


def test_an_item_is_its_own_stack_and_boots_from_the_one_n_later():
    """Pictures whose newest frame's first byte counts up tell which stack is which."""
    space = spaces.Box(0, 255, (4, 9, 9), np.uint8)
    stream, film = Stream(2, seed=4, idle=0.0, ends=0.0), Film(2, "zero")
    counts = iter(range(10**6))
    film.frame = lambda: np.full((9, 9), next(counts) % 251, np.uint8)
    replay = Replay(space, 100, n_step=2)
    for _ in range(30):
        replay.add(film.fragment(stream, 3))
    batch = replay.sample(200, from_seeds([0]))
    now, later = np.split(batch.obs[:, :, 0, 0].astype(int), 2)
    np.testing.assert_array_equal((later[:, 3] - now[:, 3]) % 251, 4)  # 2 slots, 2 steps
    np.testing.assert_array_equal((np.diff(now, axis=1) % 251)[now[:, 0] > 0], 2)


def test_stacks_of_a_real_atari_game_come_back_as_they_were_seen():
    ale = pytest.importorskip("ale_py.vector_env")
    mode = gym.vector.AutoresetMode.SAME_STEP
    env = ale.AtariVectorEnv("breakout", num_envs=3, autoreset_mode=mode, max_num_frames_per_episode=160)
    replay, rng, seen, cuts = Replay(env.single_observation_space, 5000, n_step=2), from_seeds([0]), set(), 0
    obs, _ = env.reset(seed=0)
    template = Stream(3, idle=0.0, ends=0.0)
    for _ in range(70):
        rollout = template.fragment(1)
        following, _, terminated, truncated, info = env.step(rollout.actions[0])
        ended = terminated | truncated
        at = np.flatnonzero(ended)
        template.episode[at] += 10_000
        rollout.obs, rollout.terminated, rollout.truncated = (
            np.stack([obs, following]),
            terminated[None],
            truncated[None],
        )
        rollout.final_at = np.stack([np.zeros_like(at), at], 1)
        rollout.final_obs = info["final_obs"][at] if len(at) else np.zeros((0, 4, 84, 84), np.uint8)
        seen |= {picture.tobytes() for picture in [*obs, *rollout.final_obs]}
        cuts += int((truncated & ~terminated).sum())
        replay.add(rollout)
        obs = following.copy()
    env.close()
    batch = replay.sample(500, rng)
    assert cuts >= 3
    assert all(picture.tobytes() in seen for picture in batch.obs)
    assert replay.ring.head == 3 * 70 + cuts + 3 * 3 * 2  # each frame once, and each start's three older ones


def test_only_stacked_pictures_count_as_stacks():
    assert stack_depth(spaces.Box(0, 255, (4, 84, 84), np.uint8)) == 4
    assert stack_depth(spaces.Box(0, 255, (84, 84, 3), np.uint8)) == 1
    assert stack_depth(spaces.Box(0, 1, (10, 10, 4), bool)) == 1
    assert stack_depth(spaces.Discrete(5)) == 1


@pytest.mark.parametrize("alpha", [None, 0.7])
def test_a_saved_replay_goes_on_as_the_one_that_never_stopped(tmp_path, alpha):
    def batches(replay, stream, rng):
        out = []
        for _ in range(30):
            replay.add(stream.fragment(4))
            batch = replay.sample(16, rng, 0.5)
            replay.update(batch, np.abs(batch.returns))
            out.append(batch)
        return out

    stream, rng = Stream(3, seed=9), from_seeds([4])
    replay = Replay(NUMBER, 150, n_step=3, alpha=alpha)
    batches(replay, stream, rng)
    (tmp_path / "state").mkdir()
    names = save_tree(tmp_path / "state", replay.get_state(), tmp_path / "segments")
    assert len(names) > 3
    other = Replay(NUMBER, 150, n_step=3, alpha=alpha)
    other.set_state(load_tree(tmp_path / "state", tmp_path / "segments"))
    twin = Stream(3, seed=9)
    [twin.fragment(4) for _ in range(30)]
    for a, b in zip(batches(replay, stream, rng.copy()), batches(other, twin, rng.copy())):
        for field in dataclasses.fields(a):
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


def test_a_segment_keeps_name_and_content_while_it_lives():
    stream, replay, known = Stream(3, seed=9), Replay(NUMBER, 150, n_step=3, alpha=0.5), {}
    for _ in range(60):
        replay.add(stream.fragment(4))
        for chunk in replay.get_state()["ring"]["chunks"]:
            if isinstance(chunk, Segment):
                content = {name: array.tobytes() for name, array in chunk.arrays.items()}
                assert known.setdefault(chunk.name, content) == content
    assert len(known) > 20


def test_a_replay_of_another_size_or_kind_is_refused():
    stream, replay = Stream(2), Replay(NUMBER, 100)
    replay.add(stream.fragment(5))
    state = replay.get_state()
    with pytest.raises(ValueError, match="replay_capacity"):
        Replay(NUMBER, 200).set_state(state)
    with pytest.raises(ValueError, match="`frames`"):
        Replay(spaces.Box(0, 1, (2,), np.float32), 100).set_state(state)


def test_what_cannot_be_held_is_refused_with_the_keys_name():
    with pytest.raises(ValueError, match=r"replay_capacity .* GiB .* fit"):
        check_capacity(spaces.Box(0, 255, (4, 84, 84), np.uint8), 10**9, 32)
    with pytest.raises(ValueError, match=r"replay_capacity .* at least 32, not 31"):
        check_capacity(NUMBER, 31, 32)
    check_capacity(spaces.Box(0, 255, (4, 84, 84), np.uint8), 1000, 1000)
    with pytest.raises(ValueError, match="replay_capacity"):
        Replay(NUMBER, 20).add(Stream(8).fragment(50))
    with pytest.raises(ValueError, match="rewards"):
        Replay(NUMBER, 20).add(dataclasses.replace(Stream(1).fragment(2), rewards=None))


def test_a_million_atari_frames_take_seven_gigabytes():
    ring = FrameRing(spaces.Box(0, 255, (4, 84, 84), np.uint8), 1_000_000)  # memory is taken when written
    assert sum(column.nbytes for column in ring.columns.values()) < 7.3e9


def test_masks_are_those_of_the_observation_to_boot_from():
    space = spaces.Dict(planes=NUMBER, action_mask=spaces.MultiBinary(3))
    stream, replay = Stream(2, seed=3, idle=0.2), Replay(space, 500, n_step=2, gamma=0.9)

    def masks(numbers):
        return (numbers.astype(int) >> np.arange(3) & 1).astype(np.int8)

    for _ in range(20):
        rollout = stream.fragment(5)
        for name in ("obs", "final_obs"):
            numbers = getattr(rollout, name)
            setattr(rollout, name, {"planes": numbers, "action_mask": masks(numbers)})
        replay.add(rollout)
    batch = replay.sample(200, from_seeds([0]))
    np.testing.assert_array_equal(batch.next_masks, masks(batch.obs[200:]).astype(bool))
    assert_same_items(held_items(replay), plain_items(stream, 2, 0.9))
