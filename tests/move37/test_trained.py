"""The network that ships plays as well as docs/results.md says, as far as few positions can tell."""

from pathlib import Path

from move37.run import Run

TRAINED = Path(__file__).resolve().parents[2] / "configs" / "trained" / "connect_four"


def test_the_shipped_network_seldom_loses_value():
    rows = {row.name: row for row in Run.load(TRAINED).scorecard(20, simulations=64)}
    assert rows["all"].positions == 120
    assert rows["all"].rate < 0.1  # of random moves every third or second one does


def test_it_is_small():
    assert sum(path.stat().st_size for path in TRAINED.rglob("*") if path.is_file()) < 5e6
