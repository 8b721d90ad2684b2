"""`python -m envs.text.check`: a family of one's own, checked from the shell."""

import subprocess
import sys

import pytest

from envs.text.check import main

TOYS = "tests.envs.text.toy_tasks"


def test_a_sound_family_holds(capsys):
    assert main([f"{TOYS}:Double", "--problems", "20"]) == 0
    assert capsys.readouterr().out == "Doubling: holds on 20 problems, levels 1 to 2\n"


def test_a_flaw_is_told_in_a_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_families.py").write_text(
        f"from {TOYS} import Double\n"
        "class Generous(Double):\n"
        "    def check(self, answer, question):\n"
        "        from envs.text.task import Verdict\n"
        "        return Verdict(1.0, True, True)\n"
        "class Broken(Double):\n"
        "    def answer(self, question):\n"
        "        return 1 / 0\n"
        "def anything(answer, question):\n"
        "    return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["own_families:Generous", "--problems", "20"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Doubling: the wrong answer ")
    assert main(["own_families:Broken", "--problems", "20"]) == 1
    assert "raises ZeroDivisionError" in capsys.readouterr().out
    assert main([f"{TOYS}:Double", "--problems", "20", "--right", "own_families:anything"]) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Additon", "no family of text tasks 'Additon'; did you mean"),
        ("nowhere:Task", "no module named 'nowhere'"),
        (f"{TOYS}:Nothing", "has no 'Nothing'"),
        ("collections:OrderedDict", "made a OrderedDict, not an envs.text.task.Task"),
    ],
)
def test_what_is_no_family_is_told(name, said, capsys):
    assert main([name]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert said in err
    assert err.count("\n") == 1


def test_it_is_a_command():
    command = [sys.executable, "-m", "envs.text.check", "Parity", "--problems", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Parity: holds")
