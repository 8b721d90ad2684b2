"""What keeps a sandboxed program in: walls of the kernel's, each of which is tried on its own.

`namespaces` (network, process, IPC; namespaces(7)), `landlock` (files; landlock(7)), `seccomp` (a filter
that allows the system calls that are listed and no others; seccomp(2)), and `user` (a user id of the
program's own, where we are root). `bubblewrap` is around all of it where it is installed: `envs.text.zygote`.

This is run by the bare interpreter of `envs.text.jail`, so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import stat
import struct
from os import _exit, write
from typing import Any

SYSTEM: Any = ctypes.CDLL(None)
THREADS = 64
"""Threads that a program with a user id of its own may have, and processes where nothing forbids them."""
NEW_USER, NEW_NET, NEW_IPC, NEW_PID, NEW_UTS = 0x10000000, 0x40000000, 0x08000000, 0x20000000, 0x04000000
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, SET_NO_NEW_PRIVS = 1, 4, 22, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every machine
WRITE_FILE, READ_FILE, READ_FOLDER = 1 << 1, 1 << 2, 1 << 3
OWN = sum(1 << bit for bit in (1, 2, 3, 4, 5, 7, 8, 12, 13, 14))
"""Files, folders and links: no devices, sockets or pipes, and nothing is executed."""


class Walls:
    """What keeps a program in: those of `wanted` that this system has."""

    def __init__(self, wanted: list[str], uid: int, folder: str, readable: list[str]) -> None:
        self.wanted, self.uid, self.readable = set(wanted), uid, readable
        self.folder = os.path.join(folder, "program")
        self.standing: list[str] = [name for name in wanted if name == "bubblewrap"]
        self.rules = -1
        self.filter = b""

    def unshare(self, orders: int, life: int) -> None:
        """Go on in namespaces of our own, as the process 1 there, whose end is everybody's end."""
        spaces = NEW_NET | NEW_IPC | NEW_PID | NEW_UTS
        if SYSTEM.unshare(spaces) and SYSTEM.unshare(spaces | NEW_USER):
            return
        self.standing.append("namespaces")
        if inside := os.fork():
            os.close(orders)
            os.close(life)
            os.waitpid(inside, 0)
            _exit(0)

    def build(self) -> list[str]:
        """Make what all programs share: the folder, Landlock's rules, the filter. Which walls stand."""
        SYSTEM.prctl(SET_DUMPABLE, 0, 0, 0, 0)  # whoever has the same user id must not read this process
        for path in (os.path.dirname(self.folder), self.folder):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o711)
        if "landlock" in self.wanted:
            self.rules = landlock_rules(self.readable, self.folder)
        if "seccomp" in self.wanted and os.uname().machine in ARCHITECTURES:
            self.filter = seccomp_filter(os.uname().machine)
        self.standing += self._probe()
        if "user" in self.standing:
            os.chown(self.folder, self.uid, self.uid)
        return self.standing

    def _probe(self) -> list[str]:
        """Which of a program's own walls hold, as a fork finds that goes behind them."""
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            SYSTEM.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            tries = {"landlock": self._restrict, "user": self._own_user, "seccomp": self._allow_calls}
            for name, step in tries.items():
                if step():
                    write(told, f"{name} ".encode())
            _exit(0)
        os.waitpid(pid, 0)
        os.close(told)
        with open(ready) as file:
            return file.read().split()

    def enter(self, handles: int) -> None:
        """Go behind all walls but the last, and into the folder; keep the first `handles` handles only."""
        os.setpgid(0, 0)
        held = SYSTEM.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        if "landlock" in self.standing:
            held &= self._restrict()
        if "user" in self.standing:
            resource.setrlimit(resource.RLIMIT_NPROC, (THREADS, THREADS))
            held &= self._own_user()
        held &= SYSTEM.capset((ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)()) == 0
        SYSTEM.prctl(SET_DUMPABLE, 0, 0, 0, 0)
        SYSTEM.prctl(SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        os.chdir(self.folder)
        os.umask(0o077)
        os.closerange(handles, 1 << 10)
        if not held:
            raise OSError("a wall that stood before does not")

    def close(self) -> None:
        """The last wall: from here on a program can make few system calls."""
        if "seccomp" in self.standing and not self._allow_calls():
            raise OSError("a wall that stood before does not")

    def sweep(self, pid: int) -> int:
        """Kill a program's process and whatever it started; how the process ended."""
        for target in (-pid, pid):  # not reaped yet, so nobody else can have its id
            with contextlib.suppress(OSError):
                os.kill(target, signal.SIGKILL)
        with contextlib.suppress(OSError):
            if os.getpid() == 1:  # all others in this namespace are the program's
                os.kill(-1, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        with contextlib.suppress(ChildProcessError):
            while os.getpid() == 1:
                os.waitpid(-1, 0)  # until nobody is left
        return status

    def clear(self) -> None:
        """Make the folder empty and, whatever was done to it, open to the next program only."""
        _empty(self.folder)

    def remove(self) -> None:
        """Leave no folder behind."""
        self.clear()
        with contextlib.suppress(OSError):  # bubblewrap's goes by itself
            os.rmdir(self.folder)
            os.rmdir(os.path.dirname(self.folder))

    def _own_user(self) -> bool:
        if "user" not in self.wanted or os.geteuid() != 0 or not all(map(_open_to_all, self.readable)):
            return False
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
            return True
        return False

    def _restrict(self) -> bool:
        return self.rules >= 0 and bool(SYSTEM.syscall(RESTRICT_SELF, self.rules, 0) == 0)

    def _allow_calls(self) -> bool:
        if not self.filter:
            return False
        code = self.filter.replace(MARK, struct.pack("I", os.getpid()))
        text = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
        return bool(SYSTEM.prctl(SET_SECCOMP, 2, program, 0, 0) == 0)


def _empty(folder: str) -> None:
    """Remove all that is in a folder, however deep and whoever may not: what is below is first moved up."""
    os.chmod(folder, 0o700)
    left, moved = [folder], 0
    while left:
        here = left.pop()
        for name in os.listdir(here):
            path = os.path.join(here, name)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                continue
            moved += 1
            os.chmod(path, 0o700)
            above = os.path.join(folder, f"\n{moved}")
            os.rename(path, above)
            left.append(above)
        if here != folder:
            os.rmdir(here)


def _open_to_all(path: str) -> bool:
    """Whether everybody may come to a path."""
    while path not in ("", "/"):
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


def landlock_rules(readable: list[str], folder: str) -> int:
    """A handle of rules: read what is readable, write in the folder; no TCP, nor signals to others.

    -1 where the kernel has none.
    """
    version = SYSTEM.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return -1
    files = (1 << (13 + (version > 1) + (version > 2) + (version > 4))) - 1
    handled = struct.pack("QQQ", files, 3 * (version > 3), 3 * (version > 5))
    size = ctypes.c_size_t(24 if version > 5 else 16 if version > 3 else 8)
    rules = SYSTEM.syscall(CREATE_RULESET, handled, size, 0)
    access = {os.path.dirname(os.__file__): READ_FOLDER, os.devnull: READ_FILE | WRITE_FILE}
    access |= {path: READ_FILE | READ_FOLDER if os.path.isdir(path) else READ_FILE for path in readable}
    for path, allowed in (access | {folder: OWN & files}).items():
        place = os.open(path, os.O_PATH)
        SYSTEM.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
    return int(rules)


ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
CALLS = """
    read 0 63, write 1 64, open 2 -, close 3 57, stat 4 -, fstat 5 80, lstat 6 -, poll 7 -, lseek 8 62,
    mmap 9 222, mprotect 10 226, munmap 11 215, brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135,
    rt_sigreturn 15 139, pread64 17 67, pwrite64 18 68, readv 19 65, writev 20 66, access 21 -,
    pipe 22 -, select 23 -, sched_yield 24 124, mremap 25 216, madvise 28 233, dup 32 23, dup2 33 -,
    pause 34 -, nanosleep 35 101, getitimer 36 102, alarm 37 -, setitimer 38 103, getpid 39 172,
    exit 60 93, uname 63 160, flock 73 32, fsync 74 82, fdatasync 75 83, truncate 76 45,
    ftruncate 77 46, getdents 78 -, getcwd 79 17, chdir 80 49, fchdir 81 50, rename 82 -, mkdir 83 -,
    rmdir 84 -, creat 85 -, unlink 87 -, symlink 88 -, readlink 89 -, chmod 90 -, fchmod 91 52,
    umask 95 166, gettimeofday 96 169, getrlimit 97 163, getrusage 98 165, sysinfo 99 179, times 100 153,
    getuid 102 174, getgid 104 176, geteuid 107 175, getegid 108 177, getppid 110 173, getpgrp 111 -,
    rt_sigpending 127 136, rt_sigtimedwait 128 137, rt_sigsuspend 130 133, sigaltstack 131 132,
    statfs 137 43, fstatfs 138 44, sched_getparam 143 121, sched_getscheduler 145 120, arch_prctl 158 -,
    gettid 186 178, time 201 -, futex 202 98, sched_getaffinity 204 123, getdents64 217 61,
    set_tid_address 218 96, restart_syscall 219 128, fadvise64 221 223, clock_gettime 228 113,
    clock_getres 229 114, clock_nanosleep 230 115, exit_group 231 94, epoll_wait 232 -, epoll_ctl 233 21,
    utimes 235 -, openat 257 56, mkdirat 258 34, newfstatat 262 79, unlinkat 263 35, renameat 264 38,
    symlinkat 266 36, readlinkat 267 78, fchmodat 268 53, faccessat 269 48, pselect6 270 72,
    ppoll 271 73, set_robust_list 273 99, utimensat 280 88, epoll_pwait 281 22, eventfd2 290 19,
    epoll_create1 291 20, dup3 292 24, pipe2 293 59, preadv 295 69, pwritev 296 70, getrandom 318 278,
    renameat2 316 276, statx 332 291, rseq 334 293, faccessat2 439 439
"""
"""System calls that a program may make: name and number on x86_64 and aarch64 ("-": not there)."""
SELF_CALLS = "kill 62 129, tgkill 234 131, prlimit64 302 261"
"""Those that it may make to itself only: the first argument is 0 or its process."""
CLONE, CLONE3, FCNTL = (56, 220), (435, 435), (72, 25)
SENDS_SIGNALS = (8, 10, 15)
"""What may not be asked of `fcntl`: F_SETOWN, F_SETSIG and F_SETOWN_EX have signals sent to others."""
MARK = b"\x37\xf1\x5e\x7a"
"""Where in the filter the number of the process belongs."""
ALLOW, REFUSE, ABSENT = 0x7FFF0000, 0x00050000 | 13, 0x00050000 | 38  # as "permission denied", "no such call"
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06


def numbers(table: str, machine: int) -> list[int]:
    """The numbers of a table's system calls on a machine."""
    rows = [row.split() for row in table.split(",")]
    return [int(row[1 + machine]) for row in rows if row[1 + machine] != "-"]


def seccomp_filter(name: str) -> bytes:
    """A filter in the kernel's packet-filter language, in which each step is (code, if true, if false, k).

    Threads may be begun, processes may not; `clone3`, whose flags a filter cannot see, is as if absent.
    """
    machine, architecture = ARCHITECTURES[name]
    mark = struct.unpack("I", MARK)[0]
    allow, refuse = (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)
    steps = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), refuse, (LOAD, 0, 0, 0)]
    steps += [(EQUAL, 0, 1, CLONE3[machine]), (RETURN, 0, 0, ABSENT)]
    steps += [(EQUAL, 0, 4, CLONE[machine]), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, 0x10000), allow, refuse]
    for number in numbers(SELF_CALLS, machine):
        steps += [
            (EQUAL, 0, 5, number),
            (LOAD, 0, 0, 16),
            (EQUAL, 1, 0, 0),
            (EQUAL, 0, 1, mark),
            allow,
            refuse,
        ]
    steps += [(EQUAL, 0, len(SENDS_SIGNALS) + 3, FCNTL[machine]), (LOAD, 0, 0, 24)]
    steps += [(EQUAL, len(SENDS_SIGNALS) - i, 0, order) for i, order in enumerate(SENDS_SIGNALS)]
    steps += [allow, refuse]
    allowed = numbers(CALLS, machine)
    steps += [(EQUAL, len(allowed) - i, 0, number) for i, number in enumerate(allowed)]
    return b"".join(struct.pack("HBBI", *step) for step in (*steps, refuse, allow))
