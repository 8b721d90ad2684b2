"""From an import path to an object: the one place that follows names into code, and what such a name is."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

IMPORT_PATH = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_][\w.-]*(?:/[\w.-]+)?)", re.ASCII)
"""`package.module:Name`, or an id that the module registers with Gymnasium: `package.module:space/Name-v0`.

Nothing else is ever imported, so that whoever looks for these finds all code that plain data can name.
"""
ATTRIBUTE = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


def folders() -> list[str]:
    """Where this process looks for modules, its working folder first: what another needs to find the same."""
    return [os.getcwd(), *sys.path]


def enter(folders: Sequence[str]) -> None:
    """Look for modules as a process does whose `folders` these are, and work in the first, if it is here."""
    look_in(folders)
    if folders and os.path.isdir(folders[0]):
        os.chdir(folders[0])


def look_in(folders: Sequence[str]) -> None:
    """Look for modules in `folders`, before all others."""
    sys.path[:] = dict.fromkeys([*folders, *sys.path])


def is_import_path(text: str) -> bool:
    """Whether `resolve` or `load_module` would import something for this text."""
    return IMPORT_PATH.fullmatch(text) is not None


def names_attribute(path: str) -> bool:
    """Whether an import path ends in a plain name in its module, rather than in an id such as `Name-v0`."""
    return is_import_path(path) and ATTRIBUTE.fullmatch(path.partition(":")[2]) is not None


def resolve(path: str) -> Any:
    """The object at `package.module:Name`. The working folder is searched too.

    Raises `ValueError` that says which part was not found.
    """
    found: Any = load_module(path)
    module_name, _, name = path.partition(":")
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"'{path}': module '{module_name}' has no '{name}'")
        found = getattr(found, part)
    return found


def load_module(path: str) -> ModuleType:
    """The module of an import path; the working folder is searched too.

    Raises `ValueError` where there is none, and before any import for what is no import path.
    """
    match = IMPORT_PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"{path!r} is no import path; it reads like package.module:Name")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(match[1])
    except ModuleNotFoundError as error:
        raise ValueError(f"'{path}': no module named '{error.name}'") from None
