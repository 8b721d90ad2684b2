"""What the project files promise."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("group", ["dependencies", *PROJECT["optional-dependencies"]])
def test_every_dependency_has_its_tested_version(group):
    pinned = {plain(name) for name in PINS}
    wanted = PROJECT["optional-dependencies"].get(group) or PROJECT[group]
    for requirement in wanted:
        if requirement.startswith("move37["):  # another group
            continue
        name = re.match(r"[\w.-]+", requirement)[0]
        assert plain(name) in pinned, f"{requirement} ({group}) has no pin in constraints.txt"


def test_what_is_tested_is_what_is_pinned():
    found = {
        name: version(name).partition("+")[0] for name in ("torch", "ray", "gymnasium", "numba", "pygame")
    }
    assert found == {name: PINS[name] for name in found}
