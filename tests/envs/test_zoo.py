"""PettingZoo environments keep the BatchEnv contract, and agents with shared parameters learn on them."""

import subprocess
import sys

import numpy as np
import pettingzoo
import pytest
from gymnasium import error
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from pettingzoo.test import api_test, parallel_api_test

import envs
import move37
from agents.random import Random
from envs.base import BatchEnv
from envs.options import OptionError
from envs.zoo import SeatedGames, SharedGames
from move37.errors import UserError
from rollouts.sampler import Sampler
from tests.envs.test_gym import assert_plain
from tests.envs.zoo_toys import Beacons, Gifts, Relay
from tests.move37.runs import Diary

TOYS = "tests.envs.zoo_toys:"
CLASSIC = ("pettingzoo/classic/tictactoe_v3", "pettingzoo/classic/connect_four_v3")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pettingzoo")


def legal_actions(mask, rng):
    return (mask * rng.uniform(0.5, 1, mask.shape)).argmax(1)


def play_by_hand(game, choose):
    """One game as PettingZoo's guide says: [(agent, obs, mask)], what `last` gave to each agent in sum, ends.

    `choose(agent, mask)` gives the actions.
    """
    moves, totals = [], dict.fromkeys(game.possible_agents, 0.0)
    ends = {}
    for agent in game.agent_iter():
        obs, reward, terminated, truncated, info = game.last()
        totals[agent] += reward
        if terminated or truncated:
            ends[agent] = terminated, truncated
            game.step(None)
            continue
        mask = obs["action_mask"] if isinstance(obs, dict) else info["action_mask"]
        seen = obs["observation"] if isinstance(obs, dict) else obs
        moves.append((agent, seen.copy(), mask.copy()))
        game.step(choose(agent, mask))
    return moves, list(totals.values()), ends


def replay(actions):
    """A `choose` that plays a list of actions."""
    actions = iter(actions)
    return lambda agent, mask: int(next(actions))


def stream(env, steps, seed=0):
    """What `env` shows while it is played by chance: [(obs, actions, step's answer)]."""
    rng, rows = np.random.default_rng(seed), []
    obs, _ = env.reset()
    for _ in range(steps):
        actions = legal_actions(obs["action_mask"], rng)
        rows.append((obs, actions, env.step(actions)))
        obs = rows[-1][2][0]
    return rows


def slot_episodes(rows, i):
    """The rows of slot `i`, cut at its ends; what has not ended is left out."""
    episode = []
    for obs, actions, (_, rewards, terminated, truncated, info) in rows:
        row = {name: array[i] for name, array in obs.items()} | {"action": actions[i], "reward": rewards[i]}
        row |= {"final": {name: array[i] for name, array in info["final_obs"].items()}}
        row |= {"seats": info.get("seat_rewards", rewards[:, None])[i]}
        episode.append(row | {"terminated": terminated[i], "truncated": truncated[i]})
        if terminated[i] or truncated[i]:
            yield episode
            episode = []


# -- games in turn, by seats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("id", CLASSIC)
def test_games_by_seats_in_lock_step_with_pettingzoo(id):
    env = envs.make(id, n=3, seed=0)
    assert isinstance(env, SeatedGames)
    assert isinstance(env, BatchEnv)
    assert env.seats == 2
    twin = pettingzoo.make("aec", id.removeprefix("pettingzoo/"))
    outcomes = set()
    for i in range(3):
        for episode in slot_episodes(stream(env, 150, seed=i), i):
            twin.reset()
            moves, totals, _ = play_by_hand(twin, replay(row["action"] for row in episode))
            assert len(moves) == len(episode)
            for row, (agent, seen, mask) in zip(episode, moves):
                assert row["to_play"] == twin.possible_agents.index(agent)
                np.testing.assert_array_equal(row["planes"], seen)
                np.testing.assert_array_equal(row["action_mask"], mask)
                assert row["reward"] == row["seats"][row["to_play"]]
            np.testing.assert_array_equal(sum(row["seats"] for row in episode), totals)
            assert [row["terminated"] for row in episode] == [False] * (len(moves) - 1) + [True]
            # the last position, as its own player sees it: the two views are each other's mirror
            final, last = episode[-1]["final"], episode[-1]
            assert final["planes"].sum() == last["planes"].sum() + 1
            mine = last["planes"] if final["to_play"] == last["to_play"] else last["planes"][..., ::-1]
            assert (final["planes"] >= mine).all()
            outcomes.add(totals[0])
    assert {1.0, -1.0} <= outcomes
    assert outcomes <= {1.0, 0.0, -1.0}


def test_slots_outside_where_stay_as_they_are():
    env = envs.make(CLASSIC[0], n=3, seed=0)
    before = env.step(np.array([0, 1, 2]))[0]
    where = np.array([True, False, True])
    obs, rewards, terminated, truncated, info = env.step(np.array([3, 1, 3]), where=where)
    assert obs["to_play"].tolist() == [0, 1, 0]
    assert not any(array.any() for array in (rewards, terminated, truncated, info["seat_rewards"]))
    np.testing.assert_array_equal(obs["planes"][1], before["planes"][1])
    with pytest.raises(ValueError, match=r"slot 2: action 2 is illegal; legal: \[0, 1, 4, 5, 6, 7, 8\]"):
        env.step(np.array([8, 3, 2]))
    with pytest.raises(ValueError, match="slot 0: action 9 is illegal"):
        env.step(np.array([9, 3, 4]))
    nowhere = env.step(np.zeros(3, int), where=np.zeros(3, bool))
    np.testing.assert_array_equal(nowhere[0]["planes"], obs["planes"])


@pytest.mark.parametrize("limit", [99, 6, 7])
def test_rewards_of_who_does_not_move_reach_their_seats(limit):
    """Three seats, agents that leave early, a mask in the info, and a game that is cut."""
    env = envs.make(f"{TOYS}Gifts", n=2, seed=3, per_agent=False, limit=limit)
    assert env.seats == 3
    assert env.single_observation_space["action_mask"] == MultiBinary(3)
    rows = stream(env, 60)
    episodes = list(slot_episodes(rows, 1))
    assert len(episodes) >= 5
    for episode in episodes:
        twin = Gifts(limit=limit)
        twin.reset(seed=0, options={"number": episode[0]["planes"][2]})
        moves, totals, ends = play_by_hand(twin, replay(row["action"] for row in episode))
        for row, (agent, seen, mask) in zip(episode, moves, strict=True):
            assert row["to_play"] == int(agent[-1])
            np.testing.assert_array_equal(row["planes"], seen)
            np.testing.assert_array_equal(row["action_mask"], mask)
        np.testing.assert_array_equal(sum(row["seats"] for row in episode), totals)
        cut = any(truncated for _, truncated in ends.values())
        assert cut == (limit < 10)
        assert (episode[-1]["terminated"], episode[-1]["truncated"]) == (not cut, cut)


def test_the_sampler_gives_a_seat_what_it_got_while_others_moved():
    env = envs.make(f"{TOYS}Gifts", n=3, per_agent=False)
    player = Random(env.single_observation_space, env.single_action_space)
    rollout = Sampler(env, seed=1).collect(player, episodes=30, opponents=[player])
    ended = rollout.ended
    mine = ended["episode"] % 3
    np.testing.assert_array_equal(ended["return"], ended["seat_returns"][np.arange(30), mine])
    for k in range(30):
        rows = (rollout.episode == ended["episode"][k]) & rollout.valid
        assert rows.sum() == (2, 3, 5)[mine[k]]
        before = ended["seat_returns"][k, mine[k]] - rollout.env_rewards[rows].sum()
        assert 0 <= before <= 2 * mine[k]  # what was given before this seat's first move is no row's


def test_self_play_by_seats_is_refused_where_rewards_do_not_cancel():
    env = envs.make(f"{TOYS}Relay", seed=0)
    assert env.seats == 2
    env.step([0])
    bit = int(env.games[0].env.bit)
    with pytest.raises(ValueError, match=r"a step gave \[1.0, 1.0\].*per_agent=true"):
        env.step([bit])
    env = envs.make(f"{TOYS}Relay", seed=0, per_agent=False)
    env.step([0])
    assert env.step([bit])[4]["seat_rewards"].tolist() == [[1.0, 1.0]]


# -- a slot for each agent -----------------------------------------------------------------------------------


def test_the_toys_are_true_pettingzoo_environments():
    for toy in (Gifts(), Relay()):
        api_test(toy, num_cycles=100)
    parallel_api_test(Beacons(), num_cycles=100)


def test_simultaneous_games_in_lock_step_with_pettingzoo():
    """Agent 0 leaves after 2 steps, agent 1 is cut at 5: the slot of agent 0 passes until then."""
    env = envs.make(f"{TOYS}Beacons", n=4)
    assert isinstance(env, SharedGames)
    assert env.seats == 1
    assert env.single_observation_space == Dict(
        planes=Box(0, 1, (3,), np.float32), time=Discrete(6), action_mask=MultiBinary(3)
    )
    twins, rng = [Beacons(), Beacons()], np.random.default_rng(0)
    obs, _ = env.reset(seed=[5, 0, 8, 0])
    seen = [twin.reset(seed=seed)[0] for twin, seed in zip(twins, (5, 8))]
    for t in range(1, 6):
        actions = legal_actions(obs["action_mask"], rng)
        previous, (obs, rewards, terminated, truncated, info) = obs, env.step(actions)
        shown = info["final_obs"] if t == 5 else obs
        for g, twin in enumerate(twins):
            own = {a: 1 + actions[2 * g + int(a[-1])] for a in twin.agents}
            for agent in twin.agents:
                i = 2 * g + int(agent[-1])
                np.testing.assert_array_equal(previous["planes"][i], seen[g][agent]["observation"])
                assert previous["action_mask"][i].tolist() == [1, 1, 1]
            seen[g], gains, ends, cuts, _ = twin.step(own)
            for j, agent in enumerate(twin.possible_agents):
                i = 2 * g + j
                assert rewards[i] == gains.get(agent, 0)
                assert terminated[i] == (t == 5 and j == 0)
                assert truncated[i] == (t == 5 and j == 1)
                if agent in seen[g]:  # the last observation, too, is the agent's own
                    np.testing.assert_array_equal(shown["planes"][i], seen[g][agent]["observation"])
                else:
                    assert not shown["planes"][i].any()
                    assert shown["time"][i] == 0
                acts = agent in twin.agents or (t == 5 and j == 1)
                assert shown["action_mask"][i].tolist() == ([1, 1, 1] if acts else [1, 0, 0])
            assert (t >= 2) == ends.get("agent_0", True)
            assert (t == 5) == cuts["agent_1"]
    assert obs["action_mask"].all()  # both games began anew


def test_rock_paper_scissors_pays_both():
    env = envs.make("pettingzoo/classic/rps_v2", n=4, seed=0, max_cycles=3)
    assert env.single_observation_space["planes"] == Discrete(4)
    rows = [env.step(np.array([0, 1, 2, 2])) for _ in range(3)]
    assert [row[1].tolist() for row in rows] == [[-1, 1, 0, 0]] * 3
    assert rows[1][0]["planes"].tolist() == [1, 0, 2, 2]
    assert [row[3].all() for row in rows] == [False, False, True]
    assert not rows[2][2].any()
    assert rows[2][4]["final_obs"]["planes"].tolist() == [1, 0, 2, 2]
    assert rows[2][0]["planes"].tolist() == [3] * 4


def test_games_in_turn_with_a_slot_for_each_agent():
    """Three agents that leave one after the other: rewards reach those who wait, and nobody who has left."""
    env = envs.make(f"{TOYS}Gifts", n=6, seed=0)  # the default for more than two
    assert isinstance(env, SharedGames)
    rows = stream(env, 80)
    slots = [list(slot_episodes(rows, i)) for i in (3, 4, 5)]
    assert len(slots[0]) == 8
    for agents in zip(*slots, strict=True):
        actions = []
        for at_once in zip(*agents, strict=True):
            turn = len(actions) % 3 if len(actions) < 6 else (1 if len(actions) == 6 else 2)
            actions.append(at_once[turn]["action"])
            for j, row in enumerate(at_once):
                gone = len(actions) > (5, 8, 10)[j]  # after the row that shows its last observation
                assert row["planes"].any() == (not gone)
                assert row["planes"][0] == (0 if gone else 1 + j)
                assert j == turn or row["action_mask"].tolist() == [1, 0, 0]
        twin = Gifts()
        twin.reset(seed=0)
        moves, totals, _ = play_by_hand(twin, replay(actions))
        assert len(moves) == 10
        assert [sum(row["reward"] for row in rows) for rows in agents] == totals
        assert all(rows[-1]["terminated"] and not rows[-1]["truncated"] for rows in agents)


def test_a_game_for_one_needs_no_seats():
    env = envs.make(f"{TOYS}Gifts", n=2, seed=0, lives=(3,))
    assert env.seats == env.slots_per_game == 1
    rows = [env.step(np.array(actions)) for actions in ([2, 1], [1, 0], [0, 2])]
    assert [row[1].tolist() for row in rows] == [[-1, -1]] * 3
    assert [row[2].tolist() for row in rows] == [[False, False], [False, False], [True, True]]
    assert rows[1][0]["action_mask"].tolist() == [[1, 0, 1], [0, 1, 1]]


def test_idle_slots_may_play_what_is_illegal():
    env = envs.make(CLASSIC[0], n=2, seed=0, per_agent=True)
    for _ in range(5):
        obs, _, terminated, *_ = env.step(np.zeros(2, int))  # plays 0, 1, 2, 3, 4: no end before move 7
        assert not terminated.any()
    assert obs["planes"][0].sum() == 5
    player = Random(env.single_observation_space, env.single_action_space)
    rollout = Sampler(env, seed=0).collect(player, episodes=10)
    lengths, returns = rollout.ended["length"].reshape(5, 2), rollout.ended["return"].reshape(5, 2)
    assert (lengths[:, 0] == lengths[:, 1]).all()
    assert (returns.sum(1) == 0).all()


# -- seeds, restarts, states ---------------------------------------------------------------------------------


def beacons_of(env, steps=12):
    """What the agents of `env` see from its reset on, `[steps, n, 3]`."""
    shown = [env.reset()[0]["planes"]] if not env._begun else []
    zeros = np.zeros(env.num_envs, int)
    return np.array(shown + [env.step(zeros)[0]["planes"] for _ in range(steps)])


def test_a_seed_settles_everything_in_any_batch():
    def play(n, seed):
        env = envs.make(f"{TOYS}Beacons", n=n)
        env.reset(seed=seed)
        return beacons_of(env)

    wide = play(6, 4)
    np.testing.assert_array_equal(wide, play(6, 4))
    np.testing.assert_array_equal(wide[:, :2], play(2, 4))
    np.testing.assert_array_equal(wide[:, 4:], play(2, 8))
    assert not np.array_equal(wide[:, :2], wide[:, 2:4])
    assert not np.array_equal(wide[:, 1:3], play(2, 5))
    assert not np.array_equal(wide[:5], wide[5:10])  # games that begin by themselves are others


def test_a_masked_reset_restarts_whole_games_only():
    env = envs.make(f"{TOYS}Beacons", n=4)
    for call in (lambda: env.step(np.zeros(4, int)), env.get_state):
        with pytest.raises(error.ResetNeeded):
            call()
    mask = np.array([False, False, True, True])
    with pytest.raises(ValueError, match="first reset"):
        env.reset(options={"reset_mask": mask})
    env.reset(seed=0)
    before = env.step(np.zeros(4, int))[0]
    obs, _ = env.reset(seed=[None, None, 7, 7], options={"reset_mask": mask})
    np.testing.assert_array_equal(obs["planes"][:2], before["planes"][:2])
    fresh, _ = envs.make(f"{TOYS}Beacons", n=2).reset(seed=7)
    np.testing.assert_array_equal(obs["planes"][2:], fresh["planes"])
    obs = env.step(np.zeros(4, int))[0]
    assert obs["time"].tolist() == [2, 2, 1, 1]
    assert obs["action_mask"].sum(1).tolist() == [1, 3, 3, 3]  # the first agent has left its game
    with pytest.raises(ValueError, match=r"slots 2 to 3 play one game.* in multiples of the 2 agents"):
        env.reset(seed=0, options={"reset_mask": np.array([True, True, False, True])})


def test_options_name_a_game_and_hold_for_its_restarts():
    env = envs.make(f"{TOYS}Gifts", n=2, per_agent=False)
    obs, _ = env.reset(seed=0, options={"slots": [{"number": 77}, None]})
    rows = stream_from(env, obs, 25)
    assert {float(row[0]["planes"][0, 2]) for row in rows} == {77.0}
    assert len({float(row[0]["planes"][1, 2]) for row in rows}) > 1


def stream_from(env, obs, steps):
    rng, rows = np.random.default_rng(0), []
    for _ in range(steps):
        rows.append((obs, env.step(legal_actions(obs["action_mask"], rng))))
        obs = rows[-1][1][0]
    return rows


@pytest.mark.parametrize(
    ("id", "n"), [(CLASSIC[1], 3), (f"{TOYS}Gifts", 6), (f"{TOYS}Beacons", 4), (f"{TOYS}Wide", 2)]
)
def test_a_saved_state_goes_on_exactly(id, n):
    def play(env, steps, seed):
        env.action_space.seed(seed)
        mask = env._now.get("action_mask")
        rows = []
        for _ in range(steps):
            actions = env.action_space.sample()
            if mask is not None:
                actions = legal_actions(env._now["action_mask"], np.random.default_rng(len(rows)))
            rows.append(env.step(actions)[:4])
        return rows

    env, other = envs.make(id, n=n, seed=3), envs.make(id, n=n, seed=9)
    play(env, 13, 0)
    play(other, 4, 1)
    assert env.can_save
    state = env.get_state()
    assert_plain(state)
    there = play(env, 40, 2)
    np.testing.assert_equal(other.set_state(state), state["obs"])
    np.testing.assert_equal(play(other, 40, 2), there)
    assert any(row[2].any() or row[3].any() for row in there)
    with pytest.raises(ValueError, match="games for"):
        envs.make(id, n=2 * n, seed=0).set_state(state)


def test_what_its_seed_does_not_settle_is_not_saved():
    for name, n, steps in (("Stained", 2, 4), ("Beacons", 2, 4), ("Beacons", 2, 6), ("Stained", 2, 6)):
        env = envs.make(f"{TOYS}{name}", n=n, seed=0)
        for _ in range(steps):
            env.step(np.zeros(n, int))
        assert env.can_save == (name == "Beacons" or steps < 5)  # its first game is as it should be
    assert not envs.make(f"{TOYS}Beacons").can_save  # one slot of two only shows what it is like


@pytest.mark.parametrize(("id", "n"), [(CLASSIC[0], 4), (f"{TOYS}Beacons", 4)])
def test_a_run_resumes_exactly(tmp_path, id, n):
    def metrics(run):
        return [{k: v for k, v in row.items() if "time/" not in k} for row in run.metrics()]

    options = {"n_steps": 11, "anneal_lr": False, "entropy_coef": 0.01}
    whole = train(tmp_path / "whole", {"id": id, "n": n}, 11 * n * 4, **options)
    half = train(tmp_path / "half", {"id": id, "n": n}, 11 * n * 2, **options)
    heard = Diary()
    again = move37.resume(half.path, trust=True, overrides=[f"budget.env_steps={11 * n * 4}"], observer=heard)
    np.testing.assert_equal(metrics(again), metrics(whole))
    assert heard.warnings == []  # no game began afresh


def test_moves_that_lead_elsewhere_are_found_out():
    env = envs.make(f"{TOYS}Gifts", n=3, seed=0)
    env.step(np.ones(3, int))
    state = env.get_state()
    state["games"][0]["seed"] += 1
    with pytest.raises(ValueError, match="turns_v0: the saved moves do not lead to the saved observations"):
        env.set_state(state)


def test_what_was_handed_out_stays_as_it_is():
    for id in (CLASSIC[0], f"{TOYS}Beacons"):
        kept = []
        for obs, _, (_, *arrays, info) in stream(envs.make(id, n=2, seed=0), 20):
            kept += [(a, a.copy()) for a in (*obs.values(), *info["final_obs"].values(), *arrays)]
        assert all(np.array_equal(now, then) for now, then in kept)


# -- making --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "options", "message"),
    [
        ("pettingzoo/classic/tictactoe_v2", {}, "did you mean pettingzoo/classic/tictactoe_v3"),
        ("pettingzoo/tictactoe", {}, "did you mean pettingzoo/classic/tictactoe_v3"),
        ("connect_four", {}, "pettingzoo/classic/connect_four_v3"),
        (CLASSIC[0], {"screen_heigt": 3}, "no option 'screen_heigt'; did you mean 'screen_height'"),
        (CLASSIC[0], {"per_agent": 1}, "per_agent of environment"),
        (CLASSIC[0], {"per_agent": True, "n": 3}, "2 agents of a game: n must be a multiple of 2, not 3"),
        ("pettingzoo/classic/rps_v2", {"n": 5}, "n must be a multiple of 2, not 5"),
        (
            "pettingzoo/classic/rps_v2",
            {"seed": 0},
            "played by 2 agents, a slot each: n must be a multiple of 2",
        ),
        ("pettingzoo/classic/rps_v2", {"n": 2, "num_actions": 4}, "cannot be made: AssertionError: "),
        ("pettingzoo/classic/rps_v2", {"n": 2, "num_actions": "x"}, "num_actions of environment"),
        (f"{TOYS}Beacons", {"n": 2, "per_agent": False}, "has simultaneous moves: per_agent cannot be false"),
        (f"{TOYS}Beacons", {"n": 2, "limt": 3}, "did you mean 'limit'"),
        (f"{TOYS}Beacons", {"n": 2, "per_agent": 3}, "per_agent of environment"),
        (f"{TOYS}Turns", {"agents": 0}, "does not name its possible_agents"),
        (
            f"{TOYS}Unequal",
            {"n": 2},
            "need equal spaces; action_space is Discrete(2) of agent_0, but Discrete(3) of agent_1",
        ),
        ("tests.toys:Walk", {"per_agent": True}, "no option 'per_agent'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(id, options, message):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as found:
        envs.make(id, **options)
    assert message in str(found.value)
    if "multiple of 2, not" in message:
        assert isinstance(found.value, OptionError)
        assert found.value.option == "n"


@pytest.mark.parametrize(
    ("id", "package", "extra"),
    [("classic/tictactoe_v3", "pygame", "classic"), ("butterfly/pistonball_v6", "pymunk", "butterfly")],
)
def test_a_missing_package_is_named_and_how_to_get_it(monkeypatch, id, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [m for m in sys.modules if m.startswith(f"pettingzoo.{extra}")]:
        monkeypatch.delitem(sys.modules, name)
    said = rf"needs what is not installed: .*{package}.*; pip install 'pettingzoo\[{extra}\]'"
    with pytest.raises(ValueError, match=said):
        envs.make(f"pettingzoo/{id}", n=20)


def test_listing_imports_no_environment():
    code = (
        "import envs, pettingzoo, sys; found = [k for k in envs.names() if k.startswith('pettingzoo/')]; "
        "print(len(found) == len(pettingzoo.aec_registry) > 30, 'pettingzoo/sisl/pursuit_v5' in found, "
        "'pygame' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True False\n"
    assert envs.names()[CLASSIC[0]] == "PettingZoo, moves in turn"
    assert envs.names()["pettingzoo/classic/rps_v2"] == "PettingZoo, simultaneous moves"


def test_a_game_draws_itself():
    env = envs.make(CLASSIC[0], seed=0, render_mode="rgb_array", screen_height=60)
    before = env.render()
    env.step([4])
    assert before.shape == (60, 60, 3)
    assert not np.array_equal(before, env.render())
    assert envs.make(CLASSIC[0], seed=0).render() is None


def test_observations_that_are_bare_arrays_stay_so_where_nothing_is_masked():
    env = envs.make(f"{TOYS}Wide", n=2, seed=0)
    assert env.single_observation_space == Box(-1, 1, (2,), np.float32)
    obs, rewards, *_ = env.step(np.array([[3.0], [-0.5]], np.float32))
    assert obs.shape == (2, 2)
    assert rewards.tolist() == [1.0, -0.5]  # the environment got what is within bounds


# -- learning ------------------------------------------------------------------------------------------------


def train(tmp_path, env, env_steps, **agent):
    config = {
        "seed": 0,
        "threads": 1,
        "env": env,
        "agent": {"kind": "ppo", "minibatch_size": 128, **agent},
        "reward": {"env": 1.0},
        "budget": {"env_steps": env_steps},
        "log": {"every": 0},
    }
    return move37.train(config, out=tmp_path / "run")


def mean_return(agent, env, episodes, **options):
    return float(Sampler(env, seed=77).collect(agent, episodes=episodes, **options).ended["return"].mean())


def test_ppo_learns_tic_tac_toe_by_self_play(tmp_path):
    """Random play scores 0.0 against random play, this learner 0.45 and more."""
    game = {"id": CLASSIC[0], "n": 32}
    network = {"kind": "vector"}
    run = train(tmp_path, game, 6_000, lr=3e-3, epochs=8, n_steps=8, entropy_coef=0.05, network=network)
    env = envs.make(**game)
    player = Random(env.single_observation_space, env.single_action_space)
    assert abs(mean_return(player, env, 200, opponents=[player])) < 0.2
    assert mean_return(run.agent, env, 200, opponents=[player]) > 0.3


@pytest.mark.slow
def test_ppo_learns_tic_tac_toe_well(tmp_path):
    game = {"id": CLASSIC[0], "n": 32}
    network = {"kind": "vector", "hidden": [128, 128], "activation": "relu"}
    options = {"lr": 2e-3, "n_steps": 32, "entropy_coef": [0.1, 0.03], "gamma": 1.0, "network": network}
    run = train(tmp_path, game, 60_000, **options)
    env = envs.make(**game)
    player = Random(env.single_observation_space, env.single_action_space)
    assert mean_return(run.agent, env, 500, opponents=[player], explore=False) > 0.75


def test_ppo_learns_a_game_of_simultaneous_moves(tmp_path):
    """Perfect play gets 2 for agent 0 and 5 for agent 1; chance gets a third of it."""
    game = {"id": f"{TOYS}Beacons", "n": 32}
    run = train(tmp_path, game, 8_000, lr=1e-2, n_steps=16)
    env = envs.make(**game)
    assert mean_return(run.agent, env, 64, explore=False) == 3.5
    player = Random(env.single_observation_space, env.single_action_space)
    assert mean_return(player, env, 64) < 2


def test_ppo_learns_to_hand_a_bit_on(tmp_path):
    """Turns with one aim: what the first does pays only through the second."""
    game = {"id": f"{TOYS}Relay", "n": 32, "per_agent": True}
    run = train(tmp_path, game, 8_000, lr=1e-2, n_steps=16)
    assert mean_return(run.agent, envs.make(**game), 64, explore=False) == 1.0


def test_runs_with_a_slot_an_agent_are_evaluated_and_shared_out_by_whole_games(tmp_path):
    config = {
        "env": {"id": "tests.envs.zoo_toys:Beacons", "n": 12},
        "agent": {"kind": "ppo", "n_steps": 16},
        "budget": {"env_steps": 400},
        "evaluate": {"every": 200, "episodes": 10},
    }
    together = envs.make("tests.envs.zoo_toys:Beacons", 12).slots_per_game
    assert together > 1
    run = move37.train(config, out=tmp_path / "run")
    assert "eval/return" in run.metrics()[-1]
    episodes = run.evaluate(episodes=7)["episodes"]
    assert 7 <= episodes < 7 + together
    assert episodes % together == 0
    with pytest.raises(UserError, match=r"games of \d whole"):
        move37.train({**config, "sampler": {"workers": 12}}, out=tmp_path / "workers")
