"""Replay in small parts, after Dopamine: accumulator, storage, samplers with a sum tree, and the whole."""

from agents.replay.buffer import Batch, Replay

__all__ = ["Batch", "Replay"]
