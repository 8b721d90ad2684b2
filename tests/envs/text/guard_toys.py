"""A family whose verifier does what the completion says: it works, or fails in one of many ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from envs.text.task import Verdict
from envs.text.words.sorting import Sorting


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


class Faulty(Sorting):
    title = "Faulty"

    def verify(self, completion, question):
        what, _, rest = completion.partition(" ")
        does = getattr(self, f"do_{what}", None)
        return does(rest) if does else super().verify(completion, question)

    def judge(self, question, said):
        return self.verify(said[-1], question)

    def reply(self, question, said):
        return {"end": None, "number": 3}.get(said[-1], said[-1] + "?")

    def do_pid(self, rest):
        return Verdict(1.0, True, True, str(os.getpid()))

    def do_raise(self, rest):
        return 1 / 0

    def do_unspeakable(self, rest):
        raise Unspeakable

    def do_recurse(self, rest):
        return self.do_recurse(rest)

    def do_exit(self, rest):
        sys.exit(int(rest))

    def do_vanish(self, rest):
        os._exit(int(rest))

    def do_kill(self, rest):
        os.kill(os.getpid(), signal.SIGSEGV)

    def do_loop(self, rest):
        while True:
            pass

    def do_compute(self, rest):
        return 7 ** (10**8) % 10  # minutes in one instruction: no other thread has a turn

    def do_sleep(self, rest):
        time.sleep(float(rest))
        return Verdict(1.0, True, True, rest)

    def do_print(self, rest):
        for _ in range(int(rest)):
            print("x" * 1000)
            print("x" * 1000, file=sys.stderr)
        return Verdict(1.0, True, True, rest)

    def do_read(self, rest):
        return Verdict(1.0, True, True, sys.stdin.read())

    def do_eat(self, rest):
        return Verdict(1.0, True, True, str(len(bytearray(int(rest)))))

    def do_spawn(self, rest):
        subprocess.Popen(["sh", "-c", f"echo $$ > '{rest}'; exec sleep 60"])
        time.sleep(60)

    def do_nan(self, rest):
        return Verdict(float("nan"), False, False)

    def do_much(self, rest):
        return Verdict(1.5, True, True)

    def do_none(self, rest):
        return None

    def do_secret(self, rest):
        return Verdict(1.0, True, True, "", {"f": lambda: 1})
