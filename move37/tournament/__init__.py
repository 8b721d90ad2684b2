"""Tournaments: who plays, what is played, and what the games tell."""
