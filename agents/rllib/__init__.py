"""RLlib's algorithms (Ray 2.60, the new API stack) as a backend: see `docs/rllib.md`."""
