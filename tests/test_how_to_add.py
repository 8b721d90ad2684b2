"""`docs/architecture.md` says how to add each kind of part by one file and one config. All are run here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import move37
from move37.cli import main

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "architecture.md").read_text()
BLOCK = re.compile(r"`(\w+\.(?:py|yaml))`:\n\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
SECTIONS = {part.split("\n")[0]: dict(BLOCK.findall(part)) for part in PAGE.split("\n### … ")[1:]}
PARTS = ("an environment", "a game", "a task", "a reward term", "an agent")


def test_every_kind_of_part_is_one_file_and_one_config():
    assert tuple(SECTIONS) == PARTS
    for files in SECTIONS.values():
        source, config = files
        assert (source.removesuffix(".py"), config.removesuffix(".yaml")) == (config[:-5], source[:-3])


@pytest.mark.parametrize("part", PARTS)
def test_what_is_printed_is_trained(part, tmp_path, monkeypatch, capsys):
    name = next(iter(SECTIONS[part])).removesuffix(".py")
    for file, text in SECTIONS[part].items():
        (tmp_path / file).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run = f"runs/{name}"
    try:
        assert main(["train", f"{name}.yaml", "threads=1", "log.every=0"]) == 0
        assert main(["eval", run, "--episodes", "4"]) == 2  # a run folder may come from a stranger
        assert "--trust" in capsys.readouterr().err
        assert main(["eval", run, "--episodes", "4", "--trust"]) == 0
        lines = move37.Run.load(run, trust=True).metrics()
    finally:
        sys.modules.pop(name, None)
    CLAIMS[part](lines)


def went_right(lines):
    assert lines[-1]["return"] > 0.5  # where 0.75 is the best, and random walks take more than 5 steps


def played_and_learned(lines):
    assert lines[-1]["episodes"] > 10
    assert lines[-1]["gradient_steps"] > 0


def read_the_solver(lines):
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["eval/length"] == 1


def weighed(lines):
    assert all(0 < line["reward/steady:steady"] < 1 for line in lines)
    assert lines[0]["reward/env"] == 1


def balanced(lines):
    assert lines[-1]["return"] > lines[0]["return"] + 10


CLAIMS = dict(zip(PARTS, (went_right, played_and_learned, read_the_solver, weighed, balanced)))
"""What the lines of metrics must show."""
