"""Programs in the sandbox: what comes of honest ones, which walls stand and hold, and that all of it ends."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from envs.text import jail, sandbox, walls, zygote
from envs.text.sandbox import Outcome, Program, Sandbox, SandboxError, canonical, capabilities, describe

SECONDS = 30.0
"""Time for honest programs, on a busy machine."""
SOON = 20.0


@pytest.fixture(scope="module")
def box():
    with Sandbox(workers=2, seconds=SECONDS) as sandbox:
        yield sandbox


def one(box: Sandbox, source: str, **options) -> Outcome:
    return box.run([Program(source, **options)])[0]


def soon(is_so) -> bool:
    end = time.monotonic() + SOON
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    return is_so()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- honest programs ---------------------------------------------------------------------------------------


def test_calls_give_the_texts_of_their_values(box):
    source = "def f(*a): return a[0] if len(a) == 1 else a\ndef g(n): return 10 // n"
    values = [
        None,
        True,
        -7,
        1.5,
        "it's\n",
        b"\0",
        [1, [2]],
        (1,),
        (),
        {"b": 1, "a": 2},
        {3, 1, 2},
        frozenset({1}),
    ]
    out = one(box, source, calls=(*(("f", (value,)) for value in values), ("g", (3,)), ("f", ())))
    assert out.status == "ok"
    assert out.error == ""
    assert out.values == (*(canonical(value) for value in values), "3", "()")


def test_a_call_that_raises_costs_only_itself(box):
    out = one(box, "def f(n):\n    return 10 // n", calls=(("f", (5,)), ("f", (0,)), ("f", (2,)), ("h", ())))
    assert out.values == ("2", "<ZeroDivisionError>", "5", "<NameError>")
    assert out.status == "error"
    assert out.error == "ZeroDivisionError: integer division or modulo by zero (line 2)"


def test_no_call_sees_what_another_did_to_its_arguments(box):
    shared = [1]
    out = one(box, "def f(x):\n    x.append(2)\n    return x", calls=(("f", (shared,)), ("f", (shared,))))
    assert out.values == ("[1, 2]", "[1, 2]")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 +", "SyntaxError: invalid syntax (program.py, line 1)"),
        ("\n\nraise ValueError('a\\nb')", "ValueError: a b (line 3)"),
        ("import sys\nsys.exit('no')", "SystemExit: no (line 2)"),
        ("import sys\nsys.exit(3)", "SystemExit: 3 (line 2)"),
        ("quit(3)", "SystemExit: 3 (line 1)"),
        ("def f():\n    raise KeyError\nf()", "KeyError (line 2)"),
    ],
)
def test_errors_say_what_and_where(box, source, said):
    out = one(box, source)
    assert (out.status, out.error, out.values) == ("error", said, ())


def test_input_output_and_files(box):
    source = """
import sys, helper
print(input(), sys.stdin.read().split(), open("data/a.txt").read(), helper.x, __name__)
open("b.txt", "w").write("b")
import os
os.makedirs("c/d")
print(sorted(os.listdir(".")), file=sys.stdout)
sys.exit()
"""
    out = one(box, source, stdin="één\n2 3\n4", files={"data/a.txt": "A", "helper.py": "x = 5"})
    assert out.status == "ok"
    assert out.stdout == "één ['2', '3', '4'] A 5 __main__\n['b.txt', 'c', 'data', 'helper.py']\n"


def test_every_program_begins_anew(box):
    leave = (
        "import builtins, json, os\nbuiltins.len = json.x = 3\nopen('a', 'w').write('a')\nos.chmod('.', 0)"
    )
    look = "import json, os\nprint(len([1]), hasattr(json, 'x'), os.listdir('.'), len(os.environ))"
    assert [out.stdout for out in box.run([Program(leave), Program(look)] * 6)] == ["", "1 False [] 0\n"] * 6


def test_outcomes_are_in_order_and_the_same_each_time(box):
    order = list(range(60))
    random.Random(0).shuffle(order)
    programs = [Program(f"import time\ntime.sleep({i % 5} / 100)\nprint({i})") for i in order]
    assert [out.stdout for out in box.run(programs)] == [f"{i}\n" for i in order]
    chance = Program("import random\nprint(random.random(), hash('a'), list({'x', 'y', 'z'}))")
    assert len({out.stdout for out in box.run([chance] * 6)}) == 1
    assert box.run([]) == []


def test_the_standard_library_is_there(box):
    source = "import ctypes, hashlib, sqlite3, typing, dataclasses, asyncio, unittest, zlib, email, socket"
    assert one(box, source).error == ""
    assert one(box, "import numpy").error.startswith("ModuleNotFoundError")
    assert one(box, "import pip").error.startswith("ModuleNotFoundError")


def test_threads_are_waited_for(box):
    threads = (
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()"
    )
    assert one(box, threads).stdout == "late\n"


def test_limits_are_told(box):
    programs = [
        Program("while True: pass", seconds=0.3),
        Program("x = [0] * 10 ** 9"),
        Program("print('x' * 70000)"),
        Program("import os\nos._exit(0)"),
        Program("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
        Program("def f(n):\n    while n: pass\n    return 1", calls=(("f", (0,)), ("f", (1,))), seconds=0.3),
    ]
    outs = box.run(programs)
    assert [out.status for out in outs] == ["timeout", "memory", "output", "killed", "killed", "timeout"]
    assert outs[0].error == "it took longer than 0.3 s"
    assert 0.3 <= outs[0].seconds < 1.3
    assert outs[2].stdout == "x" * (1 << 16)
    assert outs[3].error == "its process ended before it did (exit status 0)"
    assert outs[4].error == "its process ended before it did (signal 9)"
    assert outs[5].values == ("1",)


def test_a_small_sandbox_has_small_limits():
    with Sandbox(1, seconds=0.2, memory=64 << 20, output=10) as small:
        outs = small.run(
            [Program("import time\ntime.sleep(9)"), Program("x = bytes(1 << 26)"), Program("print(10 ** 10)")]
        )
    assert [out.status for out in outs] == ["timeout", "memory", "output"]


# -- canonical texts ---------------------------------------------------------------------------------------


def test_canonical_texts_are_equal_for_equal_values_only():
    values = [
        0,
        1,
        True,
        False,
        None,
        0.0,
        -0.0,
        1.0,
        float("inf"),
        "1",
        b"1",
        "",
        [],
        (),
        {},
        set(),
        frozenset(),
    ]
    values += [[1], (1,), {1}, frozenset({1}), {1: 2}, {"1": 2}, [[]], [()], ([],), "None", "[1]"]
    texts = [canonical(value) for value in values]
    assert len(set(texts)) == len(values)
    assert canonical({1: {5, 3}, 0: 1}) == canonical({0: 1, 1: {3, 5}}) == "{0: 1, 1: {3, 5}}"
    for value, text in zip(values, texts):
        if text not in ("inf",):
            back = eval(text)  # written by this test
            assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    "value",
    [object(), int, 1j, range(3), type("I", (int,), {})(3), [type("S", (str,), {})("a")], bytearray()],
)
def test_no_other_types_have_one(value):
    with pytest.raises(ValueError, match=r"^\w+$"):
        canonical(value)


def test_what_is_too_much_has_none():
    deep: list = []
    for _ in range(1000):
        deep = [deep]
    for value in (deep, [0] * 100_000, "x" * 100_000, 10**5000, [10**3000] * 100):
        with pytest.raises(ValueError, match="too"):
            canonical(value)


# -- walls -------------------------------------------------------------------------------------------------

OUTSIDE = {
    "network": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\nprint('ESCAPED')",
    "files": "print('ESCAPED' if open({secret!r}).read() else '')",
    "processes": "import os\nif os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(3737.37)",
}


def test_at_least_something_keeps_programs_in(box):
    assert set(capabilities(box.walls)) == {"network", "files", "processes"}
    assert all(f"{what}: " in describe(box.walls) for what in OUTSIDE)
    assert "NOT KEPT OUT" in describe(())


@pytest.mark.parametrize("wall", sandbox.WALLS)
def test_each_wall_that_stands_holds_alone(wall, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("sesame")
    tmp_path.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as listener, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"port": listener.getsockname()[1], "secret": str(secret)}
        with Sandbox(1, seconds=SECONDS, walls=[wall]) as alone:
            assert set(alone.walls) <= {wall}
            holds = [what for what, by in capabilities(alone.walls).items() if by]
            for what in holds:
                assert "ESCAPED" not in one(alone, OUTSIDE[what].format(**names)).stdout
            if "processes" in holds:
                assert not sleepers(alone)
            if wall == "user" and alone.walls:
                assert int(one(alone, "import os\nprint(os.getuid())").stdout) >= zygote.USERS


def sleepers(box: Sandbox) -> list[int]:
    """Processes whose parent is (or was) the sandbox's, but for its own."""
    own = {worker.process.pid for worker in box._workers.values()}
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z" and b"module.serve(" in Path(f"/proc/{name}/cmdline").read_bytes():
                parents[int(name)] = int(fields[1])
        except OSError:
            continue
    children = {pid for pid, parent in parents.items() if parent in own}  # inside of namespaces
    return [pid for pid, parent in parents.items() if parent in children]


def test_a_missing_wall_is_told():
    with (
        pytest.warns(UserWarning, match="not kept from: network, files, processes"),
        Sandbox(1, walls=[]) as bare,
    ):
        assert bare.walls == ()


def test_bubblewrap_that_does_not_work_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'no namespaces here' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with Sandbox(1, seconds=SECONDS) as without:
        assert "bubblewrap" not in without.walls
        assert one(without, "print(1)").stdout == "1\n"


def test_system_calls_are_those_of_the_kernel():
    headers = {0: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 1: "/usr/include/asm-generic/unistd.h"}
    checked = 0
    for machine, header in headers.items():
        if not os.path.exists(header):
            continue
        found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", Path(header).read_text(), re.M)
        numbers = {name: int(number) for name, number in found}
        numbers.setdefault("newfstatat", numbers.get("fstatat", -1))
        for row in f"{walls.CALLS}, {walls.SELF_CALLS}".split(","):
            name, *columns = row.split()
            assert columns[machine] == str(numbers.get(name, "-")), name
            checked += 1
        ours = (walls.CLONE, walls.CLONE3, walls.FCNTL)
        assert [each[machine] for each in ours] == [numbers[name] for name in ("clone", "clone3", "fcntl")]
    if not checked:
        pytest.skip("the kernel's headers are not installed")


# -- beginning and end -------------------------------------------------------------------------------------


def test_a_worker_that_is_lost_is_replaced(box):
    one(box, "pass")
    for worker in box._workers.values():
        os.killpg(worker.process.pid, signal.SIGKILL)
    assert [out.status for out in box.run([Program("pass")] * 5)] == ["ok"] * 5


def test_workers_end_with_the_sandbox_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote.tempfile, "gettempdir", lambda: str(tmp_path))
    with Sandbox(2, seconds=SECONDS, walls=["seccomp", "landlock"]) as ended:
        ended.run([Program("open('a', 'w').write('a')")] * 4)
        pids = [worker.process.pid for worker in ended._workers.values()]
        assert len(list(tmp_path.iterdir())) == 2
    assert not any(map(alive, pids))
    assert list(tmp_path.iterdir()) == []
    assert ended.run([Program("print(1)")])[0].stdout == "1\n"
    pids = [worker.process.pid for worker in ended._workers.values()]
    del ended
    gc.collect()
    assert soon(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("walls", [sandbox.WALLS, ("landlock", "seccomp")], ids=["all", "few"])
def test_workers_end_with_this_process_however_it_ends(walls):
    code = f"""
import os, time
from envs.text.sandbox import Program, Sandbox
box = Sandbox(1, walls={walls})
print(box._workers[0].process.pid, flush=True)
if os.fork() == 0:
    time.sleep({SOON})  # holds a copy of the socket
    os._exit(0)
box.run([Program("while True: pass", seconds=100)])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert soon(lambda: not alive(pid))
    process.stdout.close()


def test_threads_may_share_one(box):
    outs: dict[int, list[Outcome]] = {}

    def go(number: int) -> None:
        outs[number] = box.run([Program(f"print({number})")] * 5)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: {out.stdout for out in out} for number, out in outs.items()} == {
        i: {f"{i}\n"} for i in range(4)
    }


def test_a_fork_has_workers_of_its_own(box):
    box.run([Program("pass")])
    pids = {worker.process.pid for worker in box._workers.values()}
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            out = box.run([Program("print(37)")])
            own = {worker.process.pid for worker in box._workers.values()}
            os.write(told, out[0].stdout.encode() + str(bool(own & pids)).encode())
            box.close()
        finally:
            os._exit(0)
    os.close(told)
    os.waitpid(pid, 0)
    with open(ready) as file:
        assert file.read() == "37\nFalse"
    assert all(map(alive, pids))
    assert one(box, "print(1)").stdout == "1\n"


def test_an_interrupted_batch_leaves_no_answers_behind(box, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sandbox, "_outcome", lambda *a: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            box.run([Program(f"print({i})") for i in range(5)])
    assert [out.stdout for out in box.run([Program(f"print({i})") for i in range(5, 9)])] == [
        "5\n",
        "6\n",
        "7\n",
        "8\n",
    ]


def test_the_shared_one_is_one():
    assert sandbox.shared() is sandbox.shared()
    assert capabilities() == capabilities(sandbox.shared().walls)


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"seconds": 0}, {"seconds": float("nan")}, {"memory": 0}, {"output": 0}, {"workers": 0}]
)
def test_numbers_out_of_range(options):
    with pytest.raises(ValueError, match="above 0"):
        Sandbox(**options)


def test_bad_orders(box):
    with pytest.raises(ValueError, match="no wall 'moat'; there are bubblewrap"):
        Sandbox(1, walls=["moat"])
    for name in ("/etc/passwd", "../a", "a/../../b", "", "a\0"):
        with pytest.raises(ValueError, match="below its folder"):
            one(box, "", files={name: ""})
    with pytest.raises(ValueError, match="arguments of a call of 'f' are no plain data: object"):
        one(box, "", calls=(("f", (object(),)),))
    with pytest.raises(ValueError, match="seconds must be above 0"):
        one(box, "", seconds=-1.0)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(zygote, "interpreter", lambda: "/bin/false")
    with pytest.raises(SandboxError, match="programs cannot be run in a sandbox here: "):
        Sandbox(1)
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="on Linux only"):
        Sandbox(1)


def test_garbage_is_data(box):
    rng = random.Random(0)
    texts = ["".join(rng.choice("\0\n\ud800é({[x=1'\"\\:") for _ in range(40)) for _ in range(20)]
    outs = box.run([Program(text, stdin=text, calls=((text, ()),)) for text in texts])
    assert {out.status for out in outs} <= {"error", "killed"}


def test_a_report_is_read_as_far_as_it_is_one():
    whole = b"=\x01\0\0\x005" + b"!\x02\0\0\0ab"
    assert list(sandbox._lines(whole + b"=\xff\0\0\0abc")) == [(b"=", "5"), (b"!", "ab")]
    assert list(sandbox._lines(b"")) == list(sandbox._lines(b"ok")) == []
    assert jail.REPORT == 3
