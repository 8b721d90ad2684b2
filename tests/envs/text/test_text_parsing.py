"""Numbers as they are written when they are finished, and what is still to be worked out."""

from fractions import Fraction
from math import gcd

import pytest

from envs.text import load
from envs.text.parsing import normal, number, whole_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3/4", Fraction(3, 4)),
        ("-7/2", Fraction(-7, 2)),
        ("+1/6", Fraction(1, 6)),
        ("1,234/5", Fraction(1234, 5)),
        ("$3/4$", Fraction(3, 4)),
        ("\\boxed{3/4}", Fraction(3, 4)),
        ("0.75", Fraction(3, 4)),
        ("24.0", Fraction(24)),
        ("1,234", Fraction(1234)),
    ],
)
def test_a_finished_number(text, value):
    assert number(text) == value
    assert whole_number(text) == (int(value) if value.denominator == 1 else None)


@pytest.mark.parametrize(
    "text",
    [
        "48/2",
        "150/6",
        "-48/2",
        "7/1",
        "0/5",
        "0/1",
        "4/8",
        "6/4",
        "$48/2$",
        "\\boxed{48/2}",
        "48/2.",
        "1/0",
        "４８/２",
    ],
)
def test_a_division_is_no_number(text):
    assert number(text) is None
    assert whole_number(text) is None


def test_a_fraction_is_read_where_nothing_can_be_cancelled():
    for above in range(30):
        for below in range(30):
            read = number(f"{above}/{below}")
            if below > 1 and gcd(above, below) == 1:
                assert read == Fraction(above, below)
            else:
                assert read is None
    assert normal("4/8") == normal("1/2") == normal("0.5")  # votes are counted by what was meant


@pytest.mark.parametrize(
    ("family", "prompt", "division", "answer"),
    [
        ("Equations", "6x+3=12", "x=9/6", "x=3/2"),
        ("Equations", "6x=150", "x=150/6", "x=25"),
        ("ChainSum", "12+5-41=", "-48/2", "-24"),
        ("Dag", "a=3;b=a+4;c=a*b;c%23?", "42/2", "21"),
    ],
)
def test_a_division_is_no_answer(family, prompt, division, answer):
    task = load(family)
    question = task.understand(prompt)
    assert task.check(answer, question).success
    verdict = task.check(division, question)
    assert (verdict.success, verdict.parsed) == (False, False)
