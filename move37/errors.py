"""Errors that are told to a person in one line."""


class UserError(Exception):
    """Bad input: what was wrong, where (file, key, value), and what would be right. Exit code 2."""


class RunError(Exception):
    """A failure while running, with what was saved and how to go on. Exit code 1."""


def in_one_line(error: BaseException) -> str:
    """What an error says, in one line; with its type where the words alone say little."""
    said = " ".join(str(error).split())
    alone = isinstance(error, (ValueError, TypeError, RuntimeError, FloatingPointError)) and said
    return said if alone else f"{type(error).__name__}: {said}".removesuffix(": ")
