"""Families of many turns."""
