"""move37: one loop that carries every way of learning by trial.

run = move37.train("configs/train/ppo_breakout.yaml")
run.evaluate(episodes=500)
agent = move37.Run.load("runs/ppo_breakout").agent
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from move37.config import load_config
    from move37.run import Run
    from move37.training import resume, train

__all__ = ["Run", "load_config", "resume", "train"]

HOMES = {
    "Run": "move37.run",
    "load_config": "move37.config",
    "resume": "move37.training",
    "train": "move37.training",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for."""
    if name not in HOMES:
        raise AttributeError(f"module 'move37' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(HOMES[name]), name)
