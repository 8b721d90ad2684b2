"""A language model learns from nothing: imitation of the solver first, then trial."""

from __future__ import annotations

from pathlib import Path

import pytest

import move37

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
PARITY = ("env.id=text/Parity-v0", "env.level=2", "evaluate.every=1_000_000", "evaluate.episodes=400")
CHAINS = "agent.expert={kind: solver, strategies: {long: 1.0}}"


def after(name: str, out: Path, *overrides: str) -> float:
    """The share of new problems that is right after a config, on one thread."""
    run = move37.train(CONFIGS / f"{name}.yaml", ["threads=1", *overrides], out=out)
    return run.metrics()[-1]["eval/success"]


def test_imitation_then_trial_lift_parity(tmp_path):
    short = ("agent.student.max_new=32", "budget.env_steps=10_000")
    begun = after("sft_reversal", tmp_path / "sft", *PARITY, CHAINS, *short)
    more = ("agent.max_new=32", "agent.problems=64", "budget.env_steps=12_000", f"init={tmp_path / 'sft'}")
    learned = after("grpo_reversal", tmp_path / "grpo", *PARITY, *more)
    assert 0.1 < begun < 0.4
    assert learned > begun + 0.1  # 0.2 is usual


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_imitation_then_trial_solve_reversal(seed, tmp_path):
    begun = after("sft_reversal", tmp_path / "sft", f"seed={seed}")
    learned = after("grpo_reversal", tmp_path / "grpo", f"seed={seed}", f"init={tmp_path / 'sft'}")
    assert begun < 0.93
    assert learned >= 0.95
