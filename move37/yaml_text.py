"""YAML as people write it: `1e-3` is a number, `2.5e6` a whole one, and a key given twice is an error."""

from __future__ import annotations

import re
from typing import Any

import yaml

from move37.errors import UserError

NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$")
"""What YAML 1.1 reads as text or float: any number with an exponent."""


class Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` that knows exponents and refuses a key given twice."""

    def construct_exponent(self, node: yaml.ScalarNode) -> int | float:
        """A float, or an int where the value is whole and not small (`1e6`; `1e-3` is a float)."""
        value = float(node.value.replace("_", ""))
        return int(value) if value.is_integer() and abs(value) < 2**53 else value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key)
            if not isinstance(name, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} is not a name", key.start_mark
                )
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{name}' is given twice", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


Loader.add_implicit_resolver("!exponent", NUMBER, list("-+.0123456789"))
Loader.yaml_implicit_resolvers = {  # ours is asked first
    first: sorted(resolvers, key=lambda r: r[0] != "!exponent")
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}
Loader.add_constructor("!exponent", Loader.construct_exponent)


def parse_yaml(text: str, where: str) -> Any:
    """The plain data in `text`. Raises `UserError` in one line: `where`, the line, what is wrong."""
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader)):
            raise UserError(f"{where}: aliases (`*name`) are not read; write the value out")
        return yaml.load(text, Loader)
    except (RecursionError, ValueError) as error:
        raise UserError(f"{where}: not YAML: {str(error).splitlines()[0]}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"{where}{line}: not YAML: {problem}") from None


def dump_yaml(data: Any) -> str:
    """`data` as YAML, in its own order, short lists and dicts in one line."""
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
