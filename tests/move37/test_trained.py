"""The network that ships plays as well as docs/results.md says, as far as few positions can tell."""

from pathlib import Path

import pytest

from move37.errors import UserError
from move37.moments import find
from move37.run import Run

TRAINED = Path(__file__).resolve().parents[2] / "configs" / "trained" / "connect_four"


def test_the_shipped_network_seldom_loses_value():
    rows = {row.name: row for row in Run.load(TRAINED).scorecard(20, simulations=64)}
    assert rows["all"].positions == 120
    assert rows["all"].rate < 0.1  # of random moves every third or second one does


def test_it_is_small():
    assert sum(path.stat().st_size for path in TRAINED.rglob("*") if path.is_file()) < 5e6


def test_what_it_lacks_is_told_and_nobody_is_advised_to_remove_it():
    run = Run.load(TRAINED)
    for ask in (lambda: find(run), run.checkpoint_folder.load):
        with pytest.raises(UserError, match="holds the weights that act, and nothing else") as told:
            ask()
        assert "remove" not in str(told.value)
