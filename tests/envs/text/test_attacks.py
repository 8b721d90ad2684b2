"""A gallery of attacks on the sandbox: none gets a reward, a file, a socket, or a second after its deadline.

A program is rewarded if it ends well and its values are those expected, compared here. Where an attack's aim is
something else it prints ESCAPED when it has got it; those that are harmless are also run without a sandbox, to
see that they would. After each attack, on the same worker, an honest program must be right.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envs.text.sandbox import Program, Sandbox, canonical

HIDDEN = ((3, 22), (10, 71), (-4, -27))
CALLS = tuple(("f", (n,)) for n, _ in HIDDEN)
WANTED = tuple(canonical(right) for _, right in HIDDEN)
HONEST = Program("def f(n):\n    return n * 7 + 1", calls=CALLS, seconds=30.0)
SECONDS = 0.4
"""The deadline of an attack."""
BROKEN = ("SyntaxError", "NameError", "ModuleNotFoundError", "IndentationError")
"""What would mean that an attack is not what it should be."""
STUB = b"module.serve("

# ruff: noqa: E501
# What they want is in braces: a port that listens, the number of this process, a secret file, this repository.
ENDLESS = {
    "endless loop": "def f(n):\n    while True: pass",
    "endless loop at import": "while True: pass",
    "sleeps for ever": "import time\ntime.sleep(1000)",
    "ignores SIGTERM": """
import signal, time
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU): signal.signal(s, signal.SIG_IGN)
while True:
    try: time.sleep(100)
    except BaseException: pass""",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "generator never ends": "import itertools\ndef f(n): return list(1 for _ in iter(int, 1))",
    "huge number to text": "import sys\nsys.set_int_max_str_digits(0)\ndef f(n): return len(str(7 ** 3000000))",
    "catastrophic pattern": "import re\ndef f(n): return bool(re.match(r'(a+)+$', 'a' * 40 + 'b'))",
    "hash collision": "def f(n): return len({i * (2 ** 61 - 1) for i in range(30000)})",
    "thread outlives": """
import threading
def go():
    while True: pass
threading.Thread(target=go).start()
def f(n): return n * 7 + 1""",
    "forks without end": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "threads without end": """
import threading, time
threading.stack_size(32768)
while True:
    try: threading.Thread(target=time.sleep, args=(100,)).start()
    except BaseException: pass""",
    "endless __del__": """
class A:
    def __del__(self):
        while True: pass
def f(n):
    a = A()
    del a""",
    "endless __str__ of an error": """
class E(Exception):
    def __str__(self):
        while True: pass
raise E""",
    "compiles for ever": "exec('x = ' + '(' * 90 + '1' + ')' * 90)\nwhile True: compile('+'.join(['1'] * 20000), '', 'eval')",
    "reads an endless pipe": "import os\nr, w = os.pipe()\nos.read(r, 1)",
    "many files": "i = 0\nwhile True:\n    open(str(i), 'w').close()\n    i += 1",
    "deep folders": "import os\nwhile True:\n    os.mkdir('d')\n    os.chdir('d')",
}
GREEDY = {
    "memory bomb": "x = []\nwhile True: x.append(bytearray(10 ** 7))",
    "memory bomb of small things": "x = []\nwhile True: x.append([x])",
    "huge list": "def f(n): return [0] * 10 ** 10",
    "zip bomb": "import zlib\ndata = zlib.compress(bytes(10 ** 8))\nx = [zlib.decompress(data) for _ in range(9)]",
    "giant output": "while True: print('x' * 10000)",
    "giant output at once": "print('x' * 10 ** 8)",
    "giant result": "def f(n): return 'x' * 10 ** 7",
    "giant number": "def f(n): return 10 ** 100000",
    "deep result": "def f(n):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "result within itself": "def f(n):\n    x = []\n    x.append(x)\n    return x",
    "result that doubles": "def f(n):\n    x = []\n    for _ in range(60): x = [x, x]\n    return x",
    "deep recursion": "def f(n): return f(n)",
    "deeper recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n): return [f(n)].__len__()",
    "big file": "with open('big', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "deep source": "eval('-' * 10 ** 6 + '1')",
}
LYING = {
    "SystemExit(0)": "raise SystemExit(0)",
    "SystemExit(0) in a call": "def f(n): raise SystemExit(0)",
    "os._exit(0)": "import os\nos._exit(0)",
    "os._exit(0) in a call": "import os\ndef f(n): os._exit(0)",
    "equal to all": "class A(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef f(n): return A(5)",
    "equal to all, with its text": """
class A:
    def __eq__(self, other): return True
    def __repr__(self): return '22'
def f(n): return A()""",
    "subclass of str": "class S(str):\n    def __eq__(self, other): return True\ndef f(n): return S('22')",
    "subclass of int with its text": "class I(int):\n    __repr__ = __str__ = lambda self: '22'\ndef f(n): return I(0)",
    "class that says it is int": "class A:\n    __class__ = int\ndef f(n): return A()",
    "patched builtins": """
import builtins
for name in ('repr', 'len', 'str', 'type', 'isinstance', 'sorted', 'all', 'any', 'min', 'int'):
    setattr(builtins, name, lambda *a, **k: True)
def f(n): return 0""",
    "patched json, pickle, marshal": """
import json, marshal, os, pickle
json.dumps = pickle.dumps = marshal.dumps = marshal.loads = lambda *a, **k: b'22'
os.write = lambda *a: 100
def f(n): return 0""",
    "patched assertions": "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\nAssertionError = Exception\ndef f(n): return 0",
    "prints that it passed": "print('PASSED ok 22 71 -27 True 1.0')\ndef f(n): print(22)",
    "writes to every handle": """
import os
for handle in range(256):
    for text in (b'ok', b'22', b'=\\x02\\0\\0\\x0022', b'=\\x02\\0\\0\\x0022=\\x02\\0\\0\\x0071=\\x03\\0\\0\\x00-27'):
        try: os.write(handle, text)
        except OSError: pass
os._exit(0)""",
    "closes every handle": "import os\nos.closerange(0, 256)\ndef f(n): return 0",
    "looks for tests in frames": """
import sys, gc
frame, found = sys._getframe(), []
while frame:
    found += [v for v in frame.f_locals.values() if type(v) is int] + [frame.f_globals.get('WANTED')]
    frame = frame.f_back
wanted = [int(word) for word in '22 71 -27'.split()]
known = [v for v in gc.get_objects() if type(v) in (tuple, list) and v is not wanted]
known = [v for v in known if len(v) < 9 and all(any(part is number for part in v) for number in wanted)]
if known: print('ESCAPED')
def f(n): return known[0] if known else 0""",
    "trace and profile": """
import sys
def spy(frame, event, arg):
    for name in ('text', 'value', 'kind'):
        if name in frame.f_locals: frame.f_locals[name] = 22
    return spy
sys.settrace(spy)
sys.setprofile(spy)
def f(n): return 0""",
    "at the end": "import atexit, os\natexit.register(print, 22)\natexit.register(os._exit, 0)\ndef f(n): return 0",
    "import hooks": """
import sys
class Hook:
    def find_spec(self, *a): raise SystemExit(0)
sys.meta_path.insert(0, Hook())
sys.path_hooks.clear()
def f(n):
    import colorsys
    return 0""",
    "poisoned modules": """
import sys
class Yes:
    def __getattr__(self, name): return lambda *a, **k: 22
for name in list(sys.modules): sys.modules[name] = Yes()
def f(n): return 0""",
    "pickle that runs": """
import pickle
class A:
    def __reduce__(self): return eval, ('22',)
def f(n): return pickle.dumps(A())""",
    "finds its judge": "import sys\nif [m for m in sys.modules if m.startswith('envs')]: print('ESCAPED')\nimport envs.text.sandbox",
    "waits for input": "def f(n): return int(input())",
    "ends by ctypes": "import ctypes\nctypes.string_at(0)",
    "ctypes: writes over None": "import ctypes\nctypes.memset(id(None), 0, 64)",
    "ctypes: another int": "import ctypes\nctypes.memmove(id(22) + 24, id(0) + 24, 4)\ndef f(n): return 0",
}
THIEVING = {
    "reads the secret": "if 'sesame' in open({secret!r}).read(): print('ESCAPED')",
    "reads the password file": "if open('/etc/passwd').read(): print('ESCAPED')",
    "reads the repository": "if open({repository!r} + '/envs/text/sandbox.py').read(): print('ESCAPED')",
    "lists the repository": "import os\nif os.listdir({repository!r}): print('ESCAPED')",
    "reads the environment": "import os\nif os.environ.get('SESAME') or os.environ.get('PATH'): print('ESCAPED')",
    "reads the parent's environment": "if b'PATH=' in open('/proc/{parent}/environ', 'rb').read(): print('ESCAPED')",
    "reads the parent's memory": "if open('/proc/{parent}/mem', 'rb'): print('ESCAPED')",
    "link out of the folder": "import os\nos.symlink({secret!r}, 'a')\nif open('a').read(): print('ESCAPED')",
    "root of the link": "import os\nos.symlink('/', 'a')\nif 'sesame' in open('a' + {secret!r}).read(): print('ESCAPED')",
    "writes beside the secret": "if open({secret!r} + '.new', 'w').write('x'): print('ESCAPED')",
    "writes over the library": "import os\nif open(os.__file__, 'a'): print('ESCAPED')",
    "connects": "import socket\nif not socket.create_connection(('127.0.0.1', {port}), 1).close(): print('ESCAPED')",
    "listens": "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\nif s.getsockname()[1]: print('ESCAPED')",
    "asks for a name": "import socket\nif socket.getaddrinfo('localhost', 80): print('ESCAPED')",
    "opens a page": "import urllib.request as u\nif u.urlopen('http://127.0.0.1:{port}', timeout=1): print('ESCAPED')",
    "starts a program": "import os\nos.execv('/bin/echo', ['echo', 'ESCAPED'])",
    "starts a shell": "import subprocess\nprint(subprocess.run('echo ESCAPED', shell=True, capture_output=True).stdout)",
    "forks and outlives": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for handle in range(64):
            try: os.close(handle)
            except OSError: pass
        time.sleep(3 if {plain} else 600)
    os._exit(0)
print('ESCAPED' if {plain} else '')""",
    "signals its parent": "import os\nos.kill(os.getppid(), 0)\nprint('ESCAPED' if os.getppid() > 1 else '')",
    "signals the judge": "import os\nos.kill({parent}, 0)\nprint('ESCAPED')",
    "changes its limits": "import resource as r\nr.setrlimit(r.RLIMIT_AS, (1 << 40, 1 << 40))\nprint('ESCAPED')",
    "maps what may not be": "import mmap\nm = mmap.mmap(-1, 1 << 30)\nprint('ESCAPED')",
}
HARMFUL = {
    "kills its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nimport time\ntime.sleep(9)",
    "kills the judge": "import os, signal\nos.kill({parent}, signal.SIGKILL)",
    "kills everybody": "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "kills its group": "import os, signal\nos.killpg(0, signal.SIGKILL)",
    "kills by ctypes": "import ctypes\nl = ctypes.CDLL(None)\nl.kill(-1, 9)\nl.tgkill({parent}, {parent}, 9)\nl.syscall(62, {parent}, 9)",
    "limits its parent": "import os, resource as r\nr.prlimit(os.getppid(), r.RLIMIT_CPU, (0, 0))\nprint('ESCAPED')",
    "limits the judge": "import resource as r\nr.prlimit({parent}, r.RLIMIT_CPU, (0, 0))\nprint('ESCAPED')",
    "has others signalled": """
import fcntl, os
r, w = os.pipe()
fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())
fcntl.fcntl(r, 10, 9)
fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)
os.write(w, b'x')
print('ESCAPED')""",
    "traces its parent": "import ctypes, os\nif ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0: print('ESCAPED')",
    "becomes root": "import os\nos.setuid(0)\nos.setgid(0)\nos.chroot('.')\nprint('ESCAPED')",
    "opens a namespace": "import ctypes\nif ctypes.CDLL(None).unshare(0x10000000 | 0x20000) == 0: print('ESCAPED')",
    "mounts": "import ctypes\nif ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0: print('ESCAPED')",
    "is more urgent": "import os\nos.nice(-20)\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nprint('ESCAPED')",
    "shuts its folder": "import os\nos.mkdir('a')\nopen('a/b', 'w').close()\nos.chmod('a', 0)\nos.chmod('.', 0)\nos._exit(0)",
    "removes its folder": "import os\nhere = os.getcwd()\nos.chdir('/')\nos.rmdir(here)\nprint('ESCAPED')",
    "shared memory": "import ctypes\nif ctypes.CDLL(None).shmget(37, 1 << 20, 0o1666) >= 0: print('ESCAPED')",
}
ATTACKS = ENDLESS | GREEDY | LYING | THIEVING | HARMFUL
CAN_BE_SHOWN = [
    name
    for name in THIEVING
    if name not in ("signals its parent", "changes its limits", "writes over the library")
]


@pytest.fixture(scope="module")
def aims(tmp_path_factory):
    """What attacks may aim at, and a socket that counts who comes."""
    secret = tmp_path_factory.mktemp("open") / "secret"
    secret.write_text("sesame")
    os.environ["SESAME"] = "sesame"
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    names = {"secret": str(secret), "repository": str(Path(__file__).parents[3]), "parent": os.getpid()}
    yield names | {"port": listener.getsockname()[1]}, listener
    listener.close()
    del os.environ["SESAME"]


@pytest.fixture(scope="module")
def box():
    with Sandbox(workers=1, memory=128 << 20) as sandbox:
        yield sandbox


def aimed(source: str, names: dict[str, object], plain: bool = False) -> str:
    for name, value in {**names, "plain": plain}.items():
        source = source.replace("{" + name + "!r}", repr(value)).replace("{" + name + "}", str(value))
    return source


def rewarded(outcome) -> bool:
    return outcome.status == "ok" and outcome.values == WANTED


def jailed() -> set[int]:
    """The processes, but for dead ones, that come from this process's sandbox."""
    parents, stubs = {}, set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(name)] = int(parent)
                if STUB in Path(f"/proc/{name}/cmdline").read_bytes():
                    stubs.add(int(name))
        except OSError:
            continue

    def ours(pid: int) -> bool:
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return {pid for pid in stubs if ours(pid) or parents[pid] == 1}


def test_there_are_enough_of_them():
    assert len(ATTACKS) == sum(map(len, (ENDLESS, GREEDY, LYING, THIEVING, HARMFUL))) >= 90


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_gets_anything(name, box, aims):
    names, listener = aims
    before = jailed()
    seconds = SECONDS if name in ENDLESS else 1.5 if name in GREEDY else 5.0
    start = time.monotonic()
    attack, honest = box.run([Program(aimed(ATTACKS[name], names), calls=CALLS, seconds=seconds), HONEST])
    assert not rewarded(attack)
    assert "ESCAPED" not in attack.stdout
    assert (
        not attack.error.startswith(BROKEN) or "no function 'f'" in attack.error or name == "finds its judge"
    )
    if name != "writes over the library":  # it came to a wall, not to a library that it may use
        assert "python3" not in attack.error
    assert rewarded(honest)
    if name in ENDLESS:
        assert attack.status in ("timeout", "error", "killed", "memory")
    assert attack.seconds < seconds + 1.0
    assert time.monotonic() - start < seconds + 30.0
    assert len(jailed()) == len(before)  # a worker may be a new one
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert os.listdir(Path(names["secret"]).parent) == ["secret"]


@pytest.mark.parametrize("name", CAN_BE_SHOWN)
def test_without_a_sandbox_they_would_get_it(name, aims, tmp_path):
    names, listener = aims
    own = Path(names["secret"]).parent.parent / "shown"
    own.mkdir(exist_ok=True)
    (own / "secret").write_text("sesame")
    code = aimed(ATTACKS[name], names | {"secret": str(own / "secret")}, plain=True)
    done = subprocess.Popen(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    if name == "opens a page":
        listener.setblocking(True)
        with listener.accept()[0] as asker:
            asker.recv(1000)
            asker.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        listener.setblocking(False)
    assert "ESCAPED" in done.communicate(timeout=30)[0]
    if name == "connects":
        listener.accept()[0].close()
