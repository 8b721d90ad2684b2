"""Grids: the Abstraction and Reasoning Corpus (ARC)."""
