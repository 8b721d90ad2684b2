"""`docs/text.md` and `docs/families.md` say what the code does: cards, tables, options and examples."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
import yaml

import envs
from envs.text import NAMES, card, load
from envs.text.batch import TextBatch
from envs.text.check import best_constant
from envs.text.env import TextEnv
from envs.text.episode import PARTS
from envs.text.task import DIRECT

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "text.md").read_text()
CARDS = (DOCS / "families.md").read_text().split(card.BEGIN)[1].split(card.END)[0]
NUMBERS = ("Addition", "Subtraction", "Multiplication", "ChainSum", "Modular", "Dag")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def table(header):
    """The rows under a header, cell by cell."""
    return [
        re.split(r" \| ", row.strip("| ")) for row in PAGE.split(header)[1].split("\n\n")[0].splitlines()[2:]
    ]


LONG = ("Functions", "Repair", "SmallFiles")
"""Whose problems are programs, of which a card takes thousands."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in NAMES])
def test_a_card_is_what_the_family_makes(name):
    assert card.card(name) in CARDS, "python -m envs.text.card docs/families.md"


def test_there_is_a_card_for_each_family_in_order_and_nothing_else(tmp_path):
    assert re.findall(r"^### (.+)$", CARDS, re.MULTILINE) == [load(name).title for name in NAMES]
    assert re.findall(r"^`text/(\w+)-v0`", CARDS, re.MULTILINE) == list(NAMES)


def test_cards_are_written_into_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(card, "cards", lambda: "new\n")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{card.BEGIN}\nold\n{card.END}after\n")
    for _ in range(2):
        card.main([str(page)])
        assert page.read_text() == f"before\n{card.BEGIN}\nnew\n\n{card.END}after\n"
    card.main([])
    assert capsys.readouterr().out == "new\n"
    assert [card.count(x) for x in (55, 4095, 99_999, 123_456, 6.67e21)] == [
        "55",
        "4,095",
        "99,999",
        "1·10⁵",
        "7·10²¹",
    ]
    assert [card.odds(x) for x in (1 / 19, 0)] == ["1 in 19", "0"]


@pytest.mark.parametrize(
    ("name", "level", "most"),
    [
        ("Parity", 5, 56),
        ("Multiplication", 1, 7),
        ("LetterCount", 1, 40),
        ("LetterCount", 4, 19),
        ("Dag", 1, 9),
    ],
)
def test_a_card_says_what_a_constant_answer_solves(name, level, most):
    *_, constant, _, _ = card.row(name, load(name), level).strip("| ").split(" | ")
    assert constant == f"{100 * best_constant(load(name), level)[1]:.1f} %"
    assert 0 < float(constant.removesuffix(" %")) < most


def test_the_table_of_options_is_the_signature():
    own = {
        name: p.default
        for kind in (TextBatch, TextEnv)
        for name, p in inspect.signature(kind.__init__).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    told = {
        row[0].strip("`"): yaml.safe_load(row[1].strip("`"))
        for row in table("| option | default | meaning |")
    }
    assert told == own


def test_the_table_of_parts_is_what_every_family_has():
    assert [row[0].strip("`") for row in table("| part | 1 where")] == list(PARTS)


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    first, second, own = blocks(PAGE, "python")
    known: dict = {}
    exec(first, known)
    (prompt,) = re.findall(r"print\(obs\[0\]\)  # (.*)", first)
    assert re.fullmatch(rf"{re.escape(prompt)}\n0\.0\d* 1\.0 another number\n", capsys.readouterr().out)
    exec(second, known)
    assert {len(e.question.prompt) for e in known["env"]._episodes} == {6, 8, 10, 12, 14}
    exec(own, {"__name__": "page"})
    (tmp_path / "doubling.py").write_text(own.replace("check_task(Doubling())", ""))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        env = envs.make("doubling:Doubling", level=2, seed=0)
        (prompt,) = env.reset()[0]
        assert env.step((f"<answer>{2 * int(prompt[2:-1])}</answer>",))[1] == 1
        env.close()
    finally:
        sys.modules.pop("doubling", None)
    (config,) = blocks(PAGE, "yaml")
    options = yaml.safe_load(config)["env"]
    assert envs.make(options.pop("id"), **options).dealer.families.keys() == {"Addition", "Sorting", "Sudoku"}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_head_of_a_file_shows_what_the_family_writes(name):
    """Indented there: a prompt, then the steps by each strategy; and the answer in backticks."""
    task = load(name)
    head = sys.modules[type(task).__module__].__doc__
    shown = [
        "\n".join(line.strip() for line in block.splitlines())
        for block in re.findall(r"(?:^    .+\n)+", head, re.MULTILINE)
    ]
    question = task.understand(shown[0])
    assert shown[1:] == [task.work(question, strategy) for strategy in task.strategies]
    assert f"`{task.answer(question)}`" in head
    assert task.verify(task.completion(question, DIRECT), question).success
