import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from move37.cli import main
from move37.compare import ALL_TASKS, EVALUATION, TRAINING, compare, curve, find_runs, load_trace, to_unit
from move37.errors import UserError
from move37.stats import bootstrap_interval, interquartile_mean

CONFIG = """\
env: {{id: {env}, n: 2}}
agent: {{kind: ppo}}
budget: {{env_steps: 1000}}
"""


def make_run(path: Path, env="CartPole-v1", final=10.0, evaluations=True, records=40, seconds=20.0):
    """A run folder as a training leaves it: returns rise from 0 to `final`; the first is not known yet."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(CONFIG.format(env=env))
    lines = []
    for i in range(1, records + 1):
        line = {"env_steps": 25 * i, "updates": i, "return": final * i / records if i > 1 else None}
        line["time/total"] = seconds * i / records
        if evaluations and i % 20 == 0:
            line["eval/return"] = final * i / records
        lines.append(json.dumps(line))
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def seeds(tmp_path):
    for name, finals in (("a", (10, 12, 14, 30)), ("b", (1, 2, 3))):
        for seed, final in enumerate(finals):
            make_run(tmp_path / name / f"seed-{seed}", final=float(final))
    return tmp_path


def test_a_row_has_the_interquartile_mean_of_its_seeds_and_the_interval(seeds):
    rows, _ = compare([seeds / "a", seeds / "b"])
    assert [(row.group, row.runs) for row in rows] == [("a", 4), ("b", 3)]
    assert rows[0].score == pytest.approx(13.0)
    assert (rows[0].low, rows[0].high) == pytest.approx(bootstrap_interval([[10, 12, 14, 30]]))
    assert rows[0].env_steps == 1000
    assert rows[0].seconds == pytest.approx(20.0)


def test_seed_folders_named_one_by_one_are_one_group(seeds):
    folders = sorted((seeds / "a").iterdir())
    assert find_runs(folders) == {"a": folders}
    assert find_runs([seeds / "a"]) == {"a": folders}
    assert find_runs([*folders, seeds / "a"]) == {"a": folders}


def test_groups_of_the_same_name_are_told_apart(tmp_path):
    one, other = make_run(tmp_path / "x" / "ppo"), make_run(tmp_path / "y" / "ppo")
    assert find_runs([one, other]) == {"x/ppo": [one], "y/ppo": [other]}


def test_a_run_named_in_several_ways_counts_once(seeds, monkeypatch):
    monkeypatch.chdir(seeds / "a")
    assert find_runs(["seed-0", seeds / "a" / "seed-0", "../a/seed-0/"]) == {"a": [seeds / "a" / "seed-0"]}


def test_a_folder_of_different_agents_is_no_group(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path / "runs" / "ppo" / f"seed-{seed}")
    other = make_run(tmp_path / "runs" / "dqn")
    (other / "config.yaml").write_text((other / "config.yaml").read_text().replace("ppo", "dqn"))
    assert {name: len(runs) for name, runs in find_runs([tmp_path / "runs"]).items()} == {"dqn": 1, "ppo": 2}


def test_what_a_score_is_does_not_depend_on_other_tasks(tmp_path):
    one = make_run(tmp_path / "one", final=40.0)
    other = make_run(tmp_path / "other", env="Acrobot-v1", evaluations=False)
    rows, _ = compare([one, other])
    assert [(row.task, row.score, row.basis) for row in rows] == [
        ("CartPole-v1", 40.0, EVALUATION),
        ("Acrobot-v1", pytest.approx((10 + 9.75) / 2), TRAINING),
    ]  # and no row over all tasks: nobody played both


def test_one_run_has_a_score_but_no_interval(tmp_path):
    rows, _ = compare([make_run(tmp_path / "one", final=7.0)])
    assert rows[0].score == 7.0
    assert math.isnan(rows[0].low)


def test_without_evaluations_the_last_training_returns_count(tmp_path):
    rows, _ = compare([make_run(tmp_path / "one", final=40.0, evaluations=False), make_run(tmp_path / "two")])
    assert rows[0].score == pytest.approx((40 + 39) / 2)  # the last 5 % of 40 records


def test_over_several_tasks_each_task_counts_from_its_worst_to_its_best_run(tmp_path):
    for name, scale in (("good", 2.0), ("bad", 1.0)):
        for env, size in (("CartPole-v1", 100.0), ("Acrobot-v1", 1.0)):
            make_run(tmp_path / name / env / "seed-0", env=env, final=scale * size)
    rows, _ = compare([tmp_path / "good", tmp_path / "bad"])
    assert len(rows) == 6
    overall = {row.group: row for row in rows if row.task == ALL_TASKS}
    assert (overall["good"].score, overall["bad"].score) == (1.0, 0.0)
    np.testing.assert_allclose(
        to_unit(np.array([1.0, 3.0, 2.0, 7.0]), ["a", "a", "a", "b"]), [0, 1, 0.5, 0.5]
    )


def test_a_curve_is_the_interquartile_mean_on_a_common_axis(seeds):
    traces = [load_trace(p, "a") for p in sorted((seeds / "a").iterdir())]
    drawn = curve(traces, "env_steps")
    end = interquartile_mean(np.array([t.returns[-2:].mean() for t in traces]))
    assert drawn.x[0] == 25
    assert drawn.x[-1] == 1000
    assert drawn.y[-1] == pytest.approx(end)
    known = np.isfinite(drawn.y)
    assert not known[0]  # no episode had ended yet
    assert (drawn.low[known] <= drawn.y[known]).all()
    assert (drawn.y[known] <= drawn.high[known]).all()


def test_the_command_prints_a_table_and_draws(seeds, capsys):
    out = seeds / "c.png"
    assert main(["compare", str(seeds / "a"), str(seeds / "b"), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "CartPole-v1" in text
    assert "13" in text
    with Image.open(out) as picture:
        assert picture.size[0] > 800
    assert [p.name for p in seeds.iterdir() if p.suffix == ".png"] == ["c.png"]  # nothing left beside


def test_json_is_one_object(seeds, capsys):
    args = ["compare", str(seeds / "a"), str(seeds / "a" / "seed-0"), "--json", "--out", str(seeds / "c.png")]
    assert main(args) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["score"] == pytest.approx(13.0)
    assert len(found["rows"][0]["interval"]) == 2
    assert "low" not in found["rows"][0]


def test_bad_input_is_told(tmp_path, capsys):
    with pytest.raises(UserError, match="no such folder"):
        find_runs([tmp_path / "missing"])
    with pytest.raises(UserError, match="no run in this folder"):
        find_runs([tmp_path])
    run = make_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text("")
    assert main(["compare", str(run), "--out", str(tmp_path / "c.png")]) == 2
    assert "nothing in metrics.jsonl" in capsys.readouterr().err
    (run / "metrics.jsonl").write_text('{"env_steps": "x"}\n')
    assert main(["compare", str(run), "--out", str(tmp_path / "c.png")]) == 2
    assert "'env_steps' is not a number" in capsys.readouterr().err
    for out, why in ((tmp_path / "c.jpg", ".png"), (tmp_path / "nowhere" / "c.png", "no folder")):
        assert main(["compare", str(run), "--out", str(out)]) == 2
        assert why in capsys.readouterr().err


def test_the_legend_names_everyone_whichever_tasks_they_played(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from move37.plots import Curve, save_curves

    told = []
    monkeypatch.setattr(Figure, "legend", lambda self, lines, labels, **options: told.extend(labels))
    line = Curve(*np.arange(12.0).reshape(4, 3))
    panels = [("one", {"env steps": {"ppo": line}}), ("two", {"env steps": {"ppo": line, "dqn": line}})]
    save_curves(tmp_path / "curves.png", panels)
    assert told == ["ppo", "dqn"]
