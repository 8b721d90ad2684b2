import json
import os
import signal

import numpy as np
import pytest

import move37
from envs.options import OptionError
from move37.build import build
from move37.config import make_config, parse_config
from move37.errors import RunError, UserError
from move37.origin import Origin
from move37.run import Run
from rollouts.sampler import Sampler
from tests.move37.runs import Diary, plain
from tests.toy_learner import ToyLearner, toy_config


def test_a_run_from_config_to_folder(tmp_path):
    diary = Diary()
    run = move37.train(toy_config(), out=tmp_path / "run", observer=diary)
    assert [r["env_steps"] for r in run.metrics()] == list(range(16, 161, 16))
    assert plain(run.metrics()) == plain(diary.records)
    assert diary.heard == ["start", "finish", "close"]
    assert diary.info["budget"] == {"env_steps": 160}
    assert diary.summary["reason"] == "env_steps"
    assert diary.summary["env_steps"] == 160
    assert run.checkpoints() == ["160", "last"]
    files = {p.name.split(".")[0] for p in run.path.iterdir()}
    assert {"config", "metrics", "checkpoints", "events"} <= files
    assert Run.load(run.path).config == run.config


def test_a_record_says_what_happened(tmp_path, monkeypatch):
    """Everything in the lines against a plain account of the rollouts that the learner was given."""
    seen = []
    learn = ToyLearner.learn
    monkeypatch.setattr(
        ToyLearner, "learn", lambda self, rollout: seen.append(rollout) or learn(self, rollout)
    )
    run = move37.train(toy_config(log={"every": 32}, reward={"env": 0.5, "success": 2}), out=tmp_path / "run")
    records = run.metrics()
    assert len(seen) == 10
    assert [r["updates"] for r in records] == [2, 4, 6, 8, 10]
    returns = [list(r.ended["return"]) for r in seen]
    for i, record in enumerate(records):
        so_far = [x for part in returns[: 2 * i + 2] for x in part]
        pair = seen[2 * i : 2 * i + 2]
        assert record["episodes"] == len(so_far)
        assert record["return"] == pytest.approx(np.mean(so_far[-100:]))
        assert record["length"] == pytest.approx(np.mean(so_far[-100:]))
        assert record["reward/env"] == 1
        assert record["reward/success"] == pytest.approx(np.mean([r.parts["success"].mean() for r in pair]))
        assert record["lr"] == pytest.approx(0.1 * (1 - (2 * i + 0.5) / 10))
        assert record["time/collect"] > 0
        assert record["time/learn"] > 0
    totals = [r["time/total"] for r in records]
    assert totals == sorted(totals)


def test_return_is_null_before_an_episode_ended(tmp_path):
    env = {"id": "tests.toys:Walk", "n": 1, "longest": 60}
    run = move37.train(
        toy_config(env=env, budget={"env_steps": 4}, log={"every": 0}, seed=2), out=tmp_path / "run"
    )
    line = json.loads((run.path / "metrics.jsonl").read_text())
    assert line["episodes"] == 0
    assert line["return"] is None
    assert np.isnan(run.metrics()[0]["return"])


def test_evaluation_beside_training_changes_nothing_else(tmp_path):
    bare = move37.train(toy_config(), out=tmp_path / "bare")
    measured = move37.train(toy_config(evaluate={"every": 48, "episodes": 6}), out=tmp_path / "measured")
    lines = measured.metrics()
    assert [r["env_steps"] for r in lines if "eval/return" in r] == [48, 96, 144, 160]
    assert all(r["eval/low"] <= r["eval/return"] <= r["eval/high"] for r in lines if "eval/return" in r)
    without = [{k: v for k, v in r.items() if not k.startswith("eval/")} for r in lines]
    assert plain(without) == plain(bare.metrics())


def test_every_evaluation_plays_the_same_episodes(tmp_path):
    run = move37.train(toy_config(evaluate={"every": 16, "episodes": 6}), out=tmp_path / "run")
    assert len({r["eval/return"] for r in run.metrics()}) == 1  # a walk's length is not the agent's doing
    assert run.evaluate(6)["mean_return"] == run.metrics()[0]["eval/return"]


def test_best_is_the_best_evaluation(tmp_path, monkeypatch):
    scores = iter([1.0, 5.0, 3.0, 5.0])
    from move37 import loop

    def score(*args, **kwargs):
        value = next(scores)
        return {"mean_return": value, "interval": [value, value], "mean_length": 1.0}

    monkeypatch.setattr(loop, "evaluate", score)
    run = move37.train(toy_config(evaluate={"every": 48}), out=tmp_path / "run")
    assert (run.path / "checkpoints" / "best").resolve().name == "best-96"
    best, last = run.agent_at("best").weights()["bias"], run.agent.weights()["bias"]
    assert not np.array_equal(best, last)


def test_budget_of_seconds(tmp_path):
    run = move37.train(toy_config(budget={"seconds": 0.3, "env_steps": 10**9}), out=tmp_path / "run")
    total = run.metrics()[-1]["time/total"]
    assert 0.3 <= total < 60  # and not the hours of so many env steps


def test_budget_of_a_target_return_needs_a_hundred_episodes(tmp_path):
    diary = Diary()
    run = move37.train(toy_config(budget={"target_return": 2.0}), out=tmp_path / "run", observer=diary)
    last = run.metrics()[-1]
    assert diary.summary["reason"] == "target_return"
    assert last["return"] >= 2
    assert 100 <= last["episodes"] < 120


def test_budget_of_a_target_success_ends_with_the_evaluation_that_reaches_it(tmp_path):
    diary = Diary()
    changes = {"budget": {"target_success": 0.1}, "evaluate": {"every": 32, "episodes": 10}}
    run = move37.train(toy_config(**changes), out=tmp_path / "run", observer=diary)
    measured = [r["eval/success"] for r in run.metrics() if "eval/success" in r]
    assert diary.summary["reason"] == "target_success"
    assert measured[-1] >= 0.1
    assert all(success < 0.1 for success in measured[:-1])
    assert run.checkpoints()[-1] == "best"
    assert str(run.metrics()[-1]["env_steps"]) in run.checkpoints()


def test_seeds_train_each_in_its_own_folder(tmp_path):
    run = move37.train(toy_config(seeds=[3, 5]), out=tmp_path / "run")
    assert [r.path.name for r in run.runs()] == ["seed-3", "seed-5"]
    assert [r.config.seed for r in run.runs()] == [3, 5]
    alone = move37.train(toy_config(seed=5), out=tmp_path / "alone")
    assert plain(run.runs()[1].metrics()) == plain(alone.metrics())
    assert plain(run.runs()[0].metrics()) != plain(alone.metrics())
    with pytest.raises(UserError, match=r"a run a seed; name one of them: .*seed-3, .*seed-5"):
        run.metrics()


def test_equal_seeds_give_equal_runs_and_others_do_not(tmp_path):
    a, b, c = (move37.train(toy_config(seed=s), out=tmp_path / n) for s, n in ((1, "a"), (1, "b"), (2, "c")))
    assert plain(a.metrics()) == plain(b.metrics())
    assert plain(a.metrics()) != plain(c.metrics())


def test_default_folder_is_named_after_the_config(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(json.dumps(toy_config()))
    assert str(move37.train("small.yaml").path) == "runs/small"
    assert str(move37.train(toy_config()).path) == "runs/ToyLearner"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"env": {"id": "tests.toys:Wall"}}, "config: env: 'tests.toys:Wall': module 'tests.toys' has no"),
        (
            {"env": {"id": "arcade/Brekout-v1"}},
            "config: env.id: unknown environment 'arcade/Brekout-v1'; did you mean",
        ),
        (
            {"env": {"id": "tests.toys:Walk", "longst": 1}},
            "config: env.longst: environment 'tests.toys:Walk' has",
        ),
        ({"env": {"id": "tests.toys:Walk", "longest": "x"}}, "config: env.longest: longest of environment"),
        ({"reward": {"sucess": 1}}, "config: reward.sucess: no reward term 'sucess'; did you mean 'success'"),
        ({"reward": {"clip": {"weight": 1, "low": 3}}}, "config: reward: clip: low"),
        (
            {"reward": {"clip": {"lwo": 3}}},
            "config: reward.clip.lwo: reward term 'clip' has no option 'lwo'; did",
        ),
        (
            {"reward": {"clip": {"low": "x"}}},
            "config: reward.clip.low: low of reward term 'clip' must be a number",
        ),
        (
            {"reward": {"clip": {"weight": "x"}}},
            "config: reward.clip.weight: weight of reward term 'clip' must be",
        ),
        ({"reward": {"success": {"low": 1}}}, "config: reward.success.low: reward term 'success' is a part"),
        ({"agent": {"kind": "random"}}, "config: agent.kind: 'random' does not learn"),
        ({"agent": {"kind": "tests.toy_learner:ToyLearner", "lr": -1}}, "config: agent: lr must be above 0"),
        (
            {"sampler": {"workers": 3}},
            "config: sampler.workers: 4 slots (env.n) cannot be shared out evenly to 3",
        ),
        ({"device": "cuda:99"}, "config: device: cuda:99 is not there"),
        (
            {"seeds": [1, 2], "agent": {"kind": "tests.toy_learner:ToyLearner", "lr": -1}},
            "config: agent: lr must",
        ),
    ],
)
def test_what_cannot_be_built_is_told_and_leaves_nothing(tmp_path, monkeypatch, change, said):
    monkeypatch.setattr("move37.build.start_ray", lambda *a: None)
    with pytest.raises(UserError) as error:
        move37.train(toy_config(**change), out=tmp_path / "run")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("negative dimension -1:\n[-1, 4]"), "negative dimension -1: [-1, 4]"),
        (KeyError("hidden"), "KeyError: 'hidden'"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_whatever_the_build_raises_is_told_in_one_line(tmp_path, monkeypatch, error, said):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(ToyLearner, "__init__", broken)
    with pytest.raises(UserError) as told:
        move37.train(parse_config(toy_config(), Origin("config")), out=tmp_path / "run")
    assert str(told.value) == f"config: agent: {said}"


def test_normalised_rewards_are_discounted_as_the_agent_s_returns_are():
    def gamma(reward, **options):
        agent = {"kind": "ppo", "network": {"hidden": [4]}, **options}
        env, budget = {"id": "CartPole-v1"}, {"env_steps": 1}
        config = make_config({"env": env, "agent": agent, "reward": reward, "budget": budget, "threads": 1})
        return build(config, Origin("config")).reward.terms["normalise"].gamma

    assert gamma({"normalise": 1.0}, gamma=0.9) == 0.9
    assert gamma({"normalise": {"weight": 0.5, "clip": 5}}, gamma=0.9) == 0.9
    assert gamma({"normalise": {"gamma": 0.7}}, gamma=0.9) == 0.7
    assert gamma({"normalise": 1.0}) == 0.99
    toy = make_config(toy_config(reward={"normalise": 1.0}))  # whose learner has no gamma
    assert build(toy, Origin("config")).reward.terms["normalise"].gamma == 0.99


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("env.longest=x", "env.longest: longest of environment 'tests.toys:Walk' must be a number, not 'x'"),
        ("env.longst=1", "env.longst: environment 'tests.toys:Walk' has no option 'longst'; did you mean"),
        ("env.id=Cartpole", "env.id: unknown environment 'Cartpole'; did you mean CartPole-v1"),
        ("agent.lr=-1", "agent.lr: lr must be above 0, not -1.0"),
        ("reward.sucess=1", "reward.sucess: no reward term 'sucess'; did you mean 'success'?"),
        ("sampler.workers=3", "sampler.workers: 4 slots (env.n) cannot be shared out evenly to 3 workers"),
        ("device=cuda:99", "device: cuda:99 is not there"),
        ("agent.kind=random", "agent.kind: 'random' does not learn"),
    ],
)
def test_an_override_that_only_the_build_finds_wrong_is_named(tmp_path, override, said):
    config = toy_config(agent={"kind": "tests.toy_learner:ToyLearner"})
    others = ["agent.n_steps=8", "log.every=32"] if "kind" not in override else []
    with pytest.raises(UserError) as error:
        move37.train(config, [*others, override, *others], out=tmp_path / "run")
    assert str(error.value).startswith(f"override '{override}': {said}")
    assert not (tmp_path / "run").exists()


def test_a_cluster_that_is_not_there_is_told(tmp_path, monkeypatch):
    import ray

    def nobody(**kwargs):
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr(ray, "init", nobody)
    monkeypatch.setattr("move37.cluster._address_of", lambda address: address.replace("auto", ""))
    for address in ("auto", "localhost:1"):  # at a port where nobody listens, it is not even asked
        config = toy_config(sampler={"workers": 2}, cluster={"address": address})
        begin, cure = (
            rf"^config: cluster\.address: no Ray cluster at '{address}'",
            "cluster.address=none starts",
        )
        with pytest.raises(UserError, match=rf"{begin}; {cure} one here \(Connection"):
            move37.train(config, out=tmp_path / "run")


def test_a_worker_s_own_words_and_its_loss_are_told(tmp_path, monkeypatch):
    """What is wrong in a worker is bad input, as it would be here; a lost worker is a failure."""
    from move37 import build
    from rollouts.fleet import FleetError

    def broken(error):
        def fleet(*args, **kwargs):
            raise error

        return fleet

    monkeypatch.setattr(build, "start_ray", lambda *a: None)
    config = toy_config(sampler={"workers": 2})
    monkeypatch.setattr(build, "Fleet", broken(OptionError("longest", "longest must be small")))
    with pytest.raises(UserError, match=r"^config: env\.longest: longest must be small$"):
        move37.train(config, out=tmp_path / "run")
    monkeypatch.setattr(build, "Fleet", broken(FleetError("worker 1 of 2 was lost (killed)")))
    with pytest.raises(RunError, match=r"^config: worker 1 of 2 was lost \(killed\)$"):
        move37.train(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_ppo_says_what_it_cannot_play(tmp_path):
    with pytest.raises(UserError, match=r"config: agent: .*observations in Text"):
        move37.train(toy_config(env={"id": "tests.toys:Echo"}, agent={"kind": "ppo"}), out=tmp_path / "run")


def test_a_folder_in_use_is_refused(tmp_path):
    run = move37.train(toy_config(), out=tmp_path / "run")
    before = (run.path / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"a run is there already; .*--resume .*--out"):
        move37.train(toy_config(), out=tmp_path / "run")
    assert (run.path / "metrics.jsonl").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UserError, match="is there already and no run folder"):
        move37.train(toy_config(), out=tmp_path / "mine")
    with run.locked(), pytest.raises(UserError, match="another process is training this run"):
        move37.resume(run.path, trust=True)


def test_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    agent = {"kind": "tests.toy_learner:ToyLearner", "nan_at": 7}
    diary = Diary()
    with pytest.raises(RunError) as error:
        move37.train(toy_config(agent=agent, checkpoint={"every": 32}), out=tmp_path / "run", observer=diary)
    text = str(error.value)
    assert (
        "stopped after 112 env steps: the gradient is not finite; the checkpoint of 96 env steps is good"
        in text
    )
    assert "lower learning rate" in text
    assert f"move37 train --resume {tmp_path / 'run'}" in text
    assert "\n" not in text
    assert diary.heard == ["start", "close"]
    run = move37.resume(tmp_path / "run", trust=True, overrides=["agent.nan_at=null", "agent.lr=1e-2"])
    assert [r["env_steps"] for r in run.metrics()] == list(range(16, 161, 16))
    assert run.metrics()[-1]["lr"] == pytest.approx(0.01 * 0.1)


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    from move37 import checkpoint

    run = move37.train(toy_config(), out=tmp_path / "run")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_tree", full)
    with pytest.raises(
        RunError, match=r"No space left.*the last good one is .*160.* --resume .*run --trust$"
    ):
        move37.resume(run.path, trust=True, overrides=["budget.env_steps=320"])
    monkeypatch.undo()
    assert move37.resume(run.path, trust=True).metrics()[-1]["env_steps"] == 320


def test_a_full_disk_under_the_metrics_too(tmp_path, monkeypatch):
    from move37 import logs

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.MetricsLog, "write", full)
    with pytest.raises(
        RunError, match=r"stopped after 16 env steps: No space left on device; there is no checkpoint"
    ):
        move37.train(toy_config(), out=tmp_path / "run")


def test_a_bug_in_a_user_s_environment_is_told_with_its_place(tmp_path, monkeypatch):
    from tests.toys import Walk

    step, calls = Walk.step, []

    def crash(self, actions):
        calls.append(1)
        return step(self, actions) if len(calls) < 30 else 1 / 0

    monkeypatch.setattr(Walk, "step", crash)
    line = crash.__code__.co_firstlineno + 2
    with pytest.raises(RunError) as error:
        move37.train(toy_config(checkpoint={"every": 64}), out=tmp_path / "my run")
    assert str(error.value) == (
        f"{tmp_path}/my run: stopped after 112 env steps: ZeroDivisionError: division by zero "
        f"({__file__}:{line}); the checkpoint of 64 env steps is good. Go on once its cause is gone "
        f"(--debug shows the traceback): move37 train --resume '{tmp_path}/my run' --trust"
    )
    assert isinstance(error.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("log", [{"every": 16}, {"every": 1000}])
def test_a_reward_that_is_replayed_later_is_named_too(tmp_path, monkeypatch, log):
    learn, collect, rollouts = ToyLearner.learn, Sampler.collect, []

    def spoilt(self, agent, **kwargs):
        rollout = collect(self, agent, **kwargs)
        rollouts.append(rollout)
        if len(rollouts) == 2:
            rollout.env_rewards[:] = np.nan
            rollout.ended["return"][:] = np.nan
        return rollout

    def replaying(self, rollout):
        if len(rollouts) == 3:
            raise FloatingPointError("the gradient is not finite")
        return learn(self, rollout)

    monkeypatch.setattr(ToyLearner, "learn", replaying)
    monkeypatch.setattr(Sampler, "collect", spoilt)
    with pytest.raises(RunError, match="rewards of the environment are not finite"):
        move37.train(toy_config(log=log), out=tmp_path / "run")


@pytest.mark.parametrize("at_fault", ["obs", "rewards", "term"])
def test_what_was_not_finite_is_named(tmp_path, monkeypatch, at_fault):
    """NaN in what is learned from is the environment's doing, not the learning rate's."""
    from rollouts.reward import Clip

    learn = ToyLearner.learn

    def strict(self, rollout):
        if not (np.isfinite(rollout.rewards).all() and np.isfinite(rollout.obs).all()):
            raise FloatingPointError("the gradient is not finite")
        return learn(self, rollout)

    def spoilt(self, agent, **kwargs):
        rollout = collect(self, agent, **kwargs)
        rollout.obs = np.asarray(rollout.obs, np.float32)
        if at_fault == "obs":
            rollout.obs[1, 2] = np.nan
        if at_fault == "rewards":
            rollout.env_rewards[1, 2] = np.inf
        return rollout

    collect = Sampler.collect
    monkeypatch.setattr(ToyLearner, "learn", strict)
    monkeypatch.setattr(Sampler, "collect", spoilt)
    if at_fault == "term":
        monkeypatch.setattr(Clip, "__call__", lambda self, rollout: rollout.env_rewards * np.nan)
    said = {
        "obs": "observations of the environment are",
        "rewards": "rewards of the environment are",
        "term": "reward term 'clip' is",
    }
    with pytest.raises(RunError) as error:
        move37.train(toy_config(reward={"env": 1.0, "clip": 1.0}), out=tmp_path / "run")
    assert f": {said[at_fault]} not finite (NaN or infinite); " in str(error.value)
    assert "learning rate" not in str(error.value)


def test_a_full_disk_leaves_no_half_made_run(tmp_path, monkeypatch):
    from move37 import disk as module

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "sync_to_disk", full)
        with pytest.raises(RunError, match=r"run: cannot be written: No space left on device"):
            move37.train(toy_config(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    move37.train(toy_config(), out=tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_update_saves_and_says_how_to_go_on(tmp_path, capfd, number):
    class Impatient(Diary):
        def update(self, record):
            if record["updates"] == 4:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as stop:
        move37.train(toy_config(), out=tmp_path / "run", observer=Impatient())
    assert "stopped after 64 env steps" in str(stop.value)
    assert f"move37 train --resume {tmp_path / 'run'}" in str(stop.value)
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == "move37: stopping after this update; Ctrl-C again stops at once\n"
    straight = move37.train(toy_config(), out=tmp_path / "straight")
    resumed = move37.resume(tmp_path / "run", trust=True)
    assert plain(resumed.metrics()) == plain(straight.metrics())


def test_ctrl_c_in_a_seed_s_last_update_leaves_the_other_seeds(tmp_path):
    class Impatient(Diary):
        def update(self, record):
            if record["env_steps"] == 160:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stop:
        move37.train(toy_config(seeds=[1, 2]), out=tmp_path / "run", observer=Impatient())
    assert str(stop.value).endswith(
        f"all saved; go on with: move37 train --resume {tmp_path / 'run'} --trust"
    )
    assert [run.path.name for run in Run.load(tmp_path / "run").runs()] == ["seed-1"]
    run = move37.resume(tmp_path / "run", trust=True)
    assert [one.metrics()[-1]["env_steps"] for one in run.runs()] == [160, 160]


def test_the_same_from_a_thread_where_signals_cannot_be_caught(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(move37.train, toy_config(), out=tmp_path / "run").result()
    assert run.metrics()[-1]["env_steps"] == 160


def test_warnings_reach_the_observer(tmp_path):
    env = {"id": "tests.toys:Walk", "n": 1, "longest": 10**9}
    diary = Diary()
    config = toy_config(env=env, agent={"kind": "tests.toy_learner:ToyLearner", "n_steps": 500})
    move37.train(config, ["budget.env_steps=4000"], out=tmp_path / "run", observer=diary)
    assert any("no episode finished yet" in text for text in diary.warnings)


def test_tensorboard_shows_the_same_numbers(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = move37.train(toy_config(), out=tmp_path / "run")
    board = EventAccumulator(str(run.path)).Reload()
    got = [(e.step, e.value) for e in board.Scalars("noise")]
    assert got == [(r["env_steps"], pytest.approx(r["noise"], rel=1e-6)) for r in run.metrics()]


def test_workers_in_one_process_train_alike(tmp_path, monkeypatch):
    """The loop with a Fleet: two workers of two slots, whose state is saved and taken up again."""
    from move37 import build
    from rollouts.fleet import Fleet

    monkeypatch.setattr(build, "start_ray", lambda *a: None)
    monkeypatch.setattr(build, "Fleet", lambda env, **kwargs: Fleet(env, **kwargs, local=True))
    config = toy_config(sampler={"workers": 2})
    straight = move37.train(config, out=tmp_path / "straight")
    move37.train(config, ["budget.env_steps=80"], out=tmp_path / "run")
    resumed = move37.resume(tmp_path / "run", trust=True, overrides=["budget.env_steps=160"])
    names = ("env_steps", "episodes", "return", "noise")
    assert [[r[k] for k in names] for r in resumed.metrics()] == [
        [r[k] for k in names] for r in straight.metrics()
    ]


def test_who_plays_all_seats_is_not_given_one_players_view(tmp_path):
    config = {"env": {"id": "envs:board/TicTacToe-v0", "n": 2}, "budget": {"env_steps": 8}}
    agent = {"kind": "alphazero", "network": {"kind": "mlp", "hidden": [4]}}
    said = "env.id: envs:board/TicTacToe-v0 is one player's view of a game.*; board/TicTacToe-v0 has them"
    with pytest.raises(UserError, match=said):
        move37.train(config | {"agent": agent}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
