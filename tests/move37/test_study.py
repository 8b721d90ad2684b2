"""Studies: stages that build on each other, over seeds, stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from move37.errors import UserError
from move37.logs import METRICS, read_metrics
from move37.observer import Observer
from move37.study import load_study, run_study, stage_data

STUDIES = Path(__file__).parents[2] / "configs" / "studies"
STUDY: dict[str, Any] = {
    "seeds": [0, 1],
    "base": {
        "env": {"id": "CartPole-v1", "n": 4},
        "agent": {"kind": "ppo", "n_steps": 8, "minibatch_size": 16, "epochs": 1},
        "budget": {"env_steps": 128},
        "evaluate": {"every": 64, "episodes": 4},
        "log": {"every": 0},
    },
    "stages": {
        "first": {},
        "on": {"init": "first", "agent": {"lr": 1e-4}, "budget": {"env_steps": 96}},
        "anew": {"agent": {"kind": "ppo", "n_steps": 16, "minibatch_size": 32}},
    },
    "plots": [
        {"title": "return", "y": "eval/return"},
        {"title": "gain", "kind": "gain", "y": "eval/return"},
        {"title": "two", "x": "seconds", "y": {"best": "eval/high", "worst": "eval/low"}, "stages": ["on"]},
    ],
}


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False))
    return file


def test_a_stage_goes_on_top_of_the_base_but_an_agent_of_its_own_kind_replaces_it(tmp_path):
    study = load_study(write(tmp_path))
    assert stage_data(study, "on")["agent"] == {**STUDY["base"]["agent"], "lr": 1e-4}
    assert stage_data(study, "anew")["agent"] == STUDY["stages"]["anew"]["agent"]


def test_stages_are_run_once_a_seed_and_told_in_rows_and_a_picture(tmp_path):
    file, out = write(tmp_path), tmp_path / "out"
    told = run_study(file, out)
    assert [(row["stage"], row["seed"]) for row in told["stages"]] == [
        (stage, seed) for stage in STUDY["stages"] for seed in STUDY["seeds"]
    ]
    for row in told["stages"]:
        last = read_metrics(out / row["stage"] / f"seed-{row['seed']}" / METRICS)[-1]
        assert row["env_steps"] == last["env_steps"]
        assert row["eval/return"] == pytest.approx(last["eval/return"], abs=1e-4)
    assert json.loads((out / "study.json").read_text()) == told
    assert (out / "study.png").read_bytes()[:4] == b"\x89PNG"
    # a second time trains nothing
    before = {path: path.read_text() for path in out.rglob(METRICS)}
    assert run_study(file, out) == told
    assert {path: path.read_text() for path in out.rglob(METRICS)} == before


def test_a_stage_begins_with_the_weights_that_its_init_ended_with(tmp_path):
    changes = {
        "seeds": [3],
        "stages": {
            "first": {"budget": {"env_steps": 512}, "agent": {"lr": 0.02}},
            "same": {"init": "first", "agent": {"lr": 0.0}},
        },
    }
    out = tmp_path / "out"
    run_study(write(tmp_path, plots=STUDY["plots"][:1], **changes), out)
    first, same = (read_metrics(out / stage / "seed-3" / METRICS) for stage in ("first", "same"))
    scores = [[r["eval/return"] for r in records if "eval/return" in r] for records in (first, same)]
    assert set(scores[1]) == {scores[0][-1]} != {scores[0][0]}


def test_the_expert_of_a_stage_may_be_what_a_stage_before_it_learned(tmp_path):
    ppo = {"kind": "ppo", "n_steps": 8, "minibatch_size": 16, "epochs": 1}
    clone = {"kind": "imitation", "student": ppo, "expert": {"run": "first"}, "n_steps": 8}
    stages = {"first": {}, "clone": {"agent": clone}}
    out = tmp_path / "out"
    run_study(write(tmp_path, seeds=[0], stages=stages, plots=STUDY["plots"][:1]), out)
    saved = yaml.safe_load((out / "clone" / "seed-0" / "config.yaml").read_text())
    assert saved["agent"]["expert"]["run"] == str(out / "first" / "seed-0")


def test_a_study_that_was_stopped_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    file = write(tmp_path, seeds=[0], plots=STUDY["plots"][:2])
    whole = run_study(file, tmp_path / "whole")
    from move37 import loop

    turn, turns = loop.Session.turn, 0

    def stops(session: Any) -> None:
        nonlocal turns
        turns += 1
        if turns == 6:  # in the second stage
            raise KeyboardInterrupt
        turn(session)

    monkeypatch.setattr(loop.Session, "turn", stops)
    with pytest.raises(KeyboardInterrupt):
        run_study(file, tmp_path / "cut")
    monkeypatch.setattr(loop.Session, "turn", turn)
    again = run_study(file, tmp_path / "cut")
    for row, other in zip(whole["stages"], again["stages"], strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }


def test_a_line_goes_on_where_the_stage_before_it_ended(tmp_path):
    from move37.study import _line

    file, out = write(tmp_path, seeds=[0]), tmp_path / "out"
    run_study(file, out)
    study = load_study(file)
    x, y = _line(study, "env_steps", "on", "eval/return", 0, out)
    earlier_x, earlier_y = _line(study, "env_steps", "first", "eval/return", 0, out)
    assert (x[0], y[0]) == (earlier_x[-1], earlier_y[-1])
    assert (np.diff(x) > 0).all()
    nowhere = _line(study, "env_steps", "on", "no_metric_of_the_first", 0, out)
    assert len(nowhere[0]) == 0
    lr, _ = _line(study, "env_steps", "on", "grad_norm", 0, out)
    assert lr[1] > 128
    assert x[-1] == 128 + 96


def test_a_metric_that_a_stage_does_not_have_is_told_and_left_out(tmp_path):
    class Hears(Observer):
        heard: list[str] = []  # noqa: RUF012

        def warn(self, text):
            self.heard.append(text)

    plots = [
        {"title": "none", "y": "eval/sucess", "stages": ["on"]},
        {"title": "no gain", "kind": "gain", "y": "eval/sucess"},
        STUDY["plots"][0],
    ]
    run_study(write(tmp_path, seeds=[0], plots=plots), tmp_path / "out", Hears())
    assert (tmp_path / "out" / "study.png").is_file()
    assert "plot 'none': on has no eval/sucess to draw" in Hears.heard
    assert "plot 'no gain': on has no eval/sucess to draw" in Hears.heard


def test_a_study_goes_on_however_its_folder_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, seeds=[0])
    told = run_study(file, Path("out"))
    assert run_study(file, tmp_path / "out") == told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages": {}}, "stages: "),
        ({"stages": {"a b": {}}}, "no name for a folder"),
        ({"stages": {"a": {"init": "b"}, "b": {}}}, "'b' does not come before it"),
        (
            {
                "stages": {
                    "a": {
                        "agent": {
                            "kind": "imitation",
                            "student": {"kind": "ppo"},
                            "n_steps": 8,
                            "expert": {"run": "b"},
                        }
                    },
                    "b": {},
                }
            },
            "a.agent.expert.run: 'b' does not",
        ),
        ({"stages": {"a": {"agent": {"lrr": 1}}}}, "stages.a: agent.lrr: unknown key; did you mean"),
        ({"plots": [{"title": "t", "stages": ["x"]}]}, "no stage 'x'; there are first, on, anew"),
        ({"plots": [{"title": "t", "kind": "pie"}]}, "plots.0.kind"),
        ({"stage": {}}, "stage: unknown key; did you mean 'stages'"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(tmp_path, changes, said):
    with pytest.raises(UserError, match=said):
        load_study(write(tmp_path, **changes))


def test_a_stage_that_was_made_by_another_config_is_not_gone_on_with(tmp_path):
    out = tmp_path / "out"
    run_study(write(tmp_path, seeds=[0]), out)
    base = STUDY["base"] | {"budget": {"env_steps": 256}}
    with pytest.raises(UserError, match="was made by another config"):
        run_study(write(tmp_path, seeds=[0], base=base), out)


def test_what_the_stages_can_do_is_tried_after_them(tmp_path):
    tried = {
        "env": {"id": "CartPole-v1"},
        "problems": {"all": {"count": 3}},
        "policies": {"first": "first", "early": {"run": "on", "checkpoint": "96"}, "random": "random"},
        "samples": 8,
        "success": 20.0,
    }
    stages = {name: STUDY["stages"][name] for name in ("first", "on")}
    file, out = write(tmp_path, stages=stages, plots=[], passk={"curves": tried}), tmp_path / "out"
    told = run_study(file, out)
    assert json.loads((out / "study.json").read_text()) == told
    one = told["passk"]["curves"]["sets"]["all"]
    assert told["passk"]["curves"]["seeds"] == [0, 1]
    for place, seed in enumerate((0, 1)):
        alone = json.loads((out / "passk" / "curves" / f"seed-{seed}" / "passk.json").read_text())
        for policy, curves in one["policies"].items():
            assert curves["pass"][place] == alone["sets"]["all"]["policies"][policy]["pass"]["value"]
        assert (
            one["crossovers"]["early"][str(seed)]
            == alone["sets"]["all"]["against_base"]["early"]["crossover"]
        )
    assert (out / "passk_curves.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(UserError, match="needs plots or passk"):
        load_study(write(tmp_path, plots=[]))


def test_code_that_a_stages_folder_names_needs_trust(tmp_path):
    base = {
        "env": {"id": "tests.toys:Walk", "n": 4},
        "agent": {"kind": "ppo", "n_steps": 8, "minibatch_size": 16, "epochs": 1},
        "budget": {"env_steps": 64},
    }
    tried = {
        "env": {"id": "tests.toys:Walk"},
        "problems": {"all": {"count": 2}},
        "policies": {"first": "first"},
        "samples": 4,
    }
    one: dict[str, Any] = {"seeds": [0], "base": base, "stages": {"first": {}}, "plots": []}
    file, out = write(tmp_path, **one, passk={"curves": tried}), tmp_path / "out"
    with pytest.raises(UserError, match="--trust"):
        run_study(file, out)
    told = run_study(file, out, trust=True)
    assert told["passk"]["curves"]["sets"]["all"]["problems"] == 2


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_ours_fits_and_says_what_it_shows(path):
    assert path.read_text().startswith("# ")
    assert load_study(path).plots
