"""What a fleet tells of its workers one by one, and of Ray's object store."""

import math

import numpy as np
import pytest

from rollouts import fleet as fleet_module
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet, by_worker
from tests.rollouts.test_fleet import coin
from tests.toys import Walk

WALK = {"id": "tests.toys:Walk"}
SLOW = {"id": "tests.faults:Faulty", "nap": 0.05}


@pytest.fixture(scope="module")
def cluster():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture
def at_once(monkeypatch):
    """Looks may follow each other."""
    monkeypatch.setattr(fleet_module, "LOOK_SECONDS", 0.0)


@pytest.mark.parametrize("kind", [Fleet, AsyncFleet])
def test_the_slow_worker_is_told_by_its_pace(cluster, at_once, tmp_path, kind):
    (tmp_path / "slow").touch()
    playing = kind({**SLOW, "folder": str(tmp_path)}, n=4, workers=2)
    agent, seen = coin(Walk(1)), {}
    while len(speeds(seen)) < 2:
        playing.collect(agent, steps=4)  # with the same weights: else all of the slow one's may be too old
        seen |= playing.look()
    slow, fast = sorted(speeds(seen))
    assert slow <= 2 / 0.05 < fast  # two slots, and 0.05 s a step
    lags = [value for name, value in seen.items() if name.endswith("/lag")]
    assert len(lags) == (2 if kind is AsyncFleet else 0)
    assert "fleet/worker_0/steps_per_second" not in playing.told  # equal runs have equal lines of metrics
    playing.close()


def speeds(seen):
    return [value for name, value in seen.items() if name.endswith("/steps_per_second")]


def test_what_the_object_store_holds_is_told(cluster, at_once):
    import time

    playing = Fleet(WALK, n=2, workers=1)
    before = playing.look()["fleet/object_store/bytes"]
    held = cluster.put(np.zeros(10_000_000, np.uint8))
    limit = time.monotonic() + 30  # nodes tell of it now and then
    while playing.look()["fleet/object_store/bytes"] < before + 10_000_000:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert 0 < playing.look()["fleet/object_store/share"] < 1
    del held
    playing.close()


def test_a_lost_worker_is_left_out_and_looks_are_seldom(cluster):
    playing = Fleet(WALK, n=4, workers=2)
    playing.collect(coin(Walk(1)), steps=2)
    cluster.kill(playing.roster.places[1].actor, no_restart=True)
    assert [name for name in playing.look() if "worker_" in name] == ["fleet/worker_0/steps_per_second"]
    assert playing.look() == {}  # not again within seconds
    playing.close()
    assert Fleet(WALK, n=4, workers=2, local=True).look() == {}


def test_of_hundreds_the_range_is_told():
    pace = [*map(float, range(1, 100)), math.nan]
    told = by_worker({"lag": pace})
    assert told == {"fleet/workers/lag_min": 1, "fleet/workers/lag_median": 50, "fleet/workers/lag_max": 99}
    assert by_worker({"lag": [math.nan] * 100}) == {}
    assert by_worker({"lag": [2.0, math.nan]}) == {"fleet/worker_0/lag": 2.0}
