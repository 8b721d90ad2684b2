"""What the documents print works: the Python examples run, links and configs that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def test_the_python_page_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert len(blocks) >= 6
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "docs"}
    for block in blocks:
        exec(block, names)
    assert names["rollout"].shape == (16, 64)
    assert "explained" not in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_files_that_a_page_names_exist(page):
    text = page.read_text()
    links = [x for x in re.findall(r"\]\(([^)#]+)", text) if "://" not in x]
    named = re.findall(r"(?:configs|tests|benchmarks|docs)/[\w./-]+\.(?:ya?ml|py|md|png|gif|jsonl?)", text)
    for link in links:
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for name in named:
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_is_read_and_says_what_to_expect(path):
    from move37.config import load_config

    assert load_config(path).budget
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert path.read_text().startswith("#"), "a config opens with what it shows"
    assert any(re.search(r"\d", line) for line in head), "… how long it takes and the number to expect"
