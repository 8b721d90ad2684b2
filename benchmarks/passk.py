"""pass@k: what its samples cost beside bare generation, and its statistics beside what was asked for.

* sampling: a part of an experiment (problems, tries, verdicts, columns, but not the file) by an untrained
  model of 0.8 million parameters (S) and of 0.1 (XS), against the same tokens by its generator alone: equal
  prompts, batches and sampling. What is not generating is some 80 µs a try, whatever the model.
* statistics: 4 policies × 300 problems × 1,024 tries, from parquet files with completions and answers to
  `passk.json`'s numbers, in a process of its own; against 10 seconds, and against 1,000 MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.race import Turn, race
from benchmarks.report import Row, main
from envs.rng import from_seeds
from llm_rl.policy import LanguagePolicy
from move37.origin import Origin
from move37.passk.config import PasskConfig
from move37.passk.sampling import SLOTS, Experiment
from move37.passk.store import PART, write_part

POLICIES, PROBLEMS, TRIES, TRIED = 4, 300, 1024, 256
MAX_NEW, ROUNDS = 48, 4
SECONDS, MEGABYTES = 10.0, 1000.0


def experiment(size: str) -> Experiment:
    """Problems of addition, tried by a model that knows nothing."""
    options = {"model": {"size": size, "context": 96}, "max_new": MAX_NEW}
    config = PasskConfig.model_validate(
        {
            "env": {"id": "text/Addition-v0", "level": 3},
            "problems": {"all": {"count": 16}},
            "policies": {"model": {"player": "language", "options": options}},
            "samples": TRIED,
            "reference": 0,
        }
    )
    return Experiment(config, Origin("benchmark"))


def sampled(made: Experiment) -> Turn:
    """A part of the experiment."""
    (part,) = made.parts()  # of 4,096 tries
    return lambda: int(made.sample(part)["tokens"].sum())


def generated(made: Experiment) -> Turn:
    """As many tokens for the same prompts, by the generator alone."""
    agent: Any = made.agent("model", "all")
    assert isinstance(agent, LanguagePolicy)
    prompts = [p.name for p in made.problems["all"] for _ in range(TRIED)]
    batches = [prompts[i : i + SLOTS[True]] for i in range(0, len(prompts), SLOTS[True])]
    read = [agent.tokenizer.encode_batch(batch) for batch in batches]

    def turn() -> int:
        made = (agent.generator(b, from_seeds(range(len(b))), agent.sampling) for b in read)
        return sum(int(one.lengths.sum()) for one in made)

    return turn


def write_samples(folder: Path) -> list[list[Path]]:
    """The files of each policy: tries with completions and a few different answers to each problem."""
    files = list[list[Path]]()
    for policy in range(POLICIES):
        rng = np.random.default_rng(policy)
        rate = rng.beta(0.5, 1.5, PROBLEMS)
        files.append([])
        for block in range(TRIES // TRIED):
            problem = np.repeat(np.arange(PROBLEMS, dtype=np.int32), TRIED)
            success = rng.random(len(problem)) < rate[problem]
            answers = np.where(success, 0, 1 + rng.geometric(0.2, len(problem)))
            tokens = rng.integers(20, 60, len(problem)).astype(np.int32)
            columns = {
                "problem": problem,
                "success": success,
                "invalid": np.zeros(len(problem), bool),
                "tokens": tokens,
                "cut": np.zeros(len(problem), bool),
                "log_prob": -rng.random(len(problem)).astype(np.float32) * tokens,
                "answer": [f"{p}:{a}" for p, a in zip(problem.tolist(), answers.tolist())],
                "completion": [
                    [f"<think>{a * 7}</think><answer>{p}:{a}</answer>"] for p, a in zip(problem, answers)
                ],
                f"{PART}proved": (success & (rng.random(len(problem)) < 0.9)).astype(np.float32),
            }
            files[-1].append(folder / f"part-{policy}-{block}.parquet")
            write_part(files[-1][-1], columns, {})
    return files


COUNT = """
import json, resource, sys, time
from pathlib import Path
import move37.build
move37.build.set_threads(1)
from move37.passk.report import Field, report_on
from move37.passk.run import read_tries
files = json.loads(sys.argv[1])
start = time.perf_counter()
tries = {f"policy {i}": read_tries([Path(f) for f in mine]) for i, mine in enumerate(files)}
told = report_on(Field("all", [str(i) for i in range(300)], tries), "policy 0")
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, told["k"][-1]]))
"""


def counted() -> tuple[float, float]:
    """(seconds, megabytes) of all statistics, in a fresh process whose kernels are compiled."""
    with tempfile.TemporaryDirectory() as folder:
        files = [[str(path) for path in mine] for mine in write_samples(Path(folder))]
        command = [sys.executable, "-c", COUNT, json.dumps(files)]
        for _ in range(2):  # the first compiles
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, megabytes, _ = json.loads(told)
    return seconds, megabytes


def rows() -> Iterator[Row]:
    """The table."""
    for size in ("S", "XS"):
        made = experiment(size)
        rates = race({"ours": sampled(made), "bare": generated(made)}, ROUNDS)
        what = f"samples for pass@k, {size}"
        yield Row(what, "its generator alone", rates["ours"], rates["bare"], 0.8, "tokens/s")
    seconds, megabytes = counted()
    yield Row("statistics of 1,228,800 tries", "as asked", seconds, SECONDS, 1.0, "s")
    yield Row("their memory", "as asked", megabytes, MEGABYTES, 1.0, "MB")


if __name__ == "__main__":
    main(rows, __doc__)
