from dataclasses import replace

import numpy as np
import pytest

from rollouts.playback import Playback
from rollouts.problems import Listed, Problem
from rollouts.rollout import Rollout
from rollouts.sampler import Sampler
from rollouts.storage import load_tree, save_tree
from tests.toys import Coin, Echo, Nim, Speller, Walk, coin

ARRAYS = ("env_rewards", "terminated", "truncated", "valid", "first", "sign", "episode", "group", "seed")


def same(a, b):
    """Two rollouts are equal, number for number."""
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_equal(a.obs, b.obs)
    np.testing.assert_equal(a.actions, b.actions)
    np.testing.assert_equal(a.final_obs, b.final_obs)
    np.testing.assert_equal(dict(a.fields), dict(b.fields))
    np.testing.assert_equal(dict(a.parts), dict(b.parts))
    np.testing.assert_equal(dict(a.ended), dict(b.ended))
    np.testing.assert_equal(a.memory, b.memory)


def test_rows_say_what_happened():
    env = Walk(4)
    r = Sampler(env, seed=3).collect(coin(env), steps=50)
    assert r.shape == (50, 4)
    assert r.obs.shape == (51, 4, 2)
    ends = r.terminated | r.truncated
    assert r.terminated.any()
    assert r.truncated.any()
    assert not (r.terminated & r.truncated).any()
    steps, limits = r.obs[:-1, :, 0], r.obs[:-1, :, 1]
    np.testing.assert_array_equal(ends, steps + 1 == limits)
    np.testing.assert_array_equal(r.terminated, ends & (limits % 2 == 0))
    np.testing.assert_array_equal(r.first, steps == 0)
    np.testing.assert_array_equal(r.obs[1:][~ends][:, 0], steps[~ends] + 1)
    assert (r.obs[1:][ends][:, 0] == 0).all()
    np.testing.assert_array_equal(r.final_at, np.argwhere(ends))
    np.testing.assert_array_equal(
        r.final_obs[:, 0], r.final_obs[:, 1]
    )  # the true last one, not the next first
    np.testing.assert_array_equal(r.final_obs[:, 1], limits[ends])
    assert r.valid.all()
    assert (r.sign == 1).all()


def test_accounts_equal_a_plain_recount():
    env = Walk(5)
    r = Sampler(env, seed=1).collect(coin(env), steps=40)
    told = {
        int(e): (x, k, s)
        for e, x, k, s in zip(*(r.ended[c] for c in ("episode", "return", "length", "success")))
    }
    counted = {}
    for slot in range(5):
        total = 0
        for t in range(40):
            total += 1
            if r.terminated[t, slot] or r.truncated[t, slot]:
                counted[int(r.episode[t, slot])] = (float(total), total, float(r.terminated[t, slot]))
                total = 0
    assert told == counted
    assert len(set(r.episode[r.first])) == r.first.sum()  # an id an episode


def test_two_fragments_are_one_long_one():
    def collect(*lengths):
        env = Walk(3)
        sampler, agent = Sampler(env, seed=9), coin(env)
        return [sampler.collect(agent, steps=k) for k in lengths]

    (whole,), (head, tail) = collect(30), collect(11, 19)
    for name in (*ARRAYS, "actions"):
        joined = np.concatenate([getattr(head, name), getattr(tail, name)])
        np.testing.assert_array_equal(getattr(whole, name), joined, err_msg=name)
    np.testing.assert_array_equal(whole.obs[11], tail.obs[0])
    np.testing.assert_array_equal(
        tail.memory["count"], tail.fields["count"][0] * ~tail.first[0] + tail.memory["count"] * tail.first[0]
    )
    lengths = np.concatenate([head.ended["length"], tail.ended["length"]])
    np.testing.assert_array_equal(whole.ended["length"], lengths)


def test_episodes_are_assigned_in_advance_and_played_whole():
    env = Walk(4)
    r = Sampler(env, seed=5).collect(coin(env), episodes=10)
    assert sorted(r.ended["episode"]) == list(range(10))
    np.testing.assert_array_equal(np.sort(r.ended["slot"]), np.sort(np.arange(10) % 4))
    assert r.valid.sum() == r.ended["length"].sum()
    assert r.first[r.valid].sum() == 10
    for e in range(10):
        rows = r.valid & (r.episode == e)
        slots = np.unique(np.argwhere(rows)[:, 1])
        assert len(slots) == 1
        assert slots[0] == e % 4


def test_whole_episodes_are_cut_when_they_take_too_long():
    env = Walk(4)
    whole = Sampler(env, seed=2).collect(coin(env), episodes=40)
    cut = Sampler(env, seed=2, longest=3).collect(coin(env), episodes=40)
    lengths, shortened = (r.ended["length"][np.argsort(r.ended["episode"])] for r in (whole, cut))
    np.testing.assert_array_equal(shortened, np.minimum(lengths, 3))
    late = cut.final_obs[:, 1] > 3
    assert late.sum() == (lengths > 3).sum() > 0
    assert (cut.final_obs[late, 0] == 3).all()  # the true last one of the shortened episode
    at = tuple(cut.final_at[late].T)
    assert cut.truncated[at].all()
    assert not cut.terminated[at].any()


def test_short_episodes_are_not_over_sampled():
    """The mean length over assigned episodes is that over problems; the first to end are far shorter."""
    env = Walk(16, longest=40)
    r = Sampler(env, seed=2).collect(coin(env), episodes=400)
    assert abs(r.ended["length"].mean() - 20.5) < 2.0


def test_an_episode_depends_on_its_problem_not_on_its_slot():
    by_width = []
    for n in (1, 3, 8):
        env = Walk(n, longest=9)
        r = Sampler(env, seed=7).collect(coin(env), episodes=6)
        by_width.append(
            [r.fields["u"][:, e % n][r.valid[:, e % n] & (r.episode[:, e % n] == e)] for e in range(6)]
        )
    for a, b in zip(by_width[0], by_width[1]):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(by_width[0], by_width[2]):
        np.testing.assert_array_equal(a, b)


def test_a_group_faces_one_problem_with_different_luck():
    env = Walk(8, longest=9)
    r = Sampler(env, seed=4).collect(coin(env), episodes=12, group_size=4)
    assert len(np.unique(r.ended["group"])) == 3
    for g in np.unique(r.ended["group"]):
        mine = r.ended["group"] == g
        assert mine.sum() == 4
        assert len(np.unique(r.ended["seed"][mine])) == 1
        assert len(np.unique(r.ended["length"][mine])) == 1
        starts = r.fields["u"][r.first & (r.group == g)]
        assert len(np.unique(starts)) == 4


def test_a_group_is_its_problem_whatever_was_played_before():
    env = Walk(4)
    sampler, seen = Sampler(env, seed=0), {}
    sampler.collect(coin(env), steps=3)
    for size in (4, 2, 4):
        r = sampler.collect(coin(env), episodes=8, group_size=size)
        for group, seed in zip(r.ended["group"], r.ended["seed"]):
            seen.setdefault(int(group), set()).add(int(seed))
    assert len(seen) == 2 + 4 + 2
    assert all(len(seeds) == 1 for seeds in seen.values())


def test_workers_and_slots_play_games_of_their_own():
    env = Walk(3)
    workers = [Sampler(env, seed=0, worker=i) for i in range(3)]
    steps = [s.collect(coin(env), steps=1) for s in workers]
    episodes = [s.collect(coin(env), episodes=4) for s in workers]
    seeds = [*(r.seed for r in steps), *(r.ended["seed"] for r in episodes)]
    luck = [*(r.fields["u"][0] for r in steps), *(r.fields["u"][0] for r in episodes)]
    assert len(np.unique(np.concatenate([s.ravel() for s in seeds]))) == 3 * 3 + 3 * 4
    assert len(np.unique(np.concatenate(luck))) == 2 * 3 * 3


def test_each_stream_of_steps_has_games_of_its_own():
    env = Walk(3)
    sampler = Sampler(env, seed=0)
    one = sampler.collect(coin(env), steps=10)
    sampler.collect(coin(env), episodes=3)
    two = sampler.collect(coin(env), steps=10)
    assert len(np.unique([one.seed[0], two.seed[0]])) == 6


def test_a_sampler_that_never_started_goes_on_exactly():
    for can_save in (True, False):
        env = Walk(3)
        env.can_save = can_save
        again = Sampler(Walk(3), seed=8)
        assert again.set_state(Sampler(env, seed=8).get_state()) is True
        same(Sampler(Walk(3), seed=8).collect(coin(env), steps=5), again.collect(coin(env), steps=5))


def test_idle_slots_count_for_nothing():
    env = Walk(4)
    r = Sampler(env, seed=1).collect(coin(env), episodes=6)
    assert not r.valid.all()
    for column in (r.env_rewards, r.terminated, r.truncated, r.first, r.parts["success"]):
        assert not column[~r.valid].any()
    for e, success in zip(r.ended["episode"], r.ended["success"]):
        assert success == r.terminated[r.valid & (r.episode == e)].sum()


def test_ended_has_the_same_types_where_nothing_ended():
    env = Walk(2, longest=90)
    sampler = Sampler(env, seed=1)
    none, some = sampler.collect(coin(env), steps=1).ended, sampler.collect(coin(env), steps=99).ended
    assert len(none["slot"]) == 0 < len(some["slot"])
    assert {k: v.dtype for k, v in none.items()} == {k: v.dtype for k, v in some.items()}


def test_problem_options_reach_their_slots():
    env = Walk(3)
    lengths = [2, 5, 1, 4, 3]
    problems = Listed([Problem(i, {"length": k}) for i, k in enumerate(lengths)], shuffle=False)
    r = Sampler(env, problems=problems).collect(coin(env), episodes=5)
    order = np.argsort(r.ended["episode"])
    np.testing.assert_array_equal(r.ended["length"][order], lengths)


def test_numbers_that_do_not_fit_are_refused():
    env = Walk(2)
    sampler = Sampler(env)
    with pytest.raises(ValueError, match="either steps= or episodes="):
        sampler.collect(coin(env))
    with pytest.raises(ValueError, match="groups of 4"):
        sampler.collect(coin(env), episodes=6, group_size=4)
    with pytest.raises(ValueError, match="one seat"):
        sampler.collect(coin(env), steps=1, opponents=[coin(env)])


def returns_to_go(r, gamma=1.0):
    """The plain reference: r + γ · sign · (1 − end) · what follows, row by row."""
    out, after = np.zeros(r.shape), np.zeros(r.shape[1])
    for t in reversed(range(r.shape[0])):
        end = r.terminated[t] | r.truncated[t]
        out[t] = after = r.env_rewards[t] + gamma * r.sign[t] * ~end * after
    return out


def test_self_play_signs_make_winner_and_loser():
    env = Nim(6)
    r = Sampler(env, seed=1).collect(coin(env), episodes=30)
    assert (r.sign[r.valid & ~r.terminated] == -1).all()  # each move hands the turn over
    value = returns_to_go(r)
    for e in range(30):
        rows = np.argwhere(r.valid & (r.episode == e))
        seats = [int(r.obs["to_play"][t, s]) for t, s in rows]
        values = [value[t, s] for t, s in rows]
        winner = seats[-1]
        assert values == [1.0 if s == winner else -1.0 for s in seats]
        assert sum(r.first[t, s] for t, s in rows) == min(2, len(rows))  # each seat begins once
        account = np.flatnonzero(r.ended["episode"] == e)
        assert r.ended["seat_returns"][account].tolist() == [[1 - 2 * winner, 2 * winner - 1]]
        assert r.ended["return"][account] == [1 - 2 * winner]  # seat 0's


def test_the_sign_at_an_end_is_that_of_the_true_last_observation():
    env = Nim(6)
    r = Sampler(env, seed=1).collect(coin(env), steps=40)
    assert set(r.obs["to_play"][:-1][r.terminated]) == {0, 1}
    assert (r.sign == -1).all()


def test_self_play_keeps_memory_by_seat():
    env = Nim(5)
    r = Sampler(env, seed=1).collect(coin(env), episodes=20)
    for e in range(20):
        rows = np.argwhere(r.valid & (r.episode == e))
        counts = [int(r.fields["count"][t, s]) for t, s in rows]
        assert counts == [i // 2 for i in range(len(rows))]


@pytest.mark.parametrize("how", [{"steps": 30}, {"episodes": 20}])
def test_an_agent_may_share_its_memory_among_the_seats_it_holds(how):
    env = Nim(5)
    agent = coin(env)
    agent.shares_memory = True
    r = Sampler(env, seed=1).collect(agent, **how)
    for e in np.unique(r.episode[r.valid]):
        rows = np.argwhere(r.valid & (r.episode == e))
        assert [int(r.fields["count"][t, s]) for t, s in rows] == list(range(len(rows)))
        assert sum(r.first[t, s] for t, s in rows) == 1


def test_shared_memory_is_saved_and_put_back():
    def play(sampler, agent):
        return sampler.collect(agent, steps=7, opponents=[agent])

    agent = coin(Nim(5))
    agent.shares_memory = True
    whole, before, after = (Sampler(Nim(5), seed=1) for _ in range(3))
    expected = [play(whole, agent) for _ in range(2)][1]
    play(before, agent)
    assert after.set_state(before.get_state())
    same(play(after, agent), expected)


@pytest.mark.parametrize("how", [{"steps": 40}, {"episodes": 60}])
def test_games_that_end_before_the_agents_turn_are_told(how):
    env = Nim(8, most=3)
    r = Sampler(env, seed=2).collect(coin(env), opponents=[coin(env)], **how)
    assert (r.ended["length"] == 0).sum() > 5
    assert len(np.unique(r.ended["episode"])) == len(r.ended["episode"])
    if "episodes" in how:
        assert sorted(r.ended["episode"]) == list(range(60))


def test_nothing_can_be_collected_where_the_agents_turn_never_comes():
    env = Nim(1, most=1)
    sampler = Sampler(env)
    sampler.episodes = 1  # seat 1
    with pytest.raises(ValueError, match="in none of the 1 episodes"):
        sampler.collect(coin(env), opponents=[coin(env)], episodes=1)


def test_self_play_is_for_two():
    env = Nim(5)
    env.seats = 3
    with pytest.raises(ValueError, match="two seats"):
        Sampler(env).collect(coin(env), steps=1)


@pytest.mark.parametrize("how", [{"steps": 40}, {"episodes": 40}])
def test_opponents_moves_are_part_of_the_row(how):
    env = Nim(8)
    r = Sampler(env, seed=11).collect(coin(env), opponents=[coin(env), coin(env)], **how)
    rows = r.valid
    assert (r.sign[rows & ~r.terminated] == 1).all()
    seats = r.obs["to_play"][:-1]
    for e in np.unique(r.episode[rows]):
        assert len(np.unique(seats[rows & (r.episode == e)])) == 1  # its own decisions only
    assert len(np.unique(seats[rows])) == 2  # from either side
    ends = r.terminated & rows
    played = r.ended["length"] > 0
    at = r.ended["time"][played], r.ended["slot"][played]
    np.testing.assert_array_equal(r.ended["return"][played], r.env_rewards[at])
    own = np.take_along_axis(r.ended["seat_returns"][played], seats[at][:, None], 1)
    np.testing.assert_array_equal(own[:, 0], r.ended["return"][played])
    assert (r.ended["return"][~played] == -1).all()  # lost before its turn came
    assert set(r.ended["episode"][~played]).isdisjoint(r.episode[rows])
    assert (r.ended["seat_returns"].sum(1) == 0).all()
    np.testing.assert_array_equal(r.ended["success"], r.ended["seat_returns"][:, 0] > 0)  # by whoever's move
    assert set(np.unique(r.env_rewards[ends])) == {-1.0, 1.0}  # it wins by its own move, loses by another's
    assert (r.env_rewards[rows & ~ends] == 0).all()
    inside = rows[:-1] & ~ends[:-1] & rows[1:]
    fell = (r.obs["planes"][:-2] - r.obs["planes"][1:-1])[..., 0]
    own = r.actions[:-1] + 1
    assert (fell[inside] - own[inside] >= 1).all()  # the board moved by our stones and by theirs
    first = r.first & rows
    assert len(np.unique(r.episode[first])) == first.sum()


def test_text_moves_in_without_a_change():
    env, agent = Echo(4), Speller(error=0.2)
    sampler = Sampler(env, seed=3)
    r = sampler.collect(agent, episodes=24, group_size=4)
    assert agent.asked == r.valid.sum()  # nobody is asked about an idle slot
    assert r.actions.shape == r.valid.shape
    assert r.fields["tokens"].shape[:2] == r.valid.shape
    assert r.fields["tokens"].shape[2] > 1
    spelled = {int(e): "" for e in r.ended["episode"]}
    for t, s in np.argwhere(r.valid):
        spelled[int(r.episode[t, s])] += r.actions[t, s]
    for e, success, length in zip(r.ended["episode"], r.ended["success"], r.ended["length"]):
        word = spelled[int(e)]
        assert bool(success) == (word in Echo.words)
        assert len(word) == length
    assert 0 < r.ended["success"].mean() < 1
    assert (Sampler(Echo(4), seed=3).collect(Speller(), episodes=8).ended["success"] == 1).all()


def test_memory_that_was_given_away_stays_as_it_was():
    env = Nim(3)
    agent, sampler = coin(env), Sampler(env, seed=1)
    sampler.collect(agent, steps=4)
    state, count = sampler.get_state(), sampler._chairs[0].memory["count"].copy()
    r = sampler.collect(agent, steps=6)
    np.testing.assert_array_equal(r.memory["count"], count)
    np.testing.assert_array_equal(state["chairs"][0]["memory"]["count"], count)
    assert not np.array_equal(sampler._chairs[0].memory["count"], count)
    state["chairs"][0]["memory"]["count"].flags.writeable = False  # as out of an object store
    again = Sampler(Nim(3), seed=1)
    again.set_state(state)
    assert again._chairs[0].memory["count"].flags.writeable
    same(again.collect(agent, steps=6), r)
    np.testing.assert_array_equal(state["chairs"][0]["memory"]["count"], count)


class Carrier(Coin):
    """Shows the very arrays that it remembers."""

    def act(self, obs, *, rng, first, memory=None, explore=True):
        decision = super().act(obs, rng=rng, first=first, memory=memory, explore=explore)
        return replace(decision, fields=decision.memory)


def test_what_was_recorded_is_not_written_over_by_later_memory():
    env = Walk(4)
    agent = Carrier(env.single_observation_space, env.single_action_space)
    r = Sampler(env, seed=2).collect(agent, episodes=6)
    for e in range(6):
        counts = r.fields["count"][r.valid & (r.episode == e)]
        assert counts.tolist() == [*range(1, len(counts) + 1)]


@pytest.mark.parametrize(
    "make", [lambda: (Walk(3), Coin), lambda: (Nim(3), Coin), lambda: (Echo(3), Speller)]
)
def test_a_saved_sampler_goes_on_exactly(make, tmp_path):
    env, kind = make()
    agent = kind(env.single_observation_space, env.single_action_space)
    sampler = Sampler(env, seed=8)
    sampler.collect(agent, steps=7)
    save_tree(tmp_path, sampler.get_state())
    expected = sampler.collect(agent, steps=9)
    again = Sampler(make()[0], seed=8)
    assert again.set_state(load_tree(tmp_path))
    same(expected, again.collect(agent, steps=9))


def test_a_state_with_flat_returns_goes_on_exactly():
    """One seat's running returns were `[n]` in the first checkpoints."""
    env = Walk(3)
    sampler, again = Sampler(env, seed=8), Sampler(Walk(3), seed=8)
    sampler.collect(coin(env), steps=2)
    state = sampler.get_state()
    state["accounts"]["returns"] = state["accounts"]["returns"][:, 0]
    assert again.set_state(state)
    same(sampler.collect(coin(env), steps=9), again.collect(coin(env), steps=9))


def test_games_that_cannot_be_saved_start_afresh_by_new_seeds():
    env = Walk(3)
    env.can_save = False
    sampler = Sampler(env, seed=8)
    before = sampler.collect(coin(env), steps=5)
    state = sampler.get_state()
    other = Sampler(Walk(3), seed=8)
    assert other.set_state(state) is False
    after = other.collect(coin(env), steps=5)
    assert not np.array_equal(before.seed, after.seed)
    assert after.episode.min() > before.episode.max()  # a lost episode never continues


def test_rollouts_save_load_and_are_played_again(tmp_path):
    for name, env, again, agent in (
        ("walk", Walk(3), Walk(3), coin(Walk(3))),
        ("echo", Echo(3), Echo(3), Speller(error=0.3)),
        ("nim", Nim(3), Nim(3), coin(Nim(3))),
    ):
        r = Sampler(env, seed=5).collect(agent, episodes=9)
        r.save(tmp_path / name)
        loaded = Rollout.load(tmp_path / name)
        same(r, loaded)
        if name == "nim":
            continue  # a playback goes by slot; self-play asks about a lane a seat
        replayed = Sampler(again, seed=5).collect(Playback(loaded), episodes=9)
        np.testing.assert_array_equal(r.env_rewards, replayed.env_rewards)
        np.testing.assert_equal(dict(r.ended), dict(replayed.ended))
    with pytest.raises(TypeError, match="memory: object cannot be saved"):
        replace(loaded, memory=object()).save(tmp_path / "walk")
    Rollout.load(tmp_path / "walk")  # what was saved before is still whole
    (tmp_path / "walk" / "arrays.safetensors").write_bytes(b"12345")
    with pytest.raises(ValueError, match=r"arrays\.safetensors: missing or damaged"):
        Rollout.load(tmp_path / "walk")


def test_a_rollout_is_not_saved_over_other_files(tmp_path):
    env = Walk(2)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        Sampler(env).collect(coin(env), steps=2).save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_playback_needs_the_slots_that_played():
    few = Sampler(Walk(3), seed=5).collect(coin(Walk(3)), episodes=2)
    again = Sampler(Walk(3), seed=5).collect(Playback(few), episodes=2)
    np.testing.assert_array_equal(few.actions, again.actions)
    np.testing.assert_equal(dict(few.ended), dict(again.ended))
    with pytest.raises(ValueError, match="the rollout begins with 2 slots, not 3"):
        Sampler(Walk(3), seed=5).collect(Playback(few), episodes=3)
