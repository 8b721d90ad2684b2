"""What is not YAML as we read it is told in one line, and costs nothing."""

import pytest

from move37.errors import UserError
from move37.yaml_text import parse_yaml

BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 2020-13-45", "month must be in 1..12"),
        ("seed: !!int abc", "invalid literal"),
        ("lr: !exponent abc", "could not convert"),
        ("a: " + "[" * 5000, "recursion"),
        (BOMB, "aliases"),
        ("a: &b {x: 1}\nc: {<<: *b}", "aliases"),
        ("a: [1", "expected"),
    ],
)
def test_it_is_told_in_one_line(text, told):
    with pytest.raises(UserError, match=rf"^c\.yaml(:\d+)?: .*{told}") as error:
        parse_yaml(text, "c.yaml")
    assert "\n" not in str(error.value)
