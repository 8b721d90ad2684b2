"""Files of problems from end to end, with a local folder of random weights: learned from, and examined."""

import json

import numpy as np
import pytest
import torch

import move37
from envs.text import sandbox
from envs.text.files.kinds import open_problems
from envs.text.sandbox import SandboxError
from llm_rl.folder import load_folder, save_folder
from llm_rl.model import LanguageModel, ModelOptions
from llm_rl.tokenizer import CharTokenizer
from move37 import file_exam
from move37.cli import main
from move37.file_exam import Written, judged, log_likelihoods, open_policy
from search.scorecard import wilson_interval
from tests.llm_rl.small_models import logits_of

torch.set_num_threads(1)
TINY = {"layers": 2, "width": 32, "hidden": 64, "heads": 2, "context": 224}
GSM8K = [
    {"question": f"{a} pens and {b} more?", "answer": f"<<{a}+{b}={a + b}>>{a}+{b}={a + b}\n#### {a + b}"}
    for a in range(1, 6)
    for b in range(1, 6)
]
MBPP = [
    {
        "text": f"add {k}",
        "code": f"def f(x):\n    return x+{k}",
        "test_list": [f"assert f(1) == {k + 1}", f"assert f(5) == {k + 5}"],
        "challenge_test_list": [],
        "test_setup_code": "",
    }
    for k in range(1, 9)
]
CHOICE = [
    {"question": f"{a}+1?", "choices": [str(a + 1), str(a + 2), str(a)], "answer": 0, "subject": "ab"[a % 2]}
    for a in range(1, 9)
]
FILES = {"gsm8k": GSM8K, "mbpp": MBPP, "choice": CHOICE}
NEW = {"gsm8k": 60, "mbpp": 60, "choice": 24}


def written(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def characters(*tables):
    return "".join(json.dumps(table) for table in tables) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with random weights, in the Hugging Face layout, that reads the characters of all files."""
    tokenizer = CharTokenizer(characters(*FILES.values()) + "ABCDE<>/.")
    path = tmp_path_factory.mktemp("model") / "tiny"
    save_folder(path, LanguageModel(ModelOptions(vocab=tokenizer.size, **TINY), seed=0), tokenizer)
    return path


def trained(tmp_path, folder, name, lora):
    """A file, and the folder of a run that imitated its solutions and then learned from its verifier."""
    file = written(tmp_path / f"{name}.jsonl", FILES[name])
    env = {"id": "text/Problems-v0", "n": 8, "path": file}
    base = {
        "seed": 0,
        "threads": 1,
        "env": env,
        "log": {"every": 0},
        "evaluate": {"every": 64, "episodes": 2},
    }
    student = {"kind": "language", "model": {"folder": str(folder)}, "max_new": NEW[name]}
    agent = {"kind": "imitation", "student": student, "expert": {"kind": "solver"}, "episodes": 16}
    agent |= {"batch_size": 16, "lr": 3e-3}
    sft = move37.train({**base, "agent": agent, "budget": {"env_steps": 64}}, out=tmp_path / "sft")
    sft.export(tmp_path / "exported")
    model = {"folder": str(tmp_path / "exported"), **lora}
    agent = {"kind": "grpo", "model": model, "max_new": NEW[name], "problems": 2, "group_size": 4}
    run = move37.train(
        {**base, "agent": agent, "reward": {"success": 1.0, "parsed": 0.1}, "budget": {"env_steps": 16}},
        out=tmp_path / "grpo",
    )
    return file, run


def asked(capsys, *arguments):
    """The exit code of `move37 eval`, and what it prints."""
    code = main(["eval", *map(str, arguments)])
    return code, capsys.readouterr()


def told(capsys, *arguments):
    code, said = asked(capsys, *arguments, "--json")
    assert code == 0, said.err
    return json.loads(said.out)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_learned_from_and_examined(name, tmp_path, folder, capsys):
    file, run = trained(tmp_path, folder, name, {"lora": {"rank": 4}})
    assert run.metrics()[-1]["env_steps"] == 16
    found = told(capsys, run.path, "--tasks", file, "--answer", "tags")
    n = len(FILES[name])
    assert (found["problems"], found["tries"], found["explore"]) == (n, 1, False)
    assert found["interval"] == pytest.approx(wilson_interval(round(found["accuracy"] * n), n))
    assert found["invalid"] == found["too_long"] == 0
    prompts = [sample["problem"] for sample in found["samples"]]
    task = open_problems(file)
    assert prompts == [task.question(i).prompt for i in range(8)]
    code, said = asked(capsys, run.path, "--tasks", file, "--answer", "tags")
    assert code == 0
    assert f"of {n} problems of {name}.jsonl" in said.out


class Scripted:
    """Says what it is told to, whatever it is asked; the rest is a policy's."""

    def __init__(self, policy, said, cut=()):
        self.policy, self.told, self.cut = policy, list(said), list(cut)

    def __getattr__(self, name):
        return getattr(self.policy, name)

    def act(self, obs, *, rng, first, explore):
        said, self.told = self.told[: len(obs)], self.told[len(obs) :]
        cut = np.array([text in self.cut for text in said])
        return type("Said", (), {"actions": tuple(said), "fields": {"cut": cut}})()


def scripted(monkeypatch, said, cut=()):
    opened = open_policy

    def open_scripted(*arguments):
        return Scripted(opened(*arguments), said, cut)

    monkeypatch.setattr(file_exam, "open_policy", open_scripted)


def test_each_problem_is_judged_once_in_order_and_summed_up(tmp_path, folder, monkeypatch, capsys):
    file = written(tmp_path / "gsm8k.jsonl", GSM8K[:4])
    right = "<answer>2</answer>", "<answer>9</answer>", "?", "<answer>5</answer>"
    scripted(monkeypatch, right, cut=["?"])
    found = told(capsys, folder, "--tasks", file)
    assert found["accuracy"] == 0.5
    assert found["interval"] == pytest.approx(wilson_interval(2, 4))
    assert (found["parsed"], found["truncated"], found["invalid"]) == (0.75, 0.25, 0.0)
    assert [sample["completions"] for sample in found["samples"]] == [[text] for text in right]
    assert [sample["success"] for sample in found["samples"]] == [True, False, False, True]


def test_the_mean_of_tries(tmp_path, folder, monkeypatch, capsys):
    file = written(tmp_path / "gsm8k.jsonl", GSM8K[:2])
    scripted(monkeypatch, [f"<answer>{x}</answer>" for x in (2, 2, 2, 3, 3, 4, 4, 4)])
    found = told(capsys, folder, "--tasks", file, "--tries", 4)
    assert (found["accuracy"], found["explore"]) == ((3 / 4 + 1 / 4) / 2, True)
    assert found["interval"][0] <= found["accuracy"] <= found["interval"][1]


def test_levels_and_subjects_are_told(tmp_path, folder, monkeypatch, capsys):
    rows = [
        {
            "problem": f"{i}?",
            "solution": f"\\boxed{{{i}}}",
            "level": f"Level {1 + i % 2}",
            "type": "ab"[i // 2],
        }
        for i in range(4)
    ]
    file = written(tmp_path / "math.jsonl", rows)
    scripted(monkeypatch, [f"<answer>{x}</answer>" for x in (0, 9, 2, 3)])
    found = told(capsys, folder, "--tasks", file)
    assert found["accuracy"] == 0.75
    assert {name: one["accuracy"] for name, one in found["levels"].items()} == {"1": 1.0, "2": 0.5}
    assert {name: one["accuracy"] for name, one in found["subjects"].items()} == {"a": 0.5, "b": 1.0}


def test_what_cannot_be_judged_is_not_counted_and_says_which_line(tmp_path):
    rows = [
        {"problem": f"{i}?", "solution": "", "answer": a, "level": 1}
        for i, a in enumerate(("1", "\\frac{1}{"))
    ]
    for row in rows:
        del row["solution"]
    file = written(tmp_path / "math.jsonl", rows)
    written_by_hand = [[Written("<answer>1</answer>")], [Written("<answer>2</answer>")]]
    found = judged(open_problems(file), {"path": file}, written_by_hand, 1)
    assert (found["accuracy"], found["invalid"]) == (1.0, 0.5)
    (fault,) = found["faults"]
    assert "math.jsonl, line 2: math-verify cannot read the answer" in fault


@pytest.mark.parametrize("way", ["tags", "boxed"])
def test_right_answers_that_cannot_be_read_are_told_before_anything_is_asked(
    way, tmp_path, folder, monkeypatch, capsys
):
    answers = ("1", "x+1", "\\zzz{{{", "\\frac{1}{")
    rows = [{"problem": f"{i}?", "answer": answer, "level": 1} for i, answer in enumerate(answers)]
    scripted(monkeypatch, ["no answer"] * 4)
    file = written(tmp_path / "math.jsonl", rows)
    code, said = asked(capsys, folder, "--tasks", file, "--answer", way)
    assert code == 2
    assert said.err == (
        "move37: --tasks: math.jsonl, line 3: math-verify cannot read the answer '\\\\zzz{{{'\n"
    )
    scripted(monkeypatch, ["no answer"] * 2)
    file = written(tmp_path / "math.jsonl", rows[:2])
    assert told(capsys, folder, "--tasks", file, "--answer", way)["accuracy"] == 0


@pytest.mark.parametrize("right", [0, 1])
def test_the_interval_of_tries_that_are_all_alike_is_that_of_problems(
    right, tmp_path, folder, monkeypatch, capsys
):
    file = written(tmp_path / "gsm8k.jsonl", GSM8K[:20])
    answers = [row["answer"].split("#### ")[1] if right else "?" for row in GSM8K[:20]]
    scripted(monkeypatch, [f"<answer>{x}</answer>" for x in answers for _ in range(3)])
    found = told(capsys, folder, "--tasks", file, "--tries", 3)
    assert found["accuracy"] == right
    assert found["interval"] == pytest.approx(wilson_interval(20 * right, 20))
    assert found["interval"][1] - found["interval"][0] > 0.1


@pytest.mark.parametrize("options", [[], ["--format", "programs"]])
def test_programs_that_read_an_input_are_examined(options, tmp_path, folder, monkeypatch, capsys):
    rows = [
        {
            "question": f"print {i}",
            "input_output": json.dumps({"inputs": [""], "outputs": [str(i)]}),
            "solutions": json.dumps([f"print({i})"]),
        }
        for i in (1, 2)
    ]
    monkeypatch.setattr(CharTokenizer, "require", lambda *a: None)
    scripted(monkeypatch, ["print(1)", "print(1)"])
    file = written(tmp_path / "apps.jsonl", rows)
    found = told(capsys, folder, "--tasks", file, "--answer", "code", *options)
    assert (found["accuracy"], found["problems"], found["parsed"]) == (0.5, 2, 1.0)


def test_a_problem_without_room_counts_as_not_solved(tmp_path, folder, monkeypatch, capsys):
    rows = [{"question": "1?" * 200, "answer": "#### 1"}, {"question": "2?", "answer": "#### 2"}]
    scripted(monkeypatch, ["<answer>2</answer>"])
    found = told(capsys, folder, "--tasks", written(tmp_path / "gsm8k.jsonl", rows))
    assert (found["accuracy"], found["too_long"]) == (0.5, 1)


def test_a_sandbox_that_does_not_start_is_told(tmp_path, folder, monkeypatch, capsys):
    def refuse():
        raise SandboxError("programs can be run in a sandbox on Linux only")

    monkeypatch.setattr(sandbox, "shared", refuse)
    scripted(monkeypatch, [f"<answer>{row['code']}</answer>" for row in MBPP])
    code, said = asked(capsys, folder, "--tasks", written(tmp_path / "mbpp.jsonl", MBPP))
    assert code == 1
    assert said.err == "move37: answers cannot be judged: programs can be run in a sandbox on Linux only\n"


def test_the_likeliest_answer_is_the_same_again_and_draws_differ(tmp_path, folder, capsys):
    file = written(tmp_path / "gsm8k.jsonl", GSM8K[:3])

    def say(*options):
        found = told(capsys, folder, "--tasks", file, "--max-new", 12, *options)
        return [sample["completions"] for sample in found["samples"]]

    assert say() == say()
    assert say("--explore") == say("--explore") != say("--explore", "--seed", 5)
    assert say("--explore") != say()


# -- multiple choice -----------------------------------------------------------------------------------------


def plain_scores(folder, pairs):
    """Token by token, each text alone: (log-likelihood, tokens, bytes) of each continuation."""
    model, tokenizer = load_folder(folder)
    found = []
    for context, rest in pairs:
        before, whole = tokenizer.encode(context), tokenizer.encode(context + rest)
        row = torch.tensor([tokenizer.bos, *whole])
        logits = logits_of(model, row.numpy())
        total = 0.0
        for place in range(len(before) + 1, len(row)):
            scores = logits[place - 1].astype(np.float64)
            total += scores[row[place]] - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
        found.append((total, len(row) - 1 - len(before), len(rest.strip().encode())))
    return found


@pytest.mark.parametrize("blank", [False, True])
def test_options_are_scored_as_by_hand(blank, tmp_path, folder, capsys):
    rows = CHOICE
    if blank:
        rows = [
            {
                "sentence": f"{a} and _ are {a + a + 1} or so",
                "option1": str(a + 1),
                "option2": "no",
                "answer": "1",
            }
            for a in range(1, 9)
        ]
    file = written(tmp_path / "choice.jsonl", rows)
    task = open_problems(file)
    right = {"accuracy": 0, "per_token": 0, "per_byte": 0}
    for i, row in enumerate(rows):
        pairs, place = task.alternatives(i)
        if blank:
            begin = f"{i + 1} and "
            end = f" are {2 * i + 3} or so"
            assert pairs == [(begin + row["option1"], end), (begin + "no", end)]
        else:
            assert pairs == [(row["question"], f" {option}") for option in row["choices"]]
        assert place == 0
        scores = np.array(plain_scores(folder, pairs))
        for name, norm in zip(right, (1, scores[:, 1], scores[:, 2])):
            right[name] += int(np.argmax(scores[:, 0] / norm)) == 0
    found = told(capsys, folder, "--tasks", file)
    assert found["by"] == "likelihood"
    assert found["accuracy"] == right["accuracy"] / 8
    assert found["per_token"]["accuracy"] == right["per_token"] / 8
    assert found["per_byte"]["accuracy"] == right["per_byte"] / 8
    assert found["chance"] == pytest.approx(1 / 2 if blank else 1 / 3)
    assert blank or set(found["subjects"]) == {"a", "b"}


def test_examples_are_shown_before_options_and_sentences(tmp_path):
    task = open_problems(written(tmp_path / "a.jsonl", CHOICE), shots=1, template="Q: {question} A:")
    pairs, _ = task.alternatives(0)
    assert pairs[1] == ("Q: 1+1? A: 2\n\nQ: 2+1? A:", " 4")
    blanks = [{"sentence": f"{x} is _.", "option1": "on", "option2": "off", "answer": "2"} for x in "ab"]
    task = open_problems(written(tmp_path / "b.jsonl", blanks), shots=1)
    assert task.alternatives(0) == (
        [("a is off.\n\nb is on", "."), ("a is off.\n\nb is off", ".")],
        1,
    )


def test_log_likelihoods_are_those_of_each_text_alone(tmp_path, folder):
    agent = open_policy(folder)
    pairs = [("1+1?", " 2"), ("1+1?", " 22 or"), ("2", "+1"), ("1" * 230, " 2"), ("3?", " 1")]
    owner = np.array([0, 0, 1, 2, 3])
    totals, tokens, fits = log_likelihoods(agent, pairs, owner, lambda done, of: None)
    expected = plain_scores(folder, [pairs[i] for i in (0, 1, 2, 4)])
    assert totals[[0, 1, 2, 4]] == pytest.approx([total for total, _, _ in expected], abs=1e-4)
    assert tokens[[0, 1, 2, 4]].tolist() == [count for _, count, _ in expected] == [2, 6, 2, 2]
    assert fits.tolist() == [True, True, True, False, True]


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (GSM8K, ["--format", "mbpp"], "--tasks: p.jsonl, line 1: no field 'test_list'"),
        (MBPP, ["--format", "gsm8k"], "this looks like format: mbpp, not gsm8k"),
        (GSM8K, ["--format", "programs"], "p.jsonl, line 1: no tests: it needs the field 'input_output'"),
        (GSM8K, ["--format", "gsm8"], "did you mean 'gsm8k'?"),
        (GSM8K, ["--template", "Q:"], "--template: template must have {question} in it"),
        (GSM8K, ["--shots", "25"], "--shots: shots must be from 0 to 24"),
        (GSM8K, ["--answer", "box"], "--answer: no way to answer 'box'; did you mean 'boxed'?"),
        (GSM8K, ["--answer", "likelihood"], "likelihood is of multiple choice, which p.jsonl is not"),
        (GSM8K, ["--episodes", "3"], "--episodes is not of a file of problems"),
        ([], [], "is empty"),
        (
            [{"question": "é?", "answer": "#### 1"}],
            [],
            "p.jsonl needs characters that the vocabulary lacks: 'é'",
        ),
        (
            [{"question": "1?", "answer": "one"}],
            [],
            "line 1: the field 'answer' must end with #### and a number",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(rows, options, said, tmp_path, folder, capsys):
    file = written(tmp_path / "p.jsonl", rows)
    code, out = asked(capsys, folder, "--tasks", file, *options)
    assert code == 2
    assert said in out.err
    assert len(out.err.splitlines()) == 1


def test_a_path_that_is_none_and_options_without_a_file(tmp_path, folder, capsys):
    code, out = asked(capsys, folder, "--tasks", tmp_path / "no.jsonl")
    assert code == 2
    assert "no.jsonl: No such file or directory" in out.err
    code, out = asked(capsys, folder, "--shots", 3)
    assert code == 2
    assert "--shots is of a file of problems: say which, as in --tasks gsm8k.jsonl" in out.err
    code, out = asked(capsys, tmp_path, "--tasks", written(tmp_path / "p.jsonl", GSM8K))
    assert code == 2
    assert "no run folder" in out.err
