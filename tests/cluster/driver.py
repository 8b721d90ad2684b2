"""Training with a ledger: `python -m tests.cluster.driver CONFIG.json RUN LINES` begins or goes on."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import move37
from rollouts.fleet import Fleet
from tests.faults import Habit, Ledger
from tests.move37.runs import Diary


class Lines(Diary):
    """A line an update: rows that were learned from, by the ledger's count, beside what the metrics say."""

    def __init__(self, path, ledger):
        super().__init__()
        self.path, self.ledger, self.rows = path, ledger, 0
        collect, learn = Fleet.collect, Habit.learn

        def learned(learner, rollout):
            self.rows += int(rollout.valid.sum())
            return learn(learner, rollout)

        Fleet.collect = lambda fleet, *args, **kwargs: ledger.add(collect(fleet, *args, **kwargs))
        Habit.learn = learned

    def update(self, record):
        names = ("updates", "env_steps", "return", "length", "fleet/restarts")
        line = {name: record[name] for name in names} | {"session": os.getpid(), "rows": self.rows}
        self.rows = 0
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if record["updates"] % 50 == 0:
            self.ledger.check_seeds()
        (self.path.parent / f"ledger-{record['env_steps']:.0f}").write_bytes(pickle.dumps(self.ledger))

    def warn(self, text):
        print(text, file=sys.stderr, flush=True)


def known(run, folder):
    """The ledger of a run's newest checkpoint, whose games go on when it is resumed in step."""
    if not (run / "config.yaml").exists():
        return None
    steps = [name for name in move37.Run.load(run, trust=True).checkpoints() if name.isdecimal()]
    return pickle.loads((folder / f"ledger-{steps[-1]}").read_bytes()) if steps else None


def main(config, run, lines):
    wanted = json.loads(Path(config).read_text())
    ledger = known(Path(run), Path(lines).parent) or Ledger(wanted["sampler"]["workers"])
    if wanted["sampler"]["async"]:  # then a run that is resumed begins other games
        ledger = Ledger(wanted["sampler"]["workers"])
    observer = Lines(Path(lines), ledger)
    if (Path(run) / "config.yaml").exists():
        move37.resume(run, observer=observer, trust=True)
    else:
        move37.train(wanted, out=run, observer=observer)
    ledger.check_seeds()


if __name__ == "__main__":
    main(*sys.argv[1:])
