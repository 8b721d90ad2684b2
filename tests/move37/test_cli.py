import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import move37.cli
from move37.cli import app, main
from move37.errors import RunError

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "train",
    "eval",
    "watch",
    "envs",
    "agents",
    "compare",
    "tournament",
    "passk",
    "rate",
    "gtp",
    "perft",
    "play",
    "moments",
    "chat",
    "study",
    "export",
)
CONFIG = """\
env: {id: CartPole-v1, n: 2}
agent: {kind: ppo, n_steps: 32, minibatch_size: 32, epochs: 1}
budget: {env_steps: 128}
evaluate: {every: 64, episodes: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a config and one trained run, `runs/tiny`."""
    path = tmp_path_factory.mktemp("cli")
    (path / "tiny.yaml").write_text(CONFIG)
    assert main(["train", str(path / "tiny.yaml"), "--out", str(path / "runs" / "tiny")]) == 0
    return path


def command(*arguments, **options):
    """A real process, as a person would start it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "move37", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: move37 {name}" in text
    assert name == "gtp" or "--json" in text
    assert "--debug" in text


def test_help_lists_the_commands_and_is_what_no_arguments_give(capsys):
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in COMMANDS)
    assert "..." not in listed.split("Commands:")[1]  # no line is cut
    assert main([]) == 0
    assert capsys.readouterr().out == listed


def test_help_answers_at_once_and_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'ray', 'rich', 'pydantic', 'gymnasium', 'matplotlib', 'envs'}"
    code = f"import sys; from move37.cli import main; main(['--help']); assert not {heavy} & set(sys.modules)"
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        seconds.append(spent)  # of a core, as others may have them all: 0.1 here
    assert min(seconds) < 0.3


def test_train_tells_how_it_goes_in_plain_lines(folder, capsys):
    run = folder / "runs" / "lines"
    assert main(["train", str(folder / "tiny.yaml"), "agent.lr=1e-3", "--out", str(run)]) == 0
    said = capsys.readouterr()
    assert f"ppo on CartPole-v1 · {run}" in said.out
    assert "128 of 128 steps · 100%" in said.out
    assert f"move37 watch {run}" in said.out
    assert "┤" in said.out  # the curve
    assert "lr: 0.001" in (run / "config.yaml").read_text()
    assert said.err == ""


def test_train_json_is_one_object_on_stdout(folder, capsys):
    run = folder / "runs" / "json"
    assert main(["train", str(folder / "tiny.yaml"), "--out", str(run), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["path"] == str(run)
    assert found["env_steps"] == 128
    assert "eval/return" in found
    assert "128 of 128 steps" in said.err


def test_seeds_are_trained_one_after_another(folder, capsys):
    run = folder / "runs" / "seeds"
    args = ["train", str(folder / "tiny.yaml"), "seeds=[3, 5]", "--out", str(run), "--json"]
    assert main(args) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["path"] for s in found["seeds"]] == [str(run / "seed-3"), str(run / "seed-5")]
    assert main(["compare", str(run), "--out", str(folder / "c.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["runs"] == 2


def test_a_finished_run_goes_on_with_a_larger_budget(folder, capsys):
    run = folder / "runs" / "longer"
    assert main(["train", str(folder / "tiny.yaml"), "--out", str(run)]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", str(run)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out == (
        f"{run} is finished: 128 of 128 env steps; to go on, give it a larger budget, as in "
        "budget.env_steps=256\n"
    )
    assert main(["train", "--resume", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["env_steps"] == 128
    assert main(["train", "--resume", str(run), "budget.env_steps=256", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["env_steps"] == 256


def test_eval_prints_one_object_with_the_mean_and_its_interval(folder, capsys):
    run = folder / "runs" / "tiny"
    assert main(["eval", str(run), "--episodes", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    low, high = found["interval"]
    assert low <= found["mean_return"] <= high
    assert found["episodes"] == 6
    assert found["mean_return"] == pytest.approx(sum(found["returns"]) / 6)
    assert (
        main(["eval", str(run), "--episodes", "6", "--checkpoint", "best", "--explore", "--seed", "3"]) == 0
    )
    assert "6 episodes" in capsys.readouterr().out
    assert main(["eval", str(run), "--episodes", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["interval"] == [None, None]  # of one episode nothing is known
    assert main(["eval", str(run), "--episodes", "1"]) == 0
    said = capsys.readouterr().out
    assert "nan" not in said
    assert "\n1 episode of " in said


def test_watch_in_a_pipe_is_plain_text(folder, capsys):
    run = folder / "runs" / "tiny"
    assert main(["watch", str(run), "--episodes", "2"]) == 0
    text = capsys.readouterr().out
    assert text.count("the end") == 2
    assert "\x1b" not in text
    assert main(["watch", str(run), "--json", "--seed", "4"]) == 0
    assert len(json.loads(capsys.readouterr().out)["returns"]) == 1


def test_watch_records_an_arcade_game(tmp_path, capsys):
    (tmp_path / "game.yaml").write_text(CONFIG.replace("CartPole-v1", "arcade/Breakout-v1"))
    assert main(["train", str(tmp_path / "game.yaml"), "--out", str(tmp_path / "run"), "--json"]) == 0
    gif, mp4 = tmp_path / "game.gif", tmp_path / "game.mp4"
    assert main(["watch", str(tmp_path / "run"), "--gif", str(gif), "--mp4", str(mp4)]) == 0
    assert f"wrote {gif}" in capsys.readouterr().out
    assert gif.read_bytes()[:4] == b"GIF8"
    assert mp4.stat().st_size > 0


def test_lists_have_a_line_each(capsys):
    assert main(["envs", "breakout"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"arcade/Breakout-v1", "ALE/Breakout-v5"} <= {line.split()[0] for line in lines}
    assert main(["envs", "PADDLE"]) == 0
    assert "paddle" not in capsys.readouterr().out.split()[0].lower()  # it is the line that says so
    assert main(["envs", "arcade/*-v1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 6
    assert main(["agents"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= {
        "ppo",
        "dqn",
        "rainbow",
        "random",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ("trian", "train", "--help")),
        (["train"], ("needs a config", "--resume")),
        (["train", "agent.lr=1"], ("needs a config",)),
        (["train", "missing.yaml"], ("missing.yaml", "No such file")),
        (["train", "x.yaml", "--resume", "runs/x"], ("--resume", "CONFIG")),
        (["train", "--out"], ("--out", "requires an argument", "--help")),
        (["eval"], ("RUN", "move37 eval --help")),
        (["eval", "runs/missing"], ("runs/missing", "config.yaml")),
        (["eval", "x", "--episodes", "0"], ("--episodes", "1", "move37 eval --help")),
        (["watch", "x", "--nope"], ("--nope", "move37 watch --help")),
        (["train", ""], ("needs a config",)),
        (["watch", "x", "--mp4", "a.gif"], ("--mp4 a.gif", "must end in .mp4")),
        (["envs", "nothing-like-it"], ("nothing-like-it", "move37 envs")),
        (["compare", "missing"], ("missing",)),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("move37: ")
    assert all(word in said.err for word in words)


def test_a_config_s_mistakes_name_file_key_and_cure(folder, capsys):
    bad = folder / "bad.yaml"
    bad.write_text(CONFIG.replace("minibatch_size", "minibatch_sise").replace("n: 2", "n: two"))
    assert main(["train", str(bad), "--out", str(folder / "bad")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"move37: {bad}: ") for line in lines)
    bad.write_text(CONFIG.replace("minibatch_size", "minibatch_sise"))
    assert main(["train", str(bad), "--out", str(folder / "bad")]) == 2
    assert "did you mean 'agent.minibatch_size'" in capsys.readouterr().err
    assert not (folder / "bad").exists()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RunError("runs/x: it broke"), 1, "runs/x: it broke"),
        (OSError(28, "No space left on device", "runs/x"), 1, "runs/x: No space left on device"),
        (ZeroDivisionError("division by zero"), 1, "ZeroDivisionError: division by zero (--debug"),
        (ValueError("two\nlines"), 1, "ValueError: two lines (--debug"),
    ],
)
def test_failures_are_one_line_and_exit_code_1_unless_debug(error, code, words, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(move37.cli, "_load", fail)
    assert main(["eval", "runs/x"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1
    assert main(["eval", "runs/x", "--debug"]) == code
    said = capsys.readouterr().err
    assert words in said.splitlines()[-1]
    assert said.startswith("Traceback")


def test_a_real_process_has_no_traceback_unless_asked(tmp_path):
    plain = command("eval", tmp_path)
    _, said = plain.communicate(timeout=180)
    assert plain.returncode == 2
    assert said.startswith("move37: ")
    assert "Traceback" not in said
    debug = command("eval", tmp_path, "--debug")
    _, said = debug.communicate(timeout=180)
    assert debug.returncode == 2
    assert "Traceback" in said


def test_a_reader_who_leaves_early_is_no_error():
    listing = command("envs")
    listing.stdout.readline()
    listing.stdout.close()
    said = listing.stderr.read()
    assert listing.wait(timeout=180) == 0
    assert said == ""


def test_ctrl_c_saves_and_says_how_to_go_on(folder):
    run = folder / "runs" / "stopped"
    going = command("train", folder / "tiny.yaml", "budget.env_steps=100_000_000", "--out", run)
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").read_text():
        assert going.poll() is None
        time.sleep(0.05)
    going.send_signal(signal.SIGINT)
    _, said = going.communicate(timeout=180)
    assert going.returncode == 130
    assert said.startswith("move37: stopping after this update; Ctrl-C again stops at once\n")
    assert f"move37 train --resume {run}" in said
    assert "Traceback" not in said
    assert (run / "checkpoints" / "last").is_dir()


def test_version_is_that_of_the_project(capsys):
    tomllib = pytest.importorskip("tomllib")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"move37 {wanted}"


def test_the_app_is_named_for_typer():
    assert app.info.name == "move37"


def test_a_full_disk_is_told_before_runs_are_compared(folder, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("move37.compare.compare", lambda runs: pytest.fail("compared"))
    out = folder / "curves.png"
    assert main(["compare", str(folder / "runs" / "tiny"), "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"move37: {out}: cannot be written: No space left on device\n"
