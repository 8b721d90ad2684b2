"""From an import path to an object: the one function that follows names into code."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any


def resolve(path: str) -> Any:
    """The object at `package.module:Name`. The working folder is searched too.

    Raises `ValueError` that says which part was not found.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ValueError(f"'{path}' is no import path; it reads like package.module:Name")
    found: Any = load_module(module_name, path)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"'{path}': module '{module_name}' has no '{name}'")
        found = getattr(found, part)
    return found


def load_module(name: str, path: str) -> ModuleType:
    """The module of an import path; the working folder is searched too (`ValueError` where there is none)."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"'{path}': no module named '{error.name}'") from None
