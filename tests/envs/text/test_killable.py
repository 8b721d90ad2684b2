"""Every verifier in a process that may be killed: in threads, and in Ray workers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from envs.text import NAMES, load
from envs.text.check import garbage, mutate, same
from envs.text.deal import Entry
from envs.text.episode import Episode, let_solve
from envs.text.guard import Fault
from envs.text.parsing import write
from envs.text.task import DIRECT, Dialogue, Verdict
from envs.text.verifiers import Verifiers

MUTANTS = 20
DEADLINE = 30.0
SAMPLE = ("Countdown", "Coloring", "Functions", "Mastermind")


def found_in_a_process(name: str) -> list[str]:
    """What is wrong with a family's verdicts there, on its first and last level; nothing, if all is well."""
    task, wrong = load(name), []
    verifiers = Verifiers({name: (task, {})}, DEADLINE)
    try:
        for level in sorted({1, task.levels}):
            question = task.generate(np.random.default_rng([3, level]), level)
            if isinstance(task, Dialogue):
                episode = let_solve(
                    Episode(Entry(name, task, level, {}), question, question.prompt), verifiers
                )
                if not episode.turns[-1].part("success"):
                    wrong.append(f"{name}: its solver's dialogue is wrong")
                calls = [(question, (text,)) for text in garbage()]
                found = verifiers.call(name, "judge", calls)
            else:
                rng, answer = np.random.default_rng(level), task.answer(question)
                mutants = [mutate(rng, answer, task.alphabet) for _ in range(MUTANTS)]
                texts = [*map(write, mutants), *garbage()]
                gold, *found = verifiers.call(
                    name, "verify", [(t, question) for t in (task.completion(question, DIRECT), *texts)]
                )
                if not (isinstance(gold, Verdict) and gold.success and gold.reward == 1):
                    wrong.append(f"{name}: its own answer is wrong there: {gold}")
                here = [task.verify(text, question) for text in texts]
                differ = [t for t, a, b in zip(texts, found, here) if a != b]
                wrong += [f"{name}: another verdict there on {text!r:.80}" for text in differ]
                if all(v.success for m, v in zip(mutants, here) if not same(m, answer)):
                    wrong.append(f"{name}: no mutant is wrong")
            wrong += [f"{name}: {fault.error}" for fault in found if isinstance(fault, Fault)]
            if sum(isinstance(v, Verdict) and v.success for v in found[-len(list(garbage())) :]):
                wrong.append(f"{name}: garbage is right")
    finally:
        verifiers.close()
    return wrong


def test_verdicts_in_threads_are_those_of_the_process_itself():
    """A thread may not touch `signal`: a verifier that did would be a fault."""
    with ThreadPoolExecutor(2) as pool:
        assert [found for found in pool.map(found_in_a_process, SAMPLE) if found] == []


@pytest.mark.slow
def test_verdicts_of_every_family_are_the_same_in_ray_workers():
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        tasks = [ray.remote(found_in_a_process).remote(name) for name in NAMES]
        assert [found for found in ray.get(tasks) if found] == []
    finally:
        ray.shutdown()
