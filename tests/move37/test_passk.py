"""pass@k experiments: what is sampled, that nothing is lost, and what is told."""

from __future__ import annotations

import json
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from move37.cli import main
from move37.errors import UserError
from move37.passk import report, sampling
from move37.passk import run as run_module
from move37.passk.run import run_passk
from move37.passk.watch import Watcher

CONFIG: dict[str, Any] = {
    "env": {"id": "text/Addition-v0", "level": 3},
    "problems": {
        "train": {"count": 6, "env": {"split": "train"}},
        "new": {"count": 5, "env": {"split": "test"}},
    },
    "policies": {
        "coin": {"player": "tests.tryers:Coin", "options": {"right": 0.3}},
        "stubborn": {"player": "tests.tryers:Stubborn"},
    },
    "samples": 32,
    "threads": 1,
}
Plain = dict[str, Any]


@pytest.fixture(autouse=True)
def _quick(monkeypatch, request):
    monkeypatch.setattr(sampling, "TRIES", 16)
    monkeypatch.setattr(sampling, "EPISODES", 48)
    monkeypatch.setattr(report, "REFITS", 4)
    if "curves" not in request.node.name:
        monkeypatch.setattr(run_module, "draw", lambda folder, told: [])


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "experiment.yaml"
    file.write_text(json.dumps(CONFIG | changes))  # which is YAML too
    return file


def run(folder: Path, out: str = "out", watcher: Watcher | None = None, **changes: Any) -> Plain:
    return run_passk(write(folder, **changes), out=folder / out, watcher=watcher)


def samples(folder: Path) -> dict[str, Plain]:
    """Every part's columns; those of no number as None, so that equal ones are equal."""
    parts = sorted((folder / "samples").glob("*.parquet"))
    return {path.name: _plain(pq.read_table(path).to_pydict()) for path in parts}


def _plain(table: Plain) -> Plain:
    return {name: [None if x != x else x for x in column] for name, column in table.items()}


def exact(n: int, c: int, k: int) -> float:
    return float(1 - Fraction(comb(n - c, k), comb(n, k)))


def test_every_policy_tries_every_problem_and_the_curves_are_those_of_the_samples(tmp_path):
    told = run(tmp_path)
    rows = samples(tmp_path / "out")
    assert len(rows) == 2 * 2 * 2 * 2  # sets, policies, halves of the problems, halves of the tries
    for name, size in (("train", 6), ("new", 5)):
        one = told["sets"][name]
        assert one["problems"] == size
        assert one["k"] == [1, 2, 4, 8]
        for policy in CONFIG["policies"]:
            mine = [table for file, table in rows.items() if file.startswith(f"part-{policy}-{name}-")]
            tries = {
                (p, t): s
                for table in mine
                for p, t, s in zip(table["problem"], table["try"], table["success"])
            }
            assert sorted(tries) == [(p, t) for p in range(size) for t in range(32)]
            counts = [sum(tries[p, t] for t in range(32)) for p in range(size)]
            curve = [np.mean([exact(32, c, k) for c in counts]) for k in one["k"]]
            np.testing.assert_allclose(one["policies"][policy]["pass"]["value"], curve, atol=1e-12)
            assert one["policies"][policy]["rates"] == pytest.approx([c / 32 for c in counts], abs=1e-6)
    coin, stubborn = (told["sets"]["train"]["policies"][name] for name in CONFIG["policies"])
    assert 0.15 < coin["pass"]["value"][0] < 0.45  # 0.3, of 192 tries
    assert set(stubborn["rates"]) <= {0.0, 1.0}
    assert coin["proved"]["value"] == coin["pass"]["value"]  # it shows its work whenever it is right
    np.testing.assert_allclose(coin["majority"]["value"][0], coin["pass"]["value"][0], atol=0.05)
    assert (tmp_path / "out" / "passk.png").read_bytes()[:4] == b"\x89PNG"
    saved = json.loads((tmp_path / "out" / "passk.json").read_text())
    assert saved == {k: v for k, v in told.items() if k != "figures"}


def test_problems_are_different_of_their_split_and_the_same_for_all(tmp_path):
    run(tmp_path, problems={name: one | {"count": 40} for name, one in CONFIG["problems"].items()}, samples=4)
    known = json.loads((tmp_path / "out" / "problems.json").read_text())
    train, new = ({p["name"] for p in known[name]} for name in ("train", "new"))
    assert len(train) == len(new) == 40
    assert not train & new
    seeds = [
        {s for file, t in samples(tmp_path / "out").items() if f"-{policy}-train-" in file for s in t["seed"]}
        for policy in CONFIG["policies"]
    ]
    assert seeds[0] == seeds[1] == {p["seed"] for p in known["train"]}


def test_tries_of_a_problem_differ_between_parts_and_policies(tmp_path):
    policies = {name: dict(CONFIG["policies"]["coin"], options={"right": 0.3}) for name in ("one", "other")}
    run(tmp_path, policies=policies)
    said = {}
    for file, table in samples(tmp_path / "out").items():
        policy, name, _, j = file.removesuffix(".parquet").split("-")[1:]
        for p, completion in zip(table["problem"], table["completion"]):
            said.setdefault((policy, name, p), {}).setdefault(j, []).append(completion[0])
    lists = [tuple(texts) for parts in said.values() for texts in parts.values()]
    assert len(set(lists)) == len(lists)


def test_a_run_that_was_stopped_goes_on_to_the_same_samples_and_numbers(tmp_path):
    class Stops(Watcher):
        parts = 0

        def sampled(self, part, columns):
            self.parts += 1
            if self.parts == 5:
                raise KeyboardInterrupt

    whole = run(tmp_path, "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "cut", Stops())
    assert len(samples(tmp_path / "cut")) == 5
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "samples").glob("*.parquet")}
    told = run(tmp_path, "cut")
    assert {path: path.stat().st_mtime_ns for path in before} == before  # what was there is not made again
    assert samples(tmp_path / "cut") == samples(tmp_path / "whole")
    assert told["sets"] == whole["sets"]


def test_more_tries_are_added_to_those_that_are_there(tmp_path):
    run(tmp_path, samples=16)
    few = samples(tmp_path / "out")
    told = run(tmp_path, samples=48)
    more = samples(tmp_path / "out")
    assert {name: more[name] for name in few} == few
    assert told["sets"]["train"]["policies"]["coin"]["samples"] == 6 * 48


@pytest.mark.parametrize("steps", [(5, 8), (16, 24, 80)])
def test_any_number_of_tries_may_grow_but_not_shrink(tmp_path, steps):
    one = {"new": CONFIG["problems"]["new"]}
    for count in steps:
        told = run(tmp_path, samples=count, problems=one)
    tables = [t for f, t in samples(tmp_path / "out").items() if "-coin-" in f]
    tried = sorted((p, t) for table in tables for p, t in zip(table["problem"], table["try"]))
    assert tried == [(p, t) for p in range(5) for t in range(steps[-1])]
    assert told["sets"]["new"]["policies"]["coin"]["samples"] == 5 * steps[-1]
    with pytest.raises(UserError, match=f"there are {steps[-1]} tries at each problem already"):
        run(tmp_path, samples=steps[0], problems=one)


def test_tries_that_were_asked_for_and_never_made_are_in_nobodys_way(tmp_path):
    one: Plain = {"problems": {"new": CONFIG["problems"]["new"]}}
    run(tmp_path, samples=16, **one)
    few = samples(tmp_path / "out")
    with pytest.raises(UserError, match="seed was 0, is 1"):
        run(tmp_path, samples=64, seed=1, **one)
    run(tmp_path, samples=16, **one)
    assert samples(tmp_path / "out") == few


def test_another_base_is_not_taken_for_the_one_that_was_asked(tmp_path):
    model = {"player": "language", "options": {"model": {"size": "XS", "context": 64}, "max_new": 8}}
    warm = json.loads(json.dumps(model))
    warm["options"]["temperature"] = 2.0
    both: Plain = {"policies": {"cold": model, "warm": warm}, "problems": {"new": {"count": 2}}, "samples": 8}
    run(tmp_path, **both)
    with pytest.raises(UserError, match=r"reference\.base was cold, is warm"):
        run(tmp_path, **both, base="warm")
    with pytest.raises(UserError, match=r"reference\.tries was 8, is 4"):
        run(tmp_path, **both, reference=4)


def test_one_problem_has_curves_and_no_crossover(tmp_path):
    told = run(tmp_path, problems={"new": {"count": 1}}, samples=8)
    found = told["sets"]["new"]["against_base"]["stubborn"]["crossover"]
    assert found["k"] is None
    assert found["said"] == "one problem tells no crossover"


def test_workers_sample_the_same(tmp_path):
    import ray

    alone = run(tmp_path, "alone", problems={"new": CONFIG["problems"]["new"]})
    try:
        spread = run(tmp_path, "spread", problems={"new": CONFIG["problems"]["new"]}, workers=2)
    finally:
        ray.shutdown()
    assert samples(tmp_path / "spread") == samples(tmp_path / "alone")
    assert spread["sets"] == alone["sets"]


# -- what is wrong -----------------------------------------------------------------------------------------


def test_a_part_that_is_damaged_is_sampled_again(tmp_path, capsys):
    run(tmp_path)
    good = samples(tmp_path / "out")
    torn = sorted((tmp_path / "out" / "samples").glob("*.parquet"))[3]
    torn.write_bytes(torn.read_bytes()[:100])
    run(tmp_path)
    assert f"{torn}: is damaged; it is sampled again" in capsys.readouterr().err
    assert samples(tmp_path / "out") == good


def test_a_part_that_is_damaged_inside_is_named(tmp_path):
    run(tmp_path)
    torn = sorted((tmp_path / "out" / "samples").glob("*.parquet"))[3]
    whole = bytearray(torn.read_bytes())
    column = pq.ParquetFile(torn).metadata.row_group(0).column(0)
    for place in range(4, column.total_compressed_size):
        whole[place] ^= 0x55
    torn.write_bytes(bytes(whole))
    with pytest.raises(UserError, match="is damaged; without it, the same command samples it again") as error:
        run(tmp_path)
    assert str(torn) in str(error.value)
    torn.unlink()
    run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"env": {"id": "text/Addition-v0", "level": 4}}, "env.level was 3, is 4"),
        (
            {"policies": {"coin": {"player": "tests.tryers:Coin", "options": {"right": 0.4}}}},
            "policy.options.right was 0.3, is 0.4",
        ),
    ],
)
def test_samples_of_another_config_are_not_taken_for_this_ones(tmp_path, changes, said):
    run(tmp_path)
    with pytest.raises(UserError, match="was sampled otherwise") as error:
        run(tmp_path, **changes)
    assert said in str(error.value)
    assert ".parquet" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"k": [64]}, "k must be from 1 to samples (32), not [64]"),
        ({"base": "nobody"}, "base: no policy 'nobody'; there are coin, stubborn"),
        ({"samples": 1}, "samples: must be greater than or equal to 2"),
        ({"policies": {"a/b": "solver"}}, "'a/b' is no name for a file"),
        ({"policies": {"one": {"player": "solver", "run": "runs/x"}}}, "must have either run or player"),
        ({"policies": {"one": "runs/nowhere"}}, "policies.one: runs/nowhere: no run folder"),
        ({"policies": {"one": "solwer"}}, "policies.one: unknown agent 'solwer'; did you mean 'solver'?"),
        ({"policies": {"one": "grpo"}}, "policies.one: 'grpo' would begin untrained"),
        ({"env": {"id": "CartPole-v1"}, "problems": {"all": {"count": 2}}}, "has no notion of success"),
        (
            {"env": {"id": "board/TicTacToe-v0"}, "problems": {"all": {"count": 2}}},
            "give against, such as uct:100",
        ),
        ({"against": "random"}, "against: text/Addition-v0 has one seat"),
        (
            {"problems": {"all": {"count": 2, "puzzles": "middle-easy"}}},
            "positions and puzzles are of board games",
        ),
        (
            {"env": {"id": "text/Addition-v0", "level": 1}, "problems": {"all": {"count": 200}}},
            "only 55 different",
        ),
        ({"sample": 3}, "unknown key; did you mean 'samples'?"),
    ],
)
def test_what_does_not_fit_is_one_line_that_says_where(tmp_path, changes, said, capsys):
    code = main(["passk", str(write(tmp_path, **changes)), "--out", str(tmp_path / "out")])
    told = capsys.readouterr().err
    assert code == 2, told
    assert said in told
    assert len(told.splitlines()) == 1
    assert "experiment.yaml" in told


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no pass@k experiment"):
        run(tmp_path)


def test_warnings_stand_with_the_curves(tmp_path):
    told = run(tmp_path, k=[1, 16], problems={"new": CONFIG["problems"]["new"]})
    said = told["sets"]["new"]["warnings"]
    assert "coin: at k=16 and beyond there are fewer than 4 k tries: noisy" in said
    told = run(
        tmp_path,
        "guessed",
        env={"id": "text/Parity-v0", "level": 3},
        problems={"new": {"count": 5, "env": {"split": "test"}}},
        policies={"coin": CONFIG["policies"]["coin"]},
    )
    assert "from k=1 on guessing alone has half of the base's pass@k" in told["sets"]["new"]["warnings"]


def test_a_verifier_that_errs_is_told(tmp_path):
    noisy = {"id": "text/Addition-v0", "level": 3, "noise": {"right": 0.3}}
    told = run(tmp_path, env=noisy, policies={"solver": "solver"}, problems={"new": {"count": 5}})
    one = told["sets"]["new"]
    assert 0.5 < one["policies"]["solver"]["pass"]["value"][0] < 0.9
    assert "solver: its verifier errs (noise); in truth 100.0% of its tries are right" in one["warnings"]
    assert "solver: all of its tries at a problem are alike: it has one try, not k" in one["warnings"]


# -- other environments --------------------------------------------------------------------------------------


def test_a_return_may_count_as_success(tmp_path):
    told = run(
        tmp_path,
        env={"id": "CartPole-v1"},
        problems={"all": {"count": 4}},
        policies={"random": "random"},
        success=20.0,
    )
    table = samples(tmp_path / "out")["part-random-all-0-0.parquet"]
    assert [r >= 20 for r in table["return"]] == table["success"]
    assert 0 < told["sets"]["all"]["policies"]["random"]["pass"]["value"][0] < 1


def test_puzzles_are_won_by_who_plays_perfectly_from_the_movers_seat(tmp_path):
    told = run(
        tmp_path,
        env={"id": "board/ConnectFour-v0"},
        against="perfect",
        problems={"puzzles": {"count": 6, "puzzles": "end-easy"}},
        policies={"random": "random", "perfect": "perfect"},
        samples=8,
    )
    one = told["sets"]["puzzles"]["policies"]
    assert one["perfect"]["pass"]["value"][0] == 1.0
    assert one["random"]["pass"]["value"][0] < 1.0


def test_the_bases_log_probability_is_its_own(tmp_path):
    model = {"player": "language", "options": {"model": {"size": "XS", "context": 64}, "max_new": 8}}
    warm = {"player": "language", "options": model["options"] | {"temperature": 2.0}}
    told = run(tmp_path, policies={"base": model, "warm": warm}, problems={"new": {"count": 3}}, reference=4)
    for file, table in samples(tmp_path / "out").items():
        seen = [
            (t, own, base) for t, own, base in zip(table["try"], table["log_prob"], table["base_log_prob"])
        ]
        assert all((base is None) == (t >= 4) for t, _, base in seen)
        apart = [abs(own - base) for t, own, base in seen if t < 4]
        if apart:
            assert max(apart) < 1e-3 if "-base-" in file else max(apart) > 1e-2
    odd = told["sets"]["new"]["against_base"]["warm"]["perplexity_under_base"]
    assert odd["wrong"] > 1
    assert "warm was sampled with temperature 2 (the base: 1)" in told["sets"]["new"]["warnings"]


def test_what_always_does_the_same_is_told_to_have_one_try(tmp_path):
    options = {"model": {"size": "XS", "context": 64}, "max_new": 8}
    greedy = {"player": "language", "options": options, "explore": False}
    told = run(tmp_path, policies={"greedy": greedy}, problems={"new": {"count": 3}})
    said = told["sets"]["new"]["warnings"]
    assert "greedy: all of its tries at a problem are alike: it has one try, not k" in said


# -- samples of others ---------------------------------------------------------------------------------------


def test_samples_that_others_made_give_their_numbers(tmp_path, capsys):
    rng = np.random.default_rng(0)
    right = rng.random((12, 40)) < rng.random((12, 1))
    human_eval = tmp_path / "base.jsonl"  # a line a try, as human-eval's results
    lines = [
        {"task_id": f"T/{i}", "passed": bool(x), "completion": ""} for i, row in enumerate(right) for x in row
    ]
    human_eval.write_text("".join(json.dumps(line) + "\n" for line in lines))
    better = right | (rng.random(right.shape) < 0.2)
    monkeys = tmp_path / "trained.jsonl"  # a line a problem, with all of its verdicts
    lines = [{"problem": f"T/{i}", "is_corrects": row.tolist()} for i, row in enumerate(better)]
    monkeys.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["passk", str(human_eval), str(monkeys), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["sets"]["all"]
    for name, verdicts in (("base", right), ("trained", better)):
        for place, k in enumerate(told["k"]):  # human-eval's own formula
            n, counts = 40, verdicts.sum(axis=1)
            each = [1.0 if n - c < k else 1 - np.prod(1 - k / np.arange(n - c + 1, n + 1)) for c in counts]
            assert told["policies"][name]["pass"]["value"][place] == pytest.approx(np.mean(each), abs=1e-12)
    assert told["k"] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"problem": 1, "correct": true}\n{"problem": 1', "line 2: is no JSON"),
        ('{"correct": true}', "line 1: has no problem"),
        ('{"problem": 1}', "line 1: has no verdict"),
        ('{"problem": 1, "correct": "yes"}', "line 1: correct must be true or false, not 'yes'"),
        ("[1]", "line 1: a sample is a mapping"),
        ("", "holds no samples"),
    ],
)
def test_lines_that_are_no_samples_are_named(tmp_path, text, said, capsys):
    file = tmp_path / "samples.jsonl"
    file.write_text(text)
    assert main(["passk", str(file)]) == 2
    assert said in capsys.readouterr().err


def test_files_of_different_problems_are_not_compared(tmp_path, capsys):
    for name, problems in (("one", (1, 2, 3)), ("two", (1, 2, 4))):
        lines = [json.dumps({"problem": p, "correct": True}) for p in problems]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    assert main(["passk", str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")]) == 2
    assert (
        "two and one tried different problems: 2 have one alone ('3' only one tried)"
        in capsys.readouterr().err
    )
