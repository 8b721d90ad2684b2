"""Where a config came from, so that what does not fit in it is told with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """A config's file (or `config`, where it has none), and the overrides `key.sub=value` on top of it."""

    file: str
    overrides: tuple[str, ...] = ()

    def of(self, path: tuple[str, ...]) -> str:
        """Where a key came from: the override that set it, else the file."""
        for override in reversed(self.overrides):
            key = tuple(_key(override).split("."))
            if path[: len(key)] == key[: len(path)]:
                return f"override '{override}'"
        return self.file

    def place(self, section: str, said: str, option: str | None = None) -> str:
        """What to look at where a `section` cannot be built, as in `override 'env.n=x': env.n`.

        `option` is the key at fault, where that is known. Else it is that of an override which `said` names;
        where there is none, the place is the whole section in the file.
        """
        if option:
            path = (*section.split("."), *option.split("."))
            return f"{self.of(path)}: {'.'.join(path)}"
        for override in reversed(self.overrides):
            key = _key(override)
            within = key.removeprefix(f"{section}.").replace(".", "|")
            if f"{key}.".startswith(f"{section}.") and re.search(rf"\b({within})\b", said):
                return f"override '{override}': {key}"
        return f"{self.file}: {section}"


def _key(override: str) -> str:
    return override.partition("=")[0].strip()
