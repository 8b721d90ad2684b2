"""KeyMaze: lock step with a plain twin, mazes that can all be solved, and what every batch promises."""

from __future__ import annotations

import warnings
from collections import Counter, deque

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.arcade.key_maze import DOORS, LEVELS, LIMITS, LIMITS_OF_STEPS, SIDES, KeyMaze
from envs.arcade.key_maze_solver import Solver, plan
from envs.arcade.render import ansi, frame
from envs.arcade.vector import Arcade
from envs.options import OptionError

ID = "arcade/KeyMaze-v1"
MOVES = [(-1, 0), (0, -1), (1, 0), (0, 1)]
"""What the actions of `-v1` do to (x, y)."""
ALL = ("success", "keys", "doors", "rooms", "wall", "barred", "cut")
"""What can happen in a step."""


class Twin:
    """The rules once more, plainly, over sets of places: (column, row, x, y), in a maze from `fields`."""

    def __init__(self, fields, i: int) -> None:
        now = {name: values[i] for name, values in fields.items()}
        self.limit, self.time = LIMITS_OF_STEPS[now["level"] - 1], int(now["time"])
        self.at = (*self.room(now["room"]), int(now["x"]), int(now["y"]))
        self.treasure = (*self.room(now["goal_room"]), int(now["goal_x"]), int(now["goal_y"]))
        where = zip(now["key_room"], now["key_x"], now["key_y"])
        self.keys = {(*self.room(r), int(x), int(y)) for r, x, y in where if r >= 0}
        self.ways, self.locked = {}, set()
        for r in range(25):
            column, row = self.room(r)
            for k, place in (("east", now["east"][r]), ("south", now["south"][r])):
                if place:
                    p = abs(int(place))
                    ends = ((column, row, 8, p), (column + 1, row, 0, p))
                    if k == "south":
                        ends = ((column, row, p, 8), (column, row + 1, p, 0))
                    self.ways[ends[0]], self.ways[ends[1]] = ends[1], ends[0]
                    self.locked |= set(ends) if place < 0 else set()
        self.held = int(now["held"])
        self.seen = {self.room(r) for r in range(25) if int(now["seen"]) >> r & 1}

    @staticmethod
    def room(r) -> tuple[int, int]:
        return int(r) % 5, int(r) // 5

    def step(self, move) -> set[str]:
        """What happened."""
        column, row, x, y = self.at
        said, to = set(), (column, row, x + move[0], y + move[1])
        if to in self.ways:
            other = self.ways[to]
            if to in self.locked and self.held == 0:
                return self.end({"barred"})
            if to in self.locked:
                self.locked -= {to, other}
                self.held -= 1
                said.add("doors")
            to = (other[0], other[1], other[2] + move[0], other[3] + move[1])
        if not (1 <= to[2] <= 7 and 1 <= to[3] <= 7):
            return self.end({"wall"})
        self.at = to
        if to[:2] not in self.seen:
            self.seen.add(to[:2])
            said.add("rooms")
        if to in self.keys:
            self.keys.remove(to)
            self.held += 1
            said.add("keys")
        return self.end(said | ({"success"} if to == self.treasure else set()))

    def end(self, said: set[str]) -> set[str]:
        self.time += 1
        return said | {"cut"} if self.time >= self.limit and "success" not in said else said

    def picture(self) -> np.ndarray:
        obs, here = np.zeros((10, 10, 7), bool), self.at[:2]
        for x in range(9):
            for y in range(9):
                place = (*here, x, y)
                if x in (0, 8) or y in (0, 8):
                    obs[y, x, 1], obs[y, x, 2] = place not in self.ways, place in self.locked
                obs[y, x, 3], obs[y, x, 4] = place in self.keys, place == self.treasure
        obs[self.at[3], self.at[2], 0] = True
        for k in range(self.held):
            obs[9, 8 - k, 5] = True
        obs[here[1], 9, 6] = obs[9, here[0], 6] = True
        return obs


def make(level: int = 2, n: int = 1, seed: int = 0, **options) -> KeyMaze:
    env = envs.make(ID, n, seed, level=level, **options)
    assert isinstance(env, KeyMaze)
    return env


def put_at_a_locked_door(env: KeyMaze, i: int) -> None:
    """Slot `i` stands before a door that it may have no key for, if nothing lies there.

    (No player ever stands on a key or the treasure before a step: it was taken when it was reached.)
    """
    state = env.get_state()
    fields = state["fields"]
    things = {(fields["goal_room"][i], fields["goal_x"][i], fields["goal_y"][i])}
    things |= set(zip(fields["key_room"][i], fields["key_x"][i], fields["key_y"][i]))
    locked = [r for r in np.flatnonzero(fields["east"][i] < 0) if (r, 7, -fields["east"][i, r]) not in things]
    if len(locked):
        fields["room"][i], fields["x"][i], fields["y"][i] = locked[0], 7, -fields["east"][i, locked[0]]
        fields["seen"][i] |= 1 << locked[0]
        env.set_state(state)


def lockstep(level: int, steps: int, seed: int = 0) -> Counter[str]:
    """Half of eight slots play at random, now and then from a locked door on, half by the solver."""
    env, rng = make(level, 8, seed), np.random.default_rng(seed)
    twins = [Twin(env.get_state()["fields"], i) for i in range(8)]
    solver, counts = Solver(env), Counter()
    for t in range(steps):
        if t % 20 == 0:
            put_at_a_locked_door(env, t // 20 % 4)
            twins[t // 20 % 4] = Twin(env.get_state()["fields"], t // 20 % 4)
        actions = np.where(np.arange(8) < 4, rng.integers(4, size=8), solver())
        before = env.get_state()["fields"]["last_action"]
        obs, rewards, terminated, truncated, info = env.step(actions)
        fields = env.get_state()["fields"]
        played = fields["last_action"]
        assert ((played == env._actions[actions]) | (played == before)).all()
        for i, twin in enumerate(twins):
            noop = played[i] == 0  # only what sticks from before the first action
            said = twin.end(set()) if noop else twin.step(MOVES[played[i] - 1])
            counts.update(said)
            assert (rewards[i], terminated[i]) == ("success" in said, "success" in said)
            assert truncated[i] == ("cut" in said)
            assert {k for k in env.parts if info["parts"][k][i]} == said & set(env.parts)
            if said & {"success", "cut"}:
                np.testing.assert_array_equal(info["final_obs"][i], twin.picture())
                twins[i] = twin = Twin(fields, i)
            np.testing.assert_array_equal(obs[i], twin.picture())
    return counts


@pytest.mark.parametrize("level", [1, 2, 4])
def test_lockstep_with_a_plain_twin(level):
    counts = lockstep(level, {1: 420, 2: 850, 4: 850}[level])
    assert all(counts[k] for k in ALL), counts


@pytest.mark.slow
@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_lockstep_with_a_plain_twin_long(level):
    counts = lockstep(level, 10_000, seed=1)
    assert all(counts[k] for k in ALL), counts


@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_every_maze_is_a_tree_with_its_doors_and_can_be_solved_in_time(level):
    env = make(level, 500, sticky=0.0)
    fields, side = env.get_state()["fields"], SIDES[level - 1]
    ways = (fields["east"] != 0).sum(1) + (fields["south"] != 0).sum(1)
    np.testing.assert_array_equal(ways, side * side - 1)
    assert (fields["east"].reshape(-1, 5, 5)[:, :, side - 1 :] == 0).all()
    assert (fields["south"].reshape(-1, 5, 5)[:, side - 1 :, :] == 0).all()
    np.testing.assert_array_equal(
        (fields["east"] < 0).sum(1) + (fields["south"] < 0).sum(1), DOORS[level - 1]
    )
    np.testing.assert_array_equal((fields["key_room"] >= 0).sum(1), DOORS[level - 1])
    lengths = np.array([len(plan(env._games, i)) for i in range(500)])
    assert lengths.min() > 0
    assert lengths.max() <= 0.6 * LIMITS_OF_STEPS[level - 1]
    assert lengths.mean() <= LIMITS_OF_STEPS[level - 1] / 2.8
    solver, ended = Solver(env), np.zeros(500, np.int64)
    parts = {name: np.zeros(500) for name in env.parts}
    for t in range(lengths.max()):
        _, rewards, terminated, _, info = env.step(solver())
        for name, part in info["parts"].items():
            parts[name] += part * (ended == 0)
        assert (rewards[ended == 0] == terminated[ended == 0]).all()
        ended[(ended == 0) & terminated] = t + 1
    np.testing.assert_array_equal(ended, lengths)
    np.testing.assert_array_equal(parts["success"], 1)
    np.testing.assert_array_equal(parts["keys"], DOORS[level - 1])
    np.testing.assert_array_equal(parts["doors"], DOORS[level - 1])


@pytest.mark.parametrize("level", [1, 2])
def test_the_solver_finds_a_shortest_way(level):
    env = make(level, 6, sticky=0.0)
    for i in range(6):
        start = Twin(env.get_state()["fields"], i)
        seen, queue = {(start.at, frozenset(start.keys), start.held)}, deque([(start, 0)])
        while queue:
            twin, steps = queue.popleft()
            if twin.at == twin.treasure:
                break
            for move in MOVES:
                other = Twin.__new__(Twin)
                vars(other).update(vars(twin), keys=set(twin.keys), locked=set(twin.locked), seen=set())
                other.step(move)
                state = other.at, frozenset(other.keys), other.held
                if state not in seen:
                    seen.add(state)
                    queue.append((other, steps + 1))
        assert len(plan(env._games, i)) == steps


def test_a_maze_without_its_key_has_no_solution():
    env = make(2)
    env._games["key_room"] = -1
    assert not len(plan(env._games, 0))


def test_the_solver_copes_with_sticky_actions_and_all_six_actions():
    env = envs.make("arcade/KeyMaze-v0", 32, 0, level=3, sticky=0.25)
    solver, ends, cuts = Solver(env), 0, 0
    for _ in range(200):
        _, _, terminated, truncated, _ = env.step(solver())
        ends, cuts = ends + terminated.sum(), cuts + truncated.sum()
    assert ends > 32
    assert cuts <= 2


@pytest.mark.parametrize("level", range(2, LEVELS + 1))
def test_a_random_player_does_not_find_the_treasure(level):
    env, rng = make(level, 256), np.random.default_rng(0)
    found = sum(env.step(rng.integers(4, size=256))[1].sum() for _ in range(LIMITS_OF_STEPS[level - 1]))
    assert found <= 1


def mazes_of(env: KeyMaze, episodes: int) -> set[bytes]:
    """The layouts of so many restarts of every slot."""
    found = set()
    for _ in range(episodes):
        env.reset()
        fields = env.get_state()["fields"]
        layout = [fields[k] for k in ("east", "south", "key_room", "key_x", "key_y", "goal_x")]
        for i in range(env.num_envs):
            found.add(b"".join(np.asarray(x[i]).tobytes() for x in layout))
    return found


def test_there_are_as_many_mazes_as_asked_for():
    assert len(mazes_of(make(2, 16, mazes=1), 4)) == 1
    assert len(mazes_of(make(2, 16, mazes=3), 8)) == 3
    assert len(mazes_of(make(2, 16), 4)) == 64
    assert mazes_of(make(2, 4, seed=1, mazes=1), 1) == mazes_of(make(2, 4, seed=9, mazes=1), 1)
    for seed in (0, 7):
        obs = [make(3, 1, seed).reset(seed=seed)[0] for _ in range(2)]
        np.testing.assert_array_equal(*obs)


def play(env: KeyMaze, actions: np.ndarray) -> list:
    rows = []
    for a in actions:
        obs, rewards, terminated, truncated, info = env.step(a)
        over = terminated | truncated
        final = info["final_obs"][over] if over.any() else obs[:0]
        rows.append((obs, rewards, terminated, truncated, final, *info["parts"].values()))
    return rows


def test_a_batch_of_one_plays_the_games_of_a_batch_of_many():
    many, rng = make(1, 300, 3), np.random.default_rng(0)
    actions = rng.integers(4, size=(420, 300))
    rows = play(many, actions)
    assert sum(row[3].sum() for row in rows) >= 1_150
    for i in (0, 1, 299):
        for row, other in zip(rows, play(make(1, 1, 3 + i), actions[:, i : i + 1]), strict=True):
            for k in (0, 1, 2, 3, 5, 6, 7, 8):
                np.testing.assert_array_equal(row[k][i], other[k][0])


def test_a_saved_state_goes_on_exactly():
    env, rng = make(1, 16), np.random.default_rng(1)
    actions = rng.integers(4, size=(400, 16))
    play(env, actions[:150])
    state = env.get_state()
    rows = play(env, actions[150:])
    other = make(1, 16, seed=5)
    other.set_state(state)
    for row, twin in zip(rows, play(other, actions[150:]), strict=True):
        for x, y in zip(row, twin, strict=True):
            np.testing.assert_array_equal(x, y)


def test_an_impossible_state_is_refused():
    env = make(2, 3)
    for name, (low, high) in LIMITS.items():
        for wrong in (low - 1, high + 1):
            state = env.get_state()
            state["fields"][name] = state["fields"][name].astype(np.int64)
            state["fields"][name][1] = wrong
            with pytest.raises(ValueError, match=f"'{name}' in a state|another level"):
                env.set_state(state)
    with pytest.raises(ValueError, match="a state of another level cannot continue level 3"):
        make(3, 3).set_state(env.get_state())
    with pytest.raises(ValueError, match="a state of KeyMaze cannot continue Breakout"):
        Arcade("arcade/Breakout-v1", 3).set_state(env.get_state())


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_the_single_face(version):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*is out of date.*")
        env = gymnasium.make(f"arcade/KeyMaze-{version}", render_mode="rgb_array", level=1).unwrapped
        check_env(env)
    batch = envs.make(f"arcade/KeyMaze-{version}", 1, 5, level=1)
    obs, _ = env.reset(seed=5)
    cuts = 0
    for action in np.random.default_rng(0).integers(batch.single_action_space.n, size=500):
        expected, rewards, terminated, truncated, info = batch.step(np.array([action]))
        obs, reward, over, cut, told = env.step(action)
        assert (reward, over, cut) == (rewards[0], terminated[0], truncated[0])
        assert told == {name: part[0] for name, part in info["parts"].items()}
        np.testing.assert_array_equal(obs, info["final_obs"][0] if over or cut else expected[0])
        if over or cut:
            cuts += cut
            np.testing.assert_array_equal(env.reset()[0], expected[0])
    assert cuts == 5


def test_gymnasium_makes_the_batch_too():
    env = gymnasium.make_vec(ID, num_envs=3, level=4).unwrapped
    assert isinstance(env, KeyMaze)
    assert env.level == 4
    assert env.observation_space.contains(env.reset(seed=0)[0])


def test_pictures():
    env = make(2, 1, render_mode="rgb_array")
    solver, first = Solver(env), env.render()
    env.step(solver())
    assert first.shape == (320, 320, 3)
    assert (env.render() != first).any()
    empty = np.zeros((10, 10, 7), bool)
    for c in range(7):
        lone = empty.copy()
        lone[5, 5, c] = True
        assert (frame("KeyMaze", lone) != frame("KeyMaze", empty)).any()
    assert ansi("KeyMaze", empty).count("▀") == 20 * 40


def test_wrong_options_are_an_error_in_one_line():
    for options, said in [
        ({"level": 0}, "level must be from 1 to 5, not 0"),
        ({"level": 6}, "level must be from 1 to 5, not 6"),
        ({"mazes": -1}, "must be from 0 to .*, not -1"),
        ({"sticky": 2.0}, r"sticky .* in \[0, 1\], not 2"),
        ({"levle": 2}, "has no option 'levle'; did you mean 'level'"),
        ({"level": "x"}, "level of .* must be a whole number, not 'x'"),
    ]:
        with pytest.raises(OptionError, match=said):
            envs.make(ID, 2, **options)
