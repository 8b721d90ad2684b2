"""Machines that come and go: simulated ones, each with a Ray node of its own on this machine."""

import time

import pytest

from rollouts import fleet as fleet_module
from rollouts.asynchronous import AsyncFleet
from rollouts.fleet import Fleet, FleetError
from tests.faults import Ledger
from tests.rollouts.test_fleet_faults import by_version, turn

WALK = {"id": "tests.toys:Walk"}
pytestmark = pytest.mark.slow


@pytest.fixture
def nodes():
    """A cluster whose first node, the driver's, has one core."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def turns(playing, agent, ledger, done, seconds=90.0, steps=6):
    """Turn until `done()`."""
    limit = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < limit
        turn(playing, agent, ledger, steps)


def test_workers_join_when_a_machine_does_and_are_replaced_when_it_dies(nodes, monkeypatch):
    monkeypatch.setattr(fleet_module, "PATIENCE", 3.0)
    playing, agent, ledger = AsyncFleet(WALK, n=4, workers=2, seed=5), by_version(), Ledger(2)
    begun = time.monotonic()
    turns(playing, agent, ledger, lambda: time.monotonic() > begun + 4)
    assert playing.told["fleet/workers"] == 1
    (news,) = playing.take_news()
    assert news.startswith("worker 1 has found no core yet; Ray has 1 in all")

    second = nodes.add_node(num_cpus=1)
    turns(playing, agent, ledger, lambda: playing.told["fleet/workers"] == 2 and len(ledger.seeds) == 2)
    nodes.remove_node(second)
    third = nodes.add_node(num_cpus=1)
    turns(playing, agent, ledger, lambda: 2 in ledger.seeds)
    assert playing.roster.restarts == 1
    (news,) = playing.take_news()
    assert news.startswith("worker 1 was lost (")
    ledger.check_seeds()

    nodes.remove_node(third)  # and no other comes: one goes on alone
    turns(playing, agent, ledger, lambda: playing.roster.restarts == 2)
    before = ledger.rows
    turns(playing, agent, ledger, lambda: ledger.rows > before + 100)
    assert playing.told["fleet/workers"] == 1
    playing.close()


def test_answers_that_lay_on_a_machine_that_died_are_lost_and_nothing_else(nodes):
    """They are too large to come by themselves, and were not fetched yet."""
    import ray

    nodes.add_node(num_cpus=1)
    playing, agent = AsyncFleet(WALK, n=8_000, workers=2, seed=5), by_version()
    while playing.told.get("fleet/workers") != 2:
        playing.collect(agent, steps=20)
    here = ray.get_runtime_context().get_node_id()
    asked = [place.actor.__ray_call__.remote(node_of) for place in playing.roster.places]
    (k,) = (k for k, node in enumerate(ray.get(asked)) if node != here)
    answers = [request.answer for request in playing.roster.places[k].queue]
    ray.wait(answers, num_returns=len(answers), timeout=60, fetch_local=False)
    seen = []
    nodes.remove_node(nodes.worker_nodes.copy().pop())
    nodes.add_node(num_cpus=1)
    limit = time.monotonic() + 90
    while 2 not in playing.roster.numbers or len(playing.roster.joined) < 2:
        assert time.monotonic() < limit
        seen.append(playing.collect(agent, steps=20))
    assert playing.roster.restarts == 1
    assert playing.take_news() == [f"worker {k} was lost (its answer was lost); worker 2 takes its place"]
    for r in seen:
        assert r.decisions in (80_000, 160_000)
    playing.close()


def test_in_step_a_machine_without_another_stops_the_fleet(nodes, monkeypatch):
    monkeypatch.setattr(fleet_module, "PATIENCE", 15.0)
    second = nodes.add_node(num_cpus=1)
    playing, agent, ledger = Fleet(WALK, n=4, workers=2, seed=5), by_version(), Ledger(2)
    turn(playing, agent, ledger)
    nodes.remove_node(second)
    nodes.add_node(num_cpus=1)
    turn(playing, agent, ledger)
    assert playing.roster.numbers in ([0, 2], [2, 1])
    nodes.remove_node(nodes.worker_nodes.copy().pop())
    with pytest.raises(FleetError, match=r"^2 workers need 2 cores, and Ray has 1 in all: 1 of them began "):
        turn(playing, agent, ledger)
    playing.close()


def node_of(worker):
    """The id of the node that a worker is on, from within."""
    import ray

    return ray.get_runtime_context().get_node_id()
