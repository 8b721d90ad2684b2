"""Errors that are told to a person in one line."""


class UserError(Exception):
    """Bad input: what was wrong, where (file, key, value), and what would be right. Exit code 2."""


class RunError(Exception):
    """A failure while running, with what was saved and how to go on. Exit code 1."""
