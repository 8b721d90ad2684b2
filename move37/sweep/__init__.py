"""Sweeps: many runs of one config that differ in some keys, and which of them came out best."""
