"""Workers that die, hang, raise or whose answers are lost: another one goes on, and nothing is torn."""

import time

import numpy as np
import pytest

from rollouts import fleet as fleet_module
from rollouts import roster
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet, FleetError
from tests.faults import ByVersion, Ledger, faulty
from tests.rollouts.test_sampler import same
from tests.toys import Walk, coin

WALK = {"id": "tests.toys:Walk"}
WORDS = {
    "die": "killed, or out of memory",
    "hang": "no answer in 4 seconds, which is sampler.patience",
    "raise": "it raised ZeroDivisionError: the walk went wrong",
}


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def by_version():
    env = Walk(1)
    return ByVersion(env.single_observation_space, env.single_action_space)


def turn(playing, agent, ledger, steps=6):
    """One update: collect, look at it, learn."""
    agent.bias = float(playing.version)
    rollout = ledger.add(playing.collect(agent, steps=steps))
    playing.sync(agent)
    return rollout


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Fleet, "die"),
        (AsyncFleet, "raise"),
        pytest.param(Fleet, "hang", marks=pytest.mark.slow),
        pytest.param(Fleet, "raise", marks=pytest.mark.slow),
        pytest.param(AsyncFleet, "die", marks=pytest.mark.slow),
        pytest.param(AsyncFleet, "hang", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_goes_wrong_is_replaced(cluster, tmp_path, kind, fault):
    playing = kind(faulty(tmp_path, after=20), n=6, workers=2, seed=5, patience=4.0)
    agent, ledger = by_version(), Ledger(2)
    rollouts = [turn(playing, agent, ledger)]
    (tmp_path / fault).touch()
    until = time.monotonic() + 60
    while not (playing.roster.restarts and 2 in ledger.seeds) and time.monotonic() < until:
        rollouts.append(turn(playing, agent, ledger))
    rollouts += [turn(playing, agent, ledger) for _ in range(3)]
    assert playing.roster.restarts == playing.told["fleet/restarts"] == 1
    assert sorted(playing.roster.numbers) in ([0, 2], [1, 2])
    (news,) = playing.take_news()
    assert news.endswith(f"was lost ({WORDS[fault]}); worker 2 takes its place")
    assert playing.take_news() == []
    ledger.check_seeds()
    assert set(ledger.seeds) == {0, 1, 2}
    assert ledger.rows == sum(int(r.valid.sum()) for r in rollouts)
    playing.close()


def test_in_step_only_the_slots_of_the_lost_worker_notice(cluster):
    """The others play as if nothing had happened; the new worker has seeds and ids of its own."""
    here, there = (Fleet(WALK, n=6, workers=2, seed=5, local=local) for local in (True, False))
    agent = coin(Walk(1))
    same(here.collect(agent, steps=8), there.collect(agent, steps=8))
    cluster.kill(there.roster.places[1].actor, no_restart=True)
    a, b = here.collect(agent, steps=8), there.collect(agent, steps=8)
    for name in ("obs", "actions", "episode", "valid", "seed"):
        np.testing.assert_array_equal(getattr(a, name)[:, :3], getattr(b, name)[:, :3])
    assert not set(b.episode[:, 3:].ravel()) & set(a.episode.ravel())
    assert (b.episode[:, 3:] >> 40 == 2).all()
    np.testing.assert_array_equal(b.memory["count"][3:], 0)  # which it has not yet
    state = there.get_state()
    assert (state["numbers"], state["next"], state["restarts"]) == ([0, 2], 3, 1)
    c = there.collect(agent, steps=8)
    again = Fleet(WALK, n=6, workers=2, seed=5, local=True)
    assert again.set_state(state)
    same(again.collect(agent, steps=8), c)
    assert again.get_state()["next"] == 3
    there.close()


def test_what_is_lost_with_whole_episodes_is_asked_for_again(cluster, tmp_path):
    from rollouts.problems import Listed, Problem

    def listed():
        return Listed([Problem(i, {"length": 1 + i % 4}) for i in range(100)], shuffle=False)

    playing = Fleet(faulty(tmp_path, after=3), n=4, workers=2, seed=5, problems=listed())
    (tmp_path / "die").touch()
    seen = [playing.collect(coin(Walk(1)), episodes=16, group_size=2) for _ in range(3)]
    assert playing.roster.restarts == 1
    assert [sorted(set(r.ended["seed"])) for r in seen] == [list(range(8 * i, 8 * i + 8)) for i in range(3)]
    ids = np.concatenate([r.ended["episode"] for r in seen])
    assert len(ids) == len(set(ids)) == 48
    playing.close()


@pytest.mark.parametrize("kind", [Fleet, AsyncFleet])
def test_what_is_wrong_from_the_start_is_raised_in_its_own_words(cluster, tmp_path, kind):
    (tmp_path / "always").touch()
    playing = kind(faulty(tmp_path), n=2, workers=2)
    with pytest.raises(ZeroDivisionError, match="went wrong"):
        playing.collect(coin(Walk(1)), steps=4)
    assert playing.roster.restarts == 0
    playing.close()


@pytest.mark.parametrize("kind", [Fleet, pytest.param(AsyncFleet, marks=pytest.mark.slow)])
def test_what_no_replacement_helps_against_is_an_error(cluster, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(roster, "RETRIES", 1)
    playing = kind(faulty(tmp_path), n=2, workers=2)
    agent = coin(Walk(1))

    def turns(count):
        for _ in range(count):
            playing.collect(agent, steps=4)

    while not all(place.worked for place in playing.roster.places):
        turns(1)
    (tmp_path / "always").touch()
    said = r"^worker [23] was lost \(it raised ZeroDivisionError: the walk went wrong\), as were 1 before it "
    with pytest.raises(FleetError, match=said):
        turns(4)
    playing.close()


@pytest.mark.slow
def test_no_core_for_a_replacement_is_told(cluster, monkeypatch):
    monkeypatch.setattr(fleet_module, "PATIENCE", 8.0)
    playing = Fleet(WALK, n=2, workers=2)
    agent = coin(Walk(1))
    playing.collect(agent, steps=2)

    @cluster.remote(num_cpus=1)
    class Thief:
        def there(self):
            return True

    thief = Thief.remote()
    cluster.kill(playing.roster.places[0].actor, no_restart=True)
    assert cluster.get(thief.there.remote(), timeout=60)
    with pytest.raises(FleetError, match=r"^2 workers need 2 cores, and Ray has 2 in all: 1 of them began "):
        playing.collect(agent, steps=2)
    cluster.kill(thief)
    playing.close()
