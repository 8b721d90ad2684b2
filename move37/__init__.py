"""move37: one loop that carries every way of learning by trial."""

from __future__ import annotations

from typing import Any

__all__ = ["Run", "train"]


def __getattr__(name: str) -> Any:
    """`move37.train` and `move37.Run`, imported when first asked for."""
    if name == "train":
        from move37.train import train

        return train
    if name == "Run":
        from move37.run import Run

        return Run
    raise AttributeError(f"module 'move37' has no attribute '{name}'")
