"""Families of puzzles: graphs, mazes, towers and crossings."""
