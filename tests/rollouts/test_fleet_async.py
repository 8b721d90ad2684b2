"""Workers that play on while the learner learns: who is waited for, what is too old, what slots remember."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from agents.replay import Replay
from rollouts import tree
from rollouts.asynchronous import AsyncFleet, idle
from rollouts.counts import Counts
from rollouts.fleet import Fleet
from rollouts.problems import Listed, Problem, Seeking
from rollouts.reward import Normalise
from rollouts.rollout import concatenate
from rollouts.sampler import Sampler
from tests.faults import Ledger, faulty
from tests.rollouts.test_fleet_faults import by_version, turn
from tests.toys import Echo, Nim, Speller, Walk, coin

WALK, NIM, ECHO = ({"id": f"tests.toys:{name}"} for name in ("Walk", "Nim", "Echo"))


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def until(playing, told, tries=5_000):
    """Turn until something is told; the rollouts."""
    agent, ledger, rollouts = by_version(), Ledger(2), []
    while not (rollouts and told(rollouts)) and len(rollouts) < tries:
        rollouts.append(turn(playing, agent, ledger))
    assert told(rollouts)
    return ledger, rollouts


def test_a_slow_worker_is_not_waited_for(cluster, tmp_path):
    (tmp_path / "slow").touch()
    playing = AsyncFleet(faulty(tmp_path, nap=0.05), n=4, workers=2, seed=5, max_lag=10**6)

    def both_thrice(rollouts):
        return min(sum(r.valid[0, slot] for r in rollouts) for slot in (0, 2)) >= 3

    ledger, rollouts = until(playing, both_thrice)
    came = [sum(r.valid[0, slot] for r in rollouts) for slot in (0, 2)]
    assert max(came) > 3 * min(came)
    assert max(r.lag.max() for r in rollouts) >= 3
    assert ledger.rows == 12 * sum(came)
    assert not ledger.lost
    for r in rollouts:  # an idle slot is of no age, and says what goes on in it
        there = r.valid[0]
        assert (r.lag[~there] == 0).all()
        assert (r.episode[:, ~there] == r.episode[0, ~there]).all()
    told = playing.told
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    assert set(told) == set(re.findall(r"`(fleet/\w+)`", page.partition("## Metrics")[2]))
    assert told["fleet/steps_per_second_max"] >= told["fleet/steps_per_second_min"] > 0
    assert told["fleet/workers"] == 2
    assert told["fleet/restarts"] == told["fleet/dropped"] == 0
    playing.close()


def test_idle_slots_say_which_episode_goes_on(cluster):
    playing = AsyncFleet(WALK, n=4, workers=2, seed=5, max_lag=10**6)
    _, rollouts = until(playing, lambda rollouts: len(rollouts) == 40)
    goes_on = np.full(4, -1)
    for r in rollouts:
        there = r.valid[0]
        np.testing.assert_array_equal(r.episode[0, ~there], goes_on[~there])
        goes_on[there] = r.episode[-1, there]
    playing.close()


def test_what_is_too_old_is_dropped_and_its_games_never_go_on(cluster, tmp_path):
    playing = AsyncFleet(faulty(tmp_path, longest=90), n=4, workers=2, seed=5, max_lag=3)
    agent, ledger = by_version(), Ledger(2)
    playing.roster.each("get_state", [(), ()])  # both have begun
    for _ in range(100):
        assert turn(playing, agent, ledger).lag.max() <= 3
        if len(ledger.lost) >= 4:
            break
        for _ in range(9):  # the learner is fast
            playing.sync(agent)
    assert len(ledger.lost) >= 4
    assert playing.told["fleet/dropped"] == playing.dropped >= 2
    assert not playing.take_news()
    ledger.check_seeds()
    playing.close()


def test_games_of_several_seats_and_opponents(cluster):
    playing = AsyncFleet(NIM, n=4, workers=2, seed=5)
    agent, opponent = coin(Nim(1)), coin(Nim(1))
    seen = [playing.collect(agent, steps=6, opponents=[opponent]) for _ in range(12)]
    ids = np.concatenate([r.ended["episode"] for r in seen])
    assert len(ids) == len(set(ids)) > 20
    memory = [r.memory for r in seen if r.memory is not None]
    assert {tree.rows(m) for m in memory} == {8}
    playing.close()


def words(last=60):
    return Listed([Problem(i, {"word": ("go", "hex", "move")[i % 3]}) for i in range(last)], shuffle=False)


def test_whole_episodes_of_every_problem_come_once_even_where_some_were_too_old(cluster):
    """Text, in groups; what is dropped is asked for again."""
    playing = AsyncFleet(ECHO, n=4, workers=2, seed=5, problems=words(), max_lag=1)
    agent, seen = Speller(error=0.3), []
    while sum(len(r.ended["seed"]) for r in seen) < 240:
        r = playing.collect(agent, episodes=8, group_size=2)
        assert r.valid.sum() == r.ended["length"].sum()
        seen.append(r)
        for _ in range(1 + 3 * (len(seen) == 5)):
            playing.sync(agent)
    assert playing.dropped > 0
    seeds = np.concatenate([r.ended["seed"] for r in seen])
    ahead = playing.in_flight * 2 * 2  # problems that were dealt out and did not come yet, at most
    counts = np.bincount(seeds, minlength=60)
    assert counts.sum() == len(seeds)
    assert (counts % 2 == 0).all()  # whole groups
    assert np.abs(counts - 4).max() <= 2  # each twice, in two passes, but for what is ahead
    assert (counts != 4).sum() <= 2 * ahead
    for r in seen:
        there = np.unique(r.group[r.valid])
        assert all(len(np.unique(r.episode[(r.group == g) & r.valid])) == 2 for g in there)
    playing.close()


def test_a_stream_that_learns_knows_what_is_still_to_come(cluster):
    stream = Seeking([{"length": 1}, {"length": 2}], seed=4, memory=2)
    playing = AsyncFleet(WALK, n=4, workers=2, seed=5, problems=stream)
    for _ in range(6):
        playing.collect(coin(Walk(1)), episodes=12, group_size=3)
        playing.sync(None)
    assert max(stream.worth) < 0.25  # all groups agree: every one of them was judged
    assert len(stream._choice_of) == sum(len(share) for share in playing.get_state()["asked"])
    playing.close()


def test_a_session_that_goes_on_begins_other_games_and_asks_again(cluster):
    playing = AsyncFleet(WALK, n=4, workers=2, seed=5, problems=words(1000))
    seen = [playing.collect(coin(Walk(1)), episodes=8, group_size=2) for _ in range(3)]
    state = playing.get_state()
    assert state["workers"] == []
    assert state["next"] == 2
    playing.close()
    again = AsyncFleet(WALK, n=4, workers=2, seed=5, problems=words(1000))
    assert not again.set_state(state)
    seen += [again.collect(coin(Walk(1)), episodes=8, group_size=2) for _ in range(9)]
    seeds = np.concatenate([np.unique(r.ended["seed"]) for r in seen])
    assert len(seeds) == len(set(seeds))
    ahead = sum(len(share) for share in again.get_state()["asked"])
    assert len(seeds) + ahead == again.problems.taken  # none is left out
    ids = np.concatenate([r.ended["episode"] for r in seen])
    assert len(ids) == len(set(ids))
    assert set(again.roster.numbers) == {2, 3}
    in_step = Fleet(WALK, n=4, workers=2, seed=5, local=True, problems=words(1000))
    assert not in_step.set_state(again.get_state())
    assert in_step.roster.numbers == [4, 5]
    again.close()


def test_a_fresh_fleet_says_that_no_games_were_lost(cluster):
    playing = AsyncFleet(WALK, n=2, workers=1)
    assert playing.set_state(playing.get_state())
    playing.close()


def test_what_waits_for_the_learner_is_counted_and_it_cannot_ask_for_something_else(cluster):
    playing = AsyncFleet(WALK, n=2, workers=1, in_flight=4)
    for queue in (0, 3):  # the learner takes its time
        playing.collect(coin(Walk(1)), steps=4)
        assert playing.told["fleet/queue"] >= queue
        waiting = [request.answer for request in playing.roster.places[0].queue]
        cluster.wait(waiting, num_returns=len(waiting), timeout=60)
        assert playing.roster.done() == 4
    with pytest.raises(ValueError, match="go on with what they began with"):
        playing.collect(coin(Walk(1)), steps=5)
    playing.close()


# -- what keeps a state by slot --------------------------------------------------------------------------


def apart(rollouts, chosen):
    """Rollouts of two workers, of which only those of a `chosen` worker come at a time, its oldest first."""
    samplers = [Sampler(Walk(3), seed=5, worker=k) for k in range(2)]
    parts = [[s.collect(coin(Walk(1)), steps=5) for _ in range(rollouts)] for s in samplers]
    whole = [concatenate([a, b]) for a, b in zip(*parts)]
    goes_on, out = np.full(6, -1), []
    for k in chosen:
        part = parts[k].pop(0)
        pair = [part, idle(part)] if k == 0 else [idle(part), part]
        mine, others = slice(3 * k, 3 * k + 3), slice(3 - 3 * k, 6 - 3 * k)
        r = concatenate(pair)
        r.episode[:, others], goes_on[mine] = goes_on[others], part.episode[-1]
        out.append(r)
    return whole, out


ORDER = (0, 1, 1, 0, 0, 0, 1, 1)


def test_idle_rows_are_blank():
    for env, agent in ((Walk(2), coin(Walk(1))), (Echo(2), Speller())):
        r = Sampler(env, seed=3).collect(agent, steps=4)
        nothing = idle(r)
        assert nothing.shape == r.shape
        assert not nothing.valid.any()
        assert len(nothing.ended["episode"]) == len(nothing.final_at) == 0
        both = concatenate([r, nothing])
        assert both.decisions == r.decisions
        assert set(np.asarray(both.actions)[:, 2:].ravel()) <= {0, ""}


def test_returns_so_far_wait_for_their_slot():
    whole, split = apart(4, ORDER)
    a, b = Normalise(gamma=0.9), Normalise(gamma=0.9)
    for r in whole:
        a(r)
    for r in split:
        b(r)
    np.testing.assert_array_equal(a.returns.returns, b.returns.returns)
    assert a.returns.count == pytest.approx(b.returns.count)
    assert a.returns.deviation == pytest.approx(b.returns.deviation)


def test_returns_so_far_end_where_an_episode_was_lost():
    r = apart(1, ())[0][0]
    term = Normalise(gamma=1.0)
    term(r)
    other = replace(r, episode=r.episode + 1_000)
    term(other)
    fresh = Normalise(gamma=1.0)
    fresh(r)
    np.testing.assert_array_equal(term.returns.returns, fresh.returns.returns)


def test_an_older_state_of_returns_goes_on():
    (first, second), _ = apart(2, ())
    a, b = Normalise(gamma=0.9), Normalise(gamma=0.9)
    a(first)
    saved = {name: value for name, value in a.state_dict().items() if name != "episode"}
    over = (first.terminated | first.truncated)[-1]
    saved["returns"] = saved["returns"] * ~over  # as it was kept then
    b.load_state_dict(saved)
    np.testing.assert_array_equal(a(second), b(second))


def test_counts_of_an_episode_wait_for_their_slot():
    whole, split = apart(4, ORDER)
    for r in (*whole, *split):
        r.obs, r.final_obs = r.obs.astype(np.int64), r.final_obs.astype(np.int64)
    a, b = Counts(episodic=True), Counts(episodic=True)
    first = np.concatenate([a(r) for r in whole])
    found = [b(r) for r in split]
    for k, slots in enumerate((slice(0, 3), slice(3, 6))):
        mine = np.concatenate([x[:, slots] for x, chosen in zip(found, ORDER) if chosen == k])
        np.testing.assert_array_equal(mine, first[:, slots])


def test_windows_of_replay_wait_for_their_slot():
    """The same items come out, whenever their slot's fragments came in; and none spans a lost fragment."""
    box = spaces.Box(0, 99, (2,), np.float32)

    def items(rollouts):
        replay = Replay(box, 4_000, n_step=3, gamma=0.9)
        for r in rollouts:
            r.rewards = r.obs[:-1, :, 0] * r.valid
            replay.add(r)
        ring = replay.ring
        at = np.flatnonzero(ring.columns["boots"][: ring.head] >= 0)
        seen, after = ring.get(at), ring.get(ring.columns["boots"][at])
        rows = [seen, after, ring.columns["returns"][at, None], ring.columns["discounts"][at, None]]
        return {tuple(row) for row in np.concatenate(rows, axis=1).round(4).tolist()}, len(at)

    whole, split = apart(4, ORDER)
    assert items(whole) == items(split)
    sampler, kept = Sampler(Walk(3), seed=5), []
    for k in range(4):
        r = sampler.collect(coin(Walk(1)), steps=2)
        if k % 2 == 0:
            kept.append(r)
        else:  # it never came, and other games were begun
            sampler.restart()
    found, count = items(kept)
    assert 0 < count < sum(r.decisions for r in kept)  # windows that were open at a gap are gone
    for before, limit, after, same_limit, *_, discount in found:
        if discount > 0:
            assert same_limit == limit
            assert 1 <= after - before <= 3
