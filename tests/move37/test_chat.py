"""A person and a language model, and what is written down of what models say."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import envs
import move37
from llm_rl.policy import LanguagePolicy
from llm_rl.solver import Solver
from move37.chat import Chat, converse
from move37.cli import main
from move37.evaluate import evaluate
from move37.logs import read_samples
from move37.samples import COUNT, as_sample, deal, markdown
from move37.telling import tell_evaluation
from move37.terminal import Prompt, printable

CONFIG = {
    "seed": 1,
    "threads": 1,
    "env": {"id": "text/Sorting-v0", "n": 8, "level": 1, "split": "train"},
    "agent": {
        "kind": "imitation",
        "student": {"kind": "language", "model": {"size": "XS", "context": 32}, "max_new": 6},
        "expert": {"kind": "solver", "strategies": {"direct": 1.0}},
        "episodes": 8,
    },
    "budget": {"env_steps": 32},
    "evaluate": {"every": 8, "episodes": 10, "explore": True, "env": {"split": "test"}},
    "checkpoint": {"every": 16},
    "log": {"every": 0},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return move37.train(CONFIG, out=tmp_path_factory.mktemp("chat") / "run")


def talk(run, typed, *options, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    code = main(["chat", str(run.path), *options])
    return code, capsys.readouterr()


def solved(id, typed, tries=1, **options):
    """What the solver says to what is typed, and the chat."""
    env, out = envs.make(id, 1, **options), io.StringIO()
    agent = Solver(env.single_observation_space, env.single_action_space)
    chat = Chat(agent, env, explore=True, tries=tries)
    converse(chat, Prompt(io.StringIO(typed), out))
    return out.getvalue().splitlines()[2:], chat


# -- chat ------------------------------------------------------------------------------------------------


def test_any_prompt_is_answered_and_problems_are_judged(run, monkeypatch, capsys):
    code, said = talk(run, "\nsort:ba\nhello\n", "--json", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    first, typed, free = json.loads(said.out)["chat"]
    assert first["problem"].startswith("sort:")
    assert typed["problem"] == "sort:ba"
    assert [one["success"] for one in (first, typed, free)] == [False, False, None]
    lines = said.err.splitlines()
    assert f"Sorting-1: {first['problem']}" in lines
    gold = "".join(sorted(first["problem"].removeprefix("sort:")))
    wrong = [line for line in lines if line.startswith("  wrong: ")]
    assert len(wrong) == 2
    assert wrong[0].endswith(f"right is {gold!r}")
    assert "right is" not in wrong[1]
    assert lines[-1] == "  (not judged)"
    again = talk(run, "\nsort:ba\nhello\n", "--json", monkeypatch=monkeypatch, capsys=capsys)[1]
    assert again.out == said.out


def test_what_cannot_be_answered_is_told_and_the_talk_goes_on(run, monkeypatch, capsys):
    typed = f"h\u00e9llo\n{'a' * 40}\nhello\x1b[2J\nhello"  # the last line has no end
    code, said = talk(run, typed, "--tries", "2", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    told = [line for line in said.out.splitlines() if line.startswith("this cannot be answered: ")]
    assert "'\u00e9' is not in the vocabulary" in told[0]
    assert "leaves no room to answer in the model's context of 32" in told[1]
    assert len(told) == 3
    assert said.out.splitlines()[-1] == "  (not judged)"
    assert "\x1b" not in said.out
    assert said.err == ""


def test_several_tries_are_drawn_and_counted(run, monkeypatch, capsys):
    code, said = talk(run, "\n", "--tries", "3", "--json", monkeypatch=monkeypatch, capsys=capsys)
    found = json.loads(said.out)
    assert code == 0
    assert found["explore"]
    assert len({one["problem"] for one in found["chat"]}) == 1
    assert len({one["completions"][0] for one in found["chat"]}) > 1
    assert "0 of 3 right" in said.err
    other = talk(run, "\n", "--seed", "5", "--json", monkeypatch=monkeypatch, capsys=capsys)[1]
    assert json.loads(other.out)["chat"][0]["problem"] != found["chat"][0]["problem"]


def test_a_right_answer_is_told_as_such():
    lines, chat = solved("text/Addition-v0", "\n12+3=\n", level=2)
    assert lines.count("  right") == 2
    assert chat.heard[1]["completions"][0].endswith("<answer>15</answer>")
    assert any(line.startswith("> <think>") for line in lines)


def test_in_a_task_of_many_turns_the_environment_replies():
    lines, chat = solved("text/Calculator-v0", "\n\n", tries=2)
    assert sum(line.startswith("> <tool>") for line in lines) >= 4
    assert sum(line.startswith("<result>") for line in lines) >= 4
    assert lines.count("2 of 2 right") == 2
    for one in chat.heard:
        assert len(one["completions"]) == len(one["replies"]) + 1
        assert one["success"]


def test_a_break_is_typed_as_two_characters():
    env = envs.make("text/Sudoku-v0", 1, size=4)
    grid = deal(env, 3).opening
    assert "\n" in grid
    typed = grid.replace("\n", "\\n")
    lines, chat = solved("text/Sudoku-v0", f"{typed}\n", size=4)
    assert chat.heard[0]["problem"] == grid
    assert lines[-1] == "  right"


def test_a_run_without_a_language_model_is_one_line(tmp_path, capsys):
    config = {"env": {"id": "CartPole-v1", "n": 2}, "agent": {"kind": "ppo", "n_steps": 8}}
    run = move37.train(config | {"budget": {"env_steps": 16}, "threads": 1}, out=tmp_path / "run")
    assert main(["chat", str(run.path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"move37: {run.path}: plays CartPole-v1, which is no text task: "
        "its policy is no language model to chat with\n"
    )


# -- samples -----------------------------------------------------------------------------------------------


def test_each_evaluation_leaves_samples_of_the_same_problems(run):
    samples = read_samples(run.path / "samples.jsonl")
    by_slot = [[s for s in samples if s["slot"] == slot] for slot in range(COUNT)]
    assert sum(map(len, by_slot)) == len(samples) == 4 * COUNT
    assert [s["env_steps"] for s in by_slot[0]] == [8, 16, 24, 32]
    assert all(len({s["problem"] for s in same}) == 1 for same in by_slot)
    assert len({same[0]["problem"] for same in by_slot}) == COUNT
    assert all(s["error"] and not s["success"] and s["reward"] < 1 for s in samples)
    metrics = run.metrics()[-1]
    assert {"eval/parsed", "eval/invalid", "eval/proved"} <= metrics.keys()


def test_samples_are_on_tensorboard_as_text(run):
    board = EventAccumulator(str(run.path))
    board.Reload()
    assert [f"samples/{i}" for i in range(COUNT)] == sorted(t for t in board.Tags()["tensors"])
    events = board.Tensors("samples/0")
    assert [event.step for event in events] == [8, 16, 24, 32]
    said = events[-1].tensor_proto.string_val[0].decode()
    last = [s for s in read_samples(run.path / "samples.jsonl") if s["slot"] == 0][-1]
    assert said == markdown(last)
    assert all(line.startswith("    ") for line in said.split("\n"))


def test_samples_are_the_evaluations_own_episodes():
    env = envs.make("text/GuessNumber-v0", 4, level=2)
    agent = Solver(env.single_observation_space, env.single_action_space)
    found = evaluate(agent, env, episodes=10)
    samples = found["samples"]
    assert len(samples) == COUNT
    assert [s["reward"] for s in samples] == found["returns"][:COUNT]
    assert all(s["success"] and s["error"] == "" for s in samples)
    assert {reply for s in samples for reply in s["replies"]} == {"higher", "lower"}


def test_a_resumed_run_has_each_sample_once(run, tmp_path):
    begun = tmp_path / "run"
    shutil.copytree(run.path, begun, symlinks=True)
    (begun / "checkpoints" / "last").unlink()
    shutil.rmtree(begun / "checkpoints" / "32")  # as if it had been killed before it was saved
    whole = (begun / "samples.jsonl").read_text()
    (begun / "samples.jsonl").write_text(whole[:-30])  # and while it wrote
    move37.resume(begun)
    assert (begun / "samples.jsonl").read_text() == whole


def test_an_evaluation_tells_each_skill_with_its_interval(capsys):
    env = envs.make("text/Mixed-v0", 8, families={"Sorting": [1, 2], "GuessNumber": 1})
    agent = Solver(env.single_observation_space, env.single_action_space, strategies={"direct": 1.0})
    found = evaluate(agent, env, episodes=40)
    assert found["skills"].keys() == {"Sorting-1", "Sorting-2", "GuessNumber-1"}
    assert sum(skill["episodes"] for skill in found["skills"].values()) == 40
    low, high = found["skills"]["Sorting-1"]["interval"]
    assert found["skills"]["Sorting-1"]["success"] == 1.0
    assert 0.5 < low < 0.95 < high
    assert found["success_interval"] == pytest.approx([0.9124, 1.0], abs=1e-4)  # Wilson's, of 40 of 40
    assert found["parts"]["parsed"] == 1.0
    tell_evaluation(Path("runs/x"), found, "last")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("runs/x: success 100.0% [91.2%, 100.0%], mean return 1 ")
    assert said[2].startswith("parts: parsed 100.0%, steps 0.0%, ")
    assert [line.split()[0] for line in said[3:]] == ["Sorting-1", "Sorting-2", "GuessNumber-1"]


def test_a_run_of_several_skills_logs_each(tmp_path):
    env = {"id": "text/Mixed-v0", "n": 8, "families": {"Sorting": 1, "Reversal": 1}}
    config = CONFIG | {"env": env, "budget": {"env_steps": 8}}
    line = move37.train(config, out=tmp_path / "run").metrics()[-1]
    assert {"eval/success/Sorting-1", "eval/success/Reversal-1"} <= line.keys()
    assert not any(name.startswith("eval/tried") for name in line)


def test_what_was_said_moves_no_cursor():
    assert printable("a\x1b[31mb\r\x07\nc\u2028\ud800é") == "a\\x1b[31mb\\r\\x07\nc\\u2028\\ud800é"
    episode = deal(envs.make("text/Reversal-v0", 1), 0)
    sample = as_sample(episode)
    assert sample["success"] is None
    assert markdown(sample | {"completions": ["# no heading\x1b"]}).endswith("\n    > # no heading\\x1b")


def test_a_model_that_is_asked_twice_says_the_same_alone_and_beside_others():
    env = envs.make("text/Reversal-v0", 1)
    agent = LanguagePolicy(
        env.single_observation_space, env.single_action_space, model={"size": "XS", "context": 32}, max_new=6
    )
    one, other = (Chat(agent, env, explore=False, tries=tries) for tries in (1, 3))
    assert one.complete("reverse:ab") * 3 == other.complete("reverse:ab")
