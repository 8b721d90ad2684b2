"""Compiled kernels stay right: editing a kernel changes its callers in other files, in a new process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from envs import kernels
from move37.telling import tell_of_compiling

CALLEE = """
from envs.kernels import kernel

@kernel
def inner(x):
    return x + {}
"""
CALLER = """
from envs.callee import inner
from envs.kernels import kernel

@kernel
def outer(x):
    return 10 * inner(x)
"""
RUN = "from envs.caller import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"


def run(folder: Path) -> tuple[int, int]:
    """What the caller returns, and how many kernels it took from the cache."""
    environment = {**os.environ, "MOVE37_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder)}
    out = subprocess.check_output([sys.executable, "-c", RUN], cwd=folder, env=environment, text=True)
    result, hits = out.split()
    return int(result), int(hits)


def project(folder: Path, adds: int) -> None:
    """Two kernels, one of which calls the other, in files of their own."""
    (folder / "envs").mkdir()
    shutil.copy(kernels.__file__, folder / "envs" / "kernels.py")
    (folder / "envs" / "__init__.py").touch()
    (folder / "envs" / "callee.py").write_text(CALLEE.format(adds))
    (folder / "envs" / "caller.py").write_text(CALLER)


def test_a_cached_caller_sees_that_a_kernel_it_calls_has_changed(tmp_path):
    project(tmp_path, 1)
    assert run(tmp_path) == (20, 0)
    assert run(tmp_path) == (20, 1)
    (tmp_path / "envs" / "callee.py").write_text(CALLEE.format(5))
    assert run(tmp_path) == (60, 0)


def test_one_of_several_processes_compiles_and_the_others_find_it(tmp_path):
    project(tmp_path, 1)
    environment = {**os.environ, "MOVE37_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    first, _, last = RUN.partition("; ")
    command = [sys.executable, "-c", f"{first}; import sys; print(flush=True); sys.stdin.read(); {last}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) for _ in range(3)]
    for process in processes:
        process.stdout.readline()  # it has imported all, and waits
    for process in processes:
        process.stdin.close()
    told = [process.stdout.read().split() for process in processes]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted(told) == [["20", "0"], ["20", "1"], ["20", "1"]]


def test_a_kernel_that_somebody_else_compiles_for_too_long_is_compiled_here_too(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_FOLDER", tmp_path)
    monkeypatch.setattr(kernels, "COMPILING_SECONDS", 0.1)

    def three() -> int:
        return 3

    made = kernels.kernel(three)
    lock = tmp_path / "locks" / f"{three.__module__}.{three.__qualname__}"
    with kernels._held(lock):
        assert made() == 3
    assert lock.exists()


def test_where_there_can_be_no_lock_kernels_are_compiled_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_FOLDER", tmp_path)
    (tmp_path / "locks").touch()  # no folder

    def four() -> int:
        return 4

    assert kernels.kernel(four)() == 4


def test_it_is_told_that_nothing_was_compiled_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kernels, "_FOLDER", tmp_path / "new")
    tell_of_compiling()
    assert "compiling kernels, once" in capsys.readouterr().err
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.nbi").touch()
    tell_of_compiling()
    assert capsys.readouterr().err == ""


def test_the_hash_is_of_kernel_sources_only(tmp_path):
    for package in kernels.KERNEL_PACKAGES:
        (tmp_path / package).mkdir()
    kernel_file, other_file = tmp_path / "envs" / "a.py", tmp_path / "envs" / "b.py"
    kernel_file.write_text(CALLEE.format(1))
    other_file.write_text("x = 1\n")
    before = kernels.source_hash(tmp_path)
    other_file.write_text("x = 2\n")
    assert kernels.source_hash(tmp_path) == before
    kernel_file.write_text(CALLEE.format(2))
    assert kernels.source_hash(tmp_path) != before


def test_caches_that_nobody_used_for_a_month_are_removed_with_the_first_new_one(tmp_path):
    old, recent, used = (tmp_path / name for name in ("old", "recent", "used"))
    for folder in (old, recent, used):
        (folder / "module").mkdir(parents=True)
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    os.utime(used, (long_ago, long_ago))
    kernels.tidy(used)  # which is there: it is only marked as used
    assert old.exists()
    kernels.tidy(tmp_path / "new")
    assert {p.name for p in tmp_path.iterdir()} == {"recent", "used"}
    kernels.tidy(tmp_path / "nowhere" / "new")  # the very first cache on a machine
