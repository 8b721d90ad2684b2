"""Runs whose algorithm is RLlib's: what they leave, what can be done with it, what is told of bad input."""

import json

import numpy as np
import pytest

import move37
from move37.cli import main
from move37.errors import UserError
from move37.run import Run
from move37.tournament.play import run_tournament
from tests.move37.runs import Diary

NETWORK = {"fcnet_hiddens": [8, 8]}
SMALL = {"train_batch_size_per_learner": 64, "minibatch_size": 32, "num_epochs": 1, "model_config": NETWORK}
CARTPOLE = {
    "device": "cpu",
    "threads": 1,
    "env": {"id": "CartPole-v1", "n": 4},
    "agent": {"kind": "rllib", "algorithm": "PPO", "config": SMALL},
    "budget": {"env_steps": 300},
    "evaluate": {"every": 200, "episodes": 4},
    "log": {"every": 0},
}
TICTACTOE = CARTPOLE | {
    "env": {"id": "board/TicTacToe-v0", "n": 4},
    "agent": {**CARTPOLE["agent"], "opponent": {"kind": "uct", "simulations": 5}},
    "evaluate": {"every": 200, "episodes": 4, "against": "random"},
}
CUP = """
env: {{id: board/TicTacToe-v0}}
entrants: {{rllib: {{run: {run}}}, random: random, "uct 30": "uct:30"}}
pairs: 4
threads: 1
"""


@pytest.fixture(scope="module")
def ray():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def cartpole(ray, tmp_path_factory):
    diary = Diary()
    return move37.train(CARTPOLE, out=tmp_path_factory.mktemp("runs") / "a", observer=diary), diary


def test_it_leaves_a_run_folder(cartpole):
    run, diary = cartpole
    lines = run.metrics()
    assert {p.name for p in run.path.iterdir()} >= {"config.yaml", "metrics.jsonl", "checkpoints"}
    assert {"last", "best"} <= set(run.checkpoints())
    assert lines[-1]["env_steps"] >= 300
    assert lines[-1]["updates"] == len(lines)
    assert lines[-1]["episodes"] > 0
    assert lines[-1]["return"] == lines[-1]["length"] > 0  # a reward of 1 a step
    assert "rllib/policy_loss" in lines[-1]
    assert any("eval/return" in line for line in lines)
    assert diary.summary["reason"]
    assert not list(run.path.rglob("*.pkl"))


def test_its_last_weights_are_evaluated_as_beside_training(cartpole):
    run, _ = cartpole
    assert run.evaluate(4)["mean_return"] == run.metrics()[-1]["eval/return"]


def test_it_is_watched(cartpole, tmp_path, capsys):
    run, _ = cartpole
    assert main(["watch", str(run.path), "--gif", str(tmp_path / "a.gif")]) == 0
    assert (tmp_path / "a.gif").stat().st_size > 0


def test_it_goes_on_and_says_what_it_lacks(cartpole):
    run, _ = cartpole
    before, diary = run.metrics(), Diary()
    whole = move37.resume(run.path, diary, overrides=["budget.env_steps=600"])
    lines = whole.metrics()
    assert [line["env_steps"] for line in lines[: len(before)]] == [line["env_steps"] for line in before]
    assert np.all(np.diff([line["env_steps"] for line in lines]) > 0)
    assert lines[-1]["env_steps"] >= 600
    assert lines[-1]["episodes"] > before[-1]["episodes"]
    assert any("other games" in text and "replay buffer" in text for text in diary.warnings)


def test_another_run_begins_with_its_weights(cartpole, tmp_path):
    run, _ = cartpole
    config = CARTPOLE | {
        "init": str(run.path),
        "budget": {"env_steps": 64},
        "checkpoint": {"snapshots": 10**6},
    }
    new = move37.train(config, out=tmp_path / "b")
    ours, theirs = (r.agent_at(name).weights() for r, name in ((new, "0"), (run, "last")))
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def test_it_is_entered_in_tournaments(ray, tmp_path):
    run = move37.train(TICTACTOE, out=tmp_path / "t")
    assert run.metrics()[-1]["eval/score"] >= 0
    (tmp_path / "cup.yaml").write_text(CUP.format(run=run.path))
    table = run_tournament(tmp_path / "cup.yaml", out=tmp_path / "cup")
    games = [json.loads(line) for line in (tmp_path / "cup" / "games.jsonl").read_text().splitlines()]
    assert len(games) == 3 * 8
    assert table is not None
    assert Run.load(run.path).match("random", games=4) is not None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["agent.config.gama=0.9"], "agent.config.gama: RLlib's PPO has no 'gama'; did you mean 'gamma'"),
        (["agent.algorithm=A2C"], "agent.algorithm"),
        (["agent.config.num_env_runners=2"], "sampler.workers"),
        (["reward={clip: 1.0}"], "reward"),
        (["reward={env: 0.5}"], "{env: 1.0} is all"),
        (["sampler.workers=2", "sampler.async=true"], "sampler.async has no meaning"),
        (["sampler.pool={every: 10}"], "sampler.pool has no meaning"),
        (["sampler.curriculum={}"], "sampler.curriculum has no meaning"),
        (["sampler.workers=3"], "4 slots (env.n) cannot be shared out evenly to 3 workers"),
        (["agent.opponent={kind: random}"], "CartPole-v1 is not"),
        (["env.id=text/Sorting-v0"], "not text"),
        (["agent.config.train_batch_size_per_learner=10"], "agent"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(ray, tmp_path, overrides, said):
    with pytest.raises(UserError) as told:
        move37.train(CARTPOLE, overrides, out=tmp_path / "run")
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_rllibs_ppo_balances_cartpole(ray, tmp_path):
    run = move37.train(
        "configs/train/rllib_ppo_cartpole.yaml", ["budget.env_steps=120000"], out=tmp_path / "r"
    )
    assert run.evaluate(50, checkpoint="best")["mean_return"] >= 400
