"""Families whose problems lie in a user's own files: published benchmarks, or a set of one's own."""
