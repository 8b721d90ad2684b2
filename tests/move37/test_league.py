"""Training against a pool: resumed exactly, told in metrics, refused where it makes no sense."""

import re

import numpy as np
import pytest
import yaml
from gymnasium.spaces import Discrete

import move37
from agents.random import Random
from move37 import build
from move37.checkpoint import CheckpointFolder
from move37.errors import RunError, UserError
from move37.league import rating
from move37.study import load_study, run_study
from rollouts.fleet import Fleet
from rollouts.pool import Pool
from tests.move37.runs import Diary, plain
from tests.move37.test_resume import same

SMALL = {"kind": "grid", "channels": 4, "hidden": 16}
PPO = {"kind": "ppo", "n_steps": 8, "minibatch_size": 32, "epochs": 1, "lr": 3e-3, "network": SMALL}
DQN = {
    "kind": "dqn",
    "batch_size": 16,
    "learning_starts": 64,
    "replay_ratio": 2,
    "replay_capacity": 300,
    "collect_steps": 8,
    "epsilon": {"steps": 300},
    "network": SMALL,
}
POOL = {"every": 80, "keep": 2, "self": 0.3, "choose": "squared"}


def config(agent=PPO, pool=POOL, **changes):
    whole = {
        "device": "cpu",
        "threads": 1,
        "env": {"id": "board/TicTacToe-v0", "n": 8},
        "agent": agent,
        "sampler": {"pool": pool},
        "budget": {"env_steps": 640},
        "checkpoint": {"every": 128},
        "log": {"every": 0},
    }
    return whole | changes


class Broken(Diary):
    """The power goes after 400 env steps."""

    def update(self, record):
        super().update(record)
        if record["env_steps"] >= 400:
            raise RuntimeError("the power went")


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """A run folder of an agent that has hardly learned."""
    folder = tmp_path_factory.mktemp("weak") / "run"
    return str(move37.train(config(pool=None, budget={"env_steps": 64}), out=folder).path)


@pytest.mark.parametrize("agent", [PPO, DQN], ids=["ppo", "dqn"])
def test_a_run_with_a_pool_resumes_exactly(tmp_path, weak, agent):
    wanted = config(agent, POOL | {"runs": [weak, "random"]})
    straight = move37.train(wanted, out=tmp_path / "straight")
    with pytest.raises(RunError, match="the power went"):
        move37.train(wanted, out=tmp_path / "run", observer=Broken())
    assert CheckpointFolder(tmp_path / "run").load()["tally"]["env_steps"] == 384
    resumed = move37.resume(tmp_path / "run")
    assert plain(resumed.metrics()) == plain(straight.metrics())
    a, b = (CheckpointFolder(run.path).load() for run in (straight, resumed))
    for state in (a, b):
        state.pop("seconds")
    same(a, b)
    members = a["pool"]["members"]
    assert [m["joined"] for m in members[:2]] == [-1, -1]
    assert len(members) == 2 + 2 + 1
    assert sum(m["leaves"] for m in members) == 1
    assert all(m["games"] > 0 for m in members[:2])
    last = straight.metrics()[-1]
    assert last["pool/size"] == 4
    assert 0 <= last["pool/worst"] <= last["pool/win_rate"] <= 1


def test_the_learner_is_rated_above_the_mean_of_its_pool():
    """30 of 40 points against one and 10 of 40 against the other: the mean is its equal, by symmetry."""
    pool = Pool(lambda: Random(None, Discrete(2)), stay=[Random(None, Discrete(2)) for _ in range(3)])
    seats, won = np.arange(40) % 2, np.arange(40) < 30
    pool.members[0].count(seats, np.where(won, 1.0, -1.0))
    pool.members[1].count(seats, np.where(won, -1.0, 1.0))
    level = rating(pool)
    assert level["pool/elo"] == pytest.approx(0, abs=1e-6)
    pool.members[1].count(seats, np.where(won, 1.0, -1.0))  # 40 of 80
    above = rating(pool)
    one = 400 * np.log10(3)  # of three to one, but for the prior
    assert above["pool/elo"] == pytest.approx(one / 2, rel=0.1)
    assert 20 < above["pool/elo_error"] < 60
    assert rating(Pool(lambda: Random(None, Discrete(2)))) == {}


def test_members_of_a_checkpoint_share_their_weights_with_the_one_before(tmp_path):
    run = move37.train(config(), out=tmp_path / "run")
    segments = [p.name for p in run.checkpoint_folder.segments.iterdir()]
    kept = {m["weights"].name for m in run.checkpoint_folder.load()["pool"]["members"]}
    assert len(kept) == 3
    assert {f"{name}.safetensors" for name in kept} <= set(segments)
    assert len(segments) <= 5  # of two checkpoints


def test_training_without_a_pool_is_as_it_was(tmp_path, weak):
    """With no games against members, too, the learner plays only itself."""
    run = move37.train(config(pool=POOL | {"self": 1.0}), out=tmp_path / "run")
    assert "pool/win_rate" not in run.metrics()[-1]
    state = CheckpointFolder(run.path).load()
    assert not any(m["games"] for m in state["pool"]["members"])
    assert CheckpointFolder(move37.Run.load(weak).path).load()["pool"] is None
    assert not any(name.startswith("pool/") for name in move37.Run.load(weak).metrics()[-1])


def test_workers_play_the_pool_as_this_process_does(tmp_path, monkeypatch, weak):
    """One worker has the seeds of no worker: the same games, by weights that were sent there."""
    monkeypatch.setattr(build, "start_ray", lambda *a: None)
    monkeypatch.setattr(build, "Fleet", lambda env, **kwargs: Fleet(env, **kwargs, local=True))
    pool = POOL | {"runs": [weak]}
    here = move37.train(config(pool=pool), out=tmp_path / "here")
    there = move37.train(config(pool=pool), ["sampler.workers=1"], out=tmp_path / "there")
    assert [without(line, "fleet/") for line in plain(there.metrics())] == plain(here.metrics())


def without(line, prefix):
    """What is not told of workers, where there are none."""
    return {name: value for name, value in line.items() if not name.startswith(prefix)}


def test_an_exploiter_learns_to_beat_its_prey(tmp_path, weak):
    wanted = config(
        PPO | {"n_steps": 16, "minibatch_size": 512, "epochs": 4, "gamma": 1.0, "lr": 1e-2},
        {"self": 0.0, "runs": [weak]},
        env={"id": "board/TicTacToe-v0", "n": 64},
        init=weak,
        budget={"env_steps": 24_000},
        log={"every": 4_000},
    )
    diary = Diary()
    run = move37.train(wanted, out=tmp_path / "run", observer=diary)
    assert not diary.info["self_play"]  # its return tells how good it is
    lines = run.metrics()
    assert lines[0]["pool/win_rate"] < 0.65
    assert lines[-1]["pool/win_rate"] > 0.72
    assert lines[-1]["return"] > 0.4
    assert lines[-1]["pool/elo"] > lines[0]["pool/elo"] + 2 * lines[0]["pool/elo_error"]
    assert run.match(weak, 200, explore=True).interval[0] > 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pool": {"choose": "best"}}, r"pool\.choose: must be 'uniform', 'latest', 'variance' or 'squared'"),
        ({"pool": {"self": 1.5}}, r"pool\.self: must be less than or equal to 1, not 1\.5"),
        ({"pool": {"self": -0.1}}, r"pool\.self: must be greater than or equal to 0, not -0\.1"),
        ({"pool": {"keeps": 3}}, r"pool\.keeps: unknown key; did you mean 'sampler\.pool\.keep'\?"),
        ({"pool": {"every": None}}, r"pool: needs every \(env steps\), or runs \(whom to play\)"),
        (
            {"pool": {"every": 71}},
            r"pool\.every: must be at least 72, by which .* \(8 slots × 9 moves\), not 71",
        ),
        (
            {"env": {"id": "CartPole-v1", "n": 8}, "agent": {"kind": "ppo"}},
            r"pool: is for board games, and CartPole-v1 is none",
        ),
        (
            {"env": {"id": "envs:board/TicTacToe-v0", "n": 8}},
            r"pool: envs:board/TicTacToe-v0 is one player's view of a game: there is no seat for opponents",
        ),
        (
            {"agent": {"kind": "alphazero"}},
            r"pool: alphazero plays itself, by its search; a pool is for ppo and dqn",
        ),
        (
            {
                "agent": {
                    "kind": "imitation",
                    "student": {"kind": "ppo"},
                    "expert": {"kind": "perfect"},
                    "n_steps": 4,
                }
            },
            r"pool: imitation watches an expert play; a pool is for ppo and dqn",
        ),
        ({"pool": {"runs": ["nobody"]}}, r"pool\.runs: no player 'nobody'"),
        ({"pool": {"runs": ["uct"]}}, r"pool\.runs: player 'uct' needs a number"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(tmp_path, changes, said):
    wanted = config() | {k: v for k, v in changes.items() if k != "pool"}
    wanted["sampler"] = {"pool": POOL | changes.get("pool", {})}
    with pytest.raises(UserError, match=rf"^config: sampler\.{said}") as error:
        move37.train(wanted, out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_members_that_cannot_play_are_told_in_a_line(tmp_path, weak):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.yaml").write_text((move37.Run.load(weak).path / "config.yaml").read_text())
    none = r"sampler\.pool\.runs: .*empty/checkpoints: no checkpoint 'last'; there is: none$"
    with pytest.raises(UserError, match=none):
        move37.train(config(pool={"runs": [str(empty)]}), out=tmp_path / "run")
    connect_four = config(pool={"runs": [weak]}, env={"id": "board/ConnectFour-v0", "n": 4})
    other = rf"sampler\.pool\.runs: {re.escape(weak)} plays tic-tac-toe, not connect four$"
    with pytest.raises(UserError, match=other):
        move37.train(connect_four, out=tmp_path / "run")


def test_a_pool_neither_comes_nor_goes_on_resume(tmp_path, weak):
    run = move37.train(config(pool=None), out=tmp_path / "run")
    said = r"sampler\.pool.* was not there.*: games in progress go on with a pool if they began with one"
    with pytest.raises(UserError, match=said):
        move37.resume(run.path, overrides=["sampler.pool={every: 80}", "budget.env_steps=800"])
    run = move37.train(config(), out=tmp_path / "with")
    with pytest.raises(UserError, match="was saved with 0 agents that stay, not 1"):
        move37.resume(run.path, overrides=[f"sampler.pool.runs=['{weak}']", "budget.env_steps=800"])
    run = move37.resume(run.path, overrides=["sampler.pool.keep=4", "budget.env_steps=1_200"])
    assert run.metrics()[-1]["pool/size"] == 4


# -- studies -----------------------------------------------------------------------------------------------

STUDY = {
    "seeds": [0, 1],
    "base": config(pool=None, budget={"env_steps": 64}),
    "stages": {
        "plain": {},
        "exploit": {
            "init": "plain",
            "sampler": {"pool": {"self": 0.0, "runs": ["plain", "random"]}},
            "evaluate": {"every": 64, "episodes": 4, "against": "plain"},
        },
    },
    "plots": [{"title": "points", "y": "eval/score", "stages": ["exploit"]}],
}


def test_members_and_opponents_of_a_stage_may_be_stages_before_it(tmp_path):
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    told = run_study(file, out)
    for seed in (0, 1):
        run = move37.Run.load(out / "exploit" / f"seed-{seed}")
        prey = str(out / "plain" / f"seed-{seed}")
        assert run.config.sampler.pool.runs == [prey, "random"]
        assert run.config.evaluate.against == run.config.init == prey
        stays, _ = run.checkpoint_folder.load()["pool"]["members"]
        same(dict(stays["weights"].arrays), move37.Run.load(prey).agent.weights())
    assert all(np.isfinite(row["eval/score"]) for row in told["stages"] if row["stage"] == "exploit")
    assert run_study(file, out) == told


def test_a_member_that_comes_later_is_told(tmp_path):
    stages = {"exploit": STUDY["stages"]["exploit"] | {"init": None, "evaluate": {}}, "plain": {}}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"stages": stages}, sort_keys=False))
    with pytest.raises(
        UserError, match=r"stages\.exploit\.sampler\.pool\.runs\.0: 'plain' does not come before"
    ):
        load_study(file)
