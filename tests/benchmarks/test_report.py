"""The table of the benchmarks: which way is better, what is reached, and that every benchmark has rows."""

import json
import subprocess
import sys
from importlib import import_module

import pytest
import torch

from benchmarks.__main__ import NAMES
from benchmarks.race import flops, product, race
from benchmarks.report import Row, tell


@pytest.mark.parametrize(
    ("unit", "ours", "peer", "ratio"), [("steps/s", 30.0, 10.0, 3.0), ("s", 2.0, 8.0, 4.0)]
)
def test_a_ratio_says_how_many_times_better_ours_is(unit, ours, peer, ratio):
    row = Row("this", "that", ours, peer, reach=ratio, unit=unit)
    assert row.ratio == pytest.approx(ratio)
    assert row.ok
    assert not Row("this", "that", ours, peer, reach=ratio * 1.01, unit=unit).ok
    assert Row("this", "that", ours, peer, unit=unit).ok is None


def test_the_table_tells_each_row_and_writes_json(tmp_path, capsys):
    found = [Row("fast", "peer", 1_200_000, 400_000, 8.0), Row("start", "asked for", 0.25, 0.3, 1.0, "s")]
    tell(iter(found), tmp_path / "rows.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["fast", "peer", "1,200,000", "400,000", "3.00", "8.00", "NO"]
    assert lines[2].split() == ["start", "asked", "for", "0.25", "s", "0.30", "s", "1.20", "1.00", "yes"]
    written = json.loads((tmp_path / "rows.json").read_text())
    assert [row["ok"] for row in written["rows"]] == [False, True]
    assert written["rows"][0]["ratio"] == 3.0


def test_in_a_race_each_plays_at_every_number_of_threads():
    played = []

    def turn():
        played.append(None)
        return 5

    rate = race({"one": turn, "two": turn}, rounds=2, seconds=0.0)
    assert len(played) == 2 + 2 * 2 * 2  # to warm up; then rounds × threads × contestants
    assert rate["one"] > 0
    assert rate["two"] > 0


def test_products_are_counted_for_each_step():
    def turn():
        torch.rand(8, 16) @ torch.rand(16, 32)
        return 4

    assert flops(turn) == 2 * 8 * 16 * 32 / 4
    assert product(torch.float32, size=64)() == 2 * 64**3


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_loads_without_its_peers(name):
    assert callable(import_module(f"benchmarks.{name}").rows)


def test_an_unknown_name_is_told():
    told = subprocess.run([sys.executable, "-m", "benchmarks", "nope"], capture_output=True, text=True)
    assert told.returncode == 2
    assert "there is no benchmark 'nope'" in told.stderr
