"""Imports run one way: move37 → agents, search, llm_rl → rollouts → envs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("envs", "rollouts", "agents", "search", "llm_rl", "move37")
NEIGHBOURS = {"agents", "search", "llm_rl"}
BELOW = {
    "envs": set(),
    "rollouts": {"envs"},
    "agents": {"envs", "rollouts"} | NEIGHBOURS,
    "search": {"envs", "rollouts"} | NEIGHBOURS,
    "llm_rl": {"envs", "rollouts"} | NEIGHBOURS,
    "move37": set(FLOORS),
}


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """Every import in a file: the module, its line, and whether it happens when the file is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or typing_only:
            lazy |= {id(child) for child in ast.walk(node)}
    out = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out += [(alias.name, node.lineno, id(node) not in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module in FLOORS
                else [node.module]
            )
            out += [(name, node.lineno, id(node) not in lazy) for name in names]
    return out


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("package", FLOORS)
def test_nothing_reaches_up(package):
    for path in sources(package):
        for module, line, _ in imports(path):
            upwards = top(module) in FLOORS and top(module) not in BELOW[package] | {package}
            assert not upwards, f"{path}:{line}: {package} may not import {module}"


def test_neighbours_are_never_in_a_loop():
    uses = {
        package: {top(m) for path in sources(package) for m, _, _ in imports(path)} & NEIGHBOURS - {package}
        for package in NEIGHBOURS
    }
    for a in NEIGHBOURS:
        reached, frontier = set(), uses[a]
        while frontier:
            reached |= frontier
            frontier = set().union(*(uses[b] for b in frontier)) - reached
        assert a not in reached, f"{a} imports itself through {reached}"


@pytest.mark.parametrize("package", ["envs", "rollouts"])
def test_torch_stays_out_of_what_plays(package):
    for path in sources(package):
        assert not [m for m, _, eager in imports(path) if eager and top(m) == "torch"], path


@pytest.mark.parametrize("module", ["ray", "transformers", "wandb", "reasoning_gym", "chess", "matplotlib"])
def test_what_few_need_is_imported_late(module):
    for package in FLOORS:
        for path in sources(package):
            assert not [line for m, line, eager in imports(path) if eager and top(m) == module], path


def test_playing_needs_no_torch():
    code = "import envs, sys, rollouts.fleet, rollouts.reward; envs.make('arcade/Breakout-v1')"
    subprocess.run(
        [sys.executable, "-c", f"{code}; assert not {{'torch', 'ray'}} & set(sys.modules)"], check=True
    )


def test_the_parser_sees_imports(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "import a.b\nfrom envs import rng\nif TYPE_CHECKING:\n    import c\ndef f():\n    from d import e\n"
    )
    assert imports(file) == [("a.b", 1, True), ("envs.rng", 2, True), ("c", 4, False), ("d", 6, False)]
