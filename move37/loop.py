"""The loop: collect, reward, learn, sync; log, evaluate, checkpoint. The same for every learner there is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.backend import Backend, Played
from envs.text.spaces import TextSpace
from move37.advice import Adviser
from move37.budget import nothing_left, share_spent, spent
from move37.build import WRONG, begin_with, build, make_eval_env, told
from move37.cluster import show
from move37.config import changes
from move37.disk import told_of_disk
from move37.errors import UserError, command, in_one_line
from move37.evaluate import evaluate, slots_for
from move37.guard import interruptible, told_of_failure, told_of_input, without_games
from move37.logs import METRICS, MetricsLog, read_metrics
from move37.origin import Origin
from move37.run import Run
from move37.tally import WINDOW, Tally
from rollouts.agent import Agent, Metrics
from rollouts.fleet import Fleet, FleetError
from rollouts.rollout import Rollout

if TYPE_CHECKING:
    from move37.exam import Exam

EVALUATED = {"length": "mean_length", "success": "success", "invalid": "invalid"}
"""What an evaluation gives beside returns: its name in a line of metrics, and in `evaluate`."""
STATEFUL = ("env", "agent", "reward", "sampler")
"""Sections of a config that a checkpoint may not fit any more when they change."""


class Session:
    """One process' work on a run: builds it, takes up its last checkpoint, and turns the loop.

    `whole` is the folder to resume, which may hold more seeds than this one.
    """

    def __init__(self, run: Run, observer: Any, origin: Origin, whole: Path):
        self.run, self.config, self.observer, self.origin = run, run.config, observer, origin
        self.whole = whole
        self.parts = build(run.config, origin)
        with ExitStack() as undo:
            undo.callback(self.parts.close)
            self._begin()
            undo.pop_all()

    def _begin(self) -> None:
        """Take up the last checkpoint, and get ready to write."""
        run, origin = self.run, self.origin
        if run.config.evaluate.env:
            make_eval_env(run.config, 1, origin).close()  # which says at once what does not fit
        self.exam = self._exam()
        self.tally = Tally()
        self.adviser = Adviser(
            slots=run.config.env.n, replay_ratio=run.config.agent.options.get("replay_ratio")
        )
        self.seconds_before, self.began = 0.0, time.perf_counter()
        self.times: dict[str, float] = {}
        self.measured: dict[str, float] = {}
        self.best = -math.inf
        self.best_step: int | None = None
        self.saved_at, self.saved_when = -1, self.began
        self.fresh_games = False
        self.starts_over = False
        with told(origin, "sampler"):
            self._restore()
            self.games = self.parts.sampler.get_state()
        self.steps_recorded = self.tally.env_steps
        self.reason = self.spent()
        with told_of_disk(run.path):
            self.log = MetricsLog(run.path, self.tally.updates)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *failure: Any) -> None:
        with ExitStack() as ends:  # all of them, even where one fails
            ends.callback(self.observer.close)
            ends.callback(self.parts.close)
            ends.callback(self.log.close)

    # -- the loop --------------------------------------------------------------------------------------

    def train(self) -> None:
        """Turn until the budget is spent (no turn at all where it is spent already)."""
        if self.reason:
            said = nothing_left(self.config.budget, self.tally, self.seconds_before, self.reason)
            summary = self._summary() | {"seconds": self.seconds_before}
            self.observer.idle(summary, f"{self.run.path} {said}")
            return
        self.observer.start(self._info())
        if self.config.checkpoint.snapshots and not self.tally.env_steps:
            self.run.checkpoint_folder.save_snapshot(0, self._actor())
        if self.starts_over:
            self.observer.warn("no checkpoint: starts from the beginning; earlier lines of metrics are gone")
        if self.fresh_games:
            exactly = (
                "workers that play on begin others"
                if self.config.sampler.asynchronous
                else "all else goes on exactly"
            )
            self.observer.warn(f"games of {self.config.env.id} were not saved and start afresh; {exactly}")
        if isinstance(self.parts.learner, Backend) and self.tally.env_steps:
            self.observer.warn(self.parts.learner.lacks)
        with interruptible() as stopped, told_of_failure(self.run, self.tally):
            try:
                while not (self.reason or stopped()):
                    self.turn()
                if not self.reason:
                    self.save()
            except FleetError:
                self.save(games=False)
                raise
        if self.reason:
            self.observer.finish(self._summary())
        if stopped():
            raise KeyboardInterrupt(
                f"stopped after {self.tally.env_steps:,} env steps, all saved; "
                f"go on with: {command('train --resume', self.whole, self.run.names_code)}"
            )

    def turn(self) -> None:
        """One update, and what is due after it."""
        learner = self.parts.learner
        learner.progress = share_spent(self.config.budget, self.tally, self.seconds())
        played, metrics = self.of_backend(learner) if isinstance(learner, Backend) else self.of_rollout()
        for line in self.parts.take_news():
            self.observer.warn(line)
        before = self.tally.env_steps
        self.tally.add(played, metrics)
        if self.parts.pool:
            self.parts.pool.count(played.ended)
            self.parts.pool.grow(learner.policy.weights, self.tally.env_steps)
        self.reason = self.spent()
        self.log_evaluate_checkpoint(before)

    def of_rollout(self) -> tuple[Rollout, Metrics]:
        """Collect, reward, learn, sync: what was played, and what there is to log."""
        learner, reward, sampler = self.parts.learner, self.parts.reward, self.parts.sampler
        with self.clock("collect"):
            rollout = sampler.collect(learner.actor, **learner.wants, **self.opponents())
        with self.clock("learn"), told_of_input(rollout, self.tally):
            reward(rollout)
            metrics = self.parts.learn(rollout) | reward.learn(rollout) | sampler.told
            sampler.sync(learner)
        return rollout, metrics

    def of_backend(self, learner: Backend) -> tuple[Played, Metrics]:
        """The same by a learner that does all of it itself."""
        with self.clock("learn"):
            played = learner.train()
        return played, played.metrics

    def opponents(self) -> dict[str, Any]:
        """Whom the learner plays, and how often; nothing where it plays alone, or holds every seat."""
        pool = self.parts.pool
        return {"opponents": pool.opponents(self.parts.learner.actor), "odds": pool.odds()} if pool else {}

    def log_evaluate_checkpoint(self, before: int) -> None:
        """What is due after an update that began at `before` env steps.

        All goes by env steps, so that a resumed run does the same; only saving may go by the clock.
        """
        config, now, over = self.config, self.tally.env_steps, bool(self.reason)

        def due(every: int) -> bool:
            return over or now // every != before // every

        if config.evaluate.every and due(config.evaluate.every):
            self.record(self.evaluate())
            self.reason = self.reason or self.spent()
            over = bool(self.reason)
        elif due(config.log.every or 1):
            self.record({})
        if config.checkpoint.snapshots and due(config.checkpoint.snapshots):
            self.run.checkpoint_folder.save_snapshot(now, self._actor())
        every, waited = config.checkpoint.every, time.perf_counter() - self.saved_when
        if due(every) if every else over or waited > config.checkpoint.every_seconds:
            self.save()

    # -- log, evaluate, checkpoint ---------------------------------------------------------------------

    def record(self, measured: dict[str, float]) -> None:
        """Write a line of metrics and tell the observer."""
        steps, self.steps_recorded = self.tally.env_steps - self.steps_recorded, self.tally.env_steps
        record = self.tally.record() | measured | self.pool_metrics()
        record |= {f"time/{name}": seconds for name, seconds in self.times.items()}
        record["time/total"] = self.seconds()
        busy = self.times.get("collect", 0.0) + self.times.get("learn", 0.0)
        record["time/steps_per_second"] = steps / max(busy, 1e-9)
        self.times = {}
        looks = self.look()
        self.log.write(record, looks)
        self.observer.update(record | looks)
        if looks and self.config.cluster.address != "none":
            show(str(self.run.path), record | looks)
        for warning in self.adviser.read(record):
            self.observer.warn(warning)

    def look(self) -> dict[str, float]:
        """How workers are now, where there are any on Ray: what no two equal runs have in common."""
        sampler = self.parts.sampler
        return sampler.look() if isinstance(sampler, Fleet) else {}

    def pool_metrics(self) -> dict[str, float]:
        """How the learner stands in the pool, where there is one."""
        if self.parts.pool is None:
            return {}
        from move37.league import pool_metrics

        return pool_metrics(self.parts.pool)

    def evaluate(self) -> dict[str, float]:
        """Measure the policy, always by the same episodes; keep its weights where it is the best so far."""
        with self.clock("evaluate"):
            measure = self.exam.take if self.exam else self._play_episodes
            self.measured, score = measure(self.parts.learner.policy)
        self._keep_best(score)
        return self.measured

    def _play_episodes(self, policy: Agent) -> tuple[dict[str, float], float | None]:
        """Whole fresh episodes: what they tell, and what the best has most of (None: it is the newest)."""
        wanted = self.config.evaluate
        env = make_eval_env(self.config, slots_for(self.parts.env, wanted.episodes), self.origin)
        try:
            result = evaluate(policy, env, episodes=wanted.episodes, explore=wanted.explore)
        finally:
            env.close()
        more = {f"eval/{k}": result[f] for k, f in EVALUATED.items() if f in result}
        more |= {f"eval/{name}": value for name, value in result.get("parts", {}).items()}
        more |= {f"eval/success/{k}": skill["success"] for k, skill in result.get("skills", {}).items()}
        self.log.write_samples(result.get("samples", ()), self.tally.env_steps, self.tally.updates)
        if self.self_play:  # what moving first is worth, not how good it is
            return {"eval/first_return": result["mean_return"]} | more, None
        low, high = result["interval"]
        found = {"eval/return": result["mean_return"], "eval/low": low, "eval/high": high}
        return found | more, result["mean_return"]

    def save(self, games: bool = True) -> None:
        """Write everything as a checkpoint, where there is none of this very step.

        Without `games` (a worker that played some was lost), those in progress start afresh on resume.
        """
        if self.saved_at == self.tally.env_steps:
            return
        with self.clock("checkpoint"):
            if not self.config.evaluate.every and len(self.tally.returns) == WINDOW:
                self._keep_best(None if self.self_play else self.tally.mean_return)
            self.games = self.parts.sampler.get_state() if games else self._without_games()
            self.log.sync()
            self.run.checkpoint_folder.save(self.tally.env_steps, self._state(), self._actor())
        self.saved_at, self.saved_when = self.tally.env_steps, time.perf_counter()

    def _without_games(self) -> dict[str, Any]:
        """The sampler's state where games in progress are lost: who takes it up begins new ones."""
        sampler = self.parts.sampler
        shared = sampler.without_workers() if isinstance(sampler, Fleet) else {}
        return without_games(self.games) | shared

    def _keep_best(self, score: float | None) -> None:
        """Keep the weights where `score` is the highest so far, or where there is nothing to compare by."""
        if score is None or score > self.best:
            self.best = self.best if score is None else score
            self.best_step = self.tally.env_steps
            self.run.checkpoint_folder.save_best(self.tally.env_steps, self._actor())

    def _actor(self) -> dict[str, Any]:
        policy = self.parts.learner.policy
        return {"spec": policy.spec(), "weights": policy.weights()}

    def _state(self) -> dict[str, Any]:
        return {
            "agent": self.config.agent.kind,
            "env": self.config.env.id,
            "tally": self.tally.get_state(),
            "seconds": self.seconds(),
            "measured": self.measured,
            "best": None if math.isinf(self.best) else self.best,
            "best_step": self.best_step,
            "first": self.adviser.first and {k: v for k, v in self.adviser.first.items() if "/" not in k},
            "learner": self.parts.learner.state_dict(),
            "reward": self.parts.reward.state_dict(),
            "sampler": self.games | {"version": self.parts.sampler.version},
            "pool": self.parts.pool and self.parts.pool.get_state(),
        }

    def _restore(self) -> None:
        """Take up the last checkpoint, where there is one."""
        folder = self.run.checkpoint_folder
        state = folder.load()
        if state is None:
            if self.config.init is not None:
                begin_with(self.parts.learner, self.config.init, self.origin)
            if self.parts.pool:
                self.parts.pool.grow(self.parts.learner.policy.weights, 0)
            self.starts_over = bool(read_metrics(self.run.path / METRICS))
            return
        name = folder.folder / str(folder.newest())
        for key, wanted in (("agent", self.config.agent.kind), ("env", self.config.env.id)):
            if state.get(key) != wanted:
                raise UserError(f"{name}: is of {key} '{state.get(key)}', but the config's is '{wanted}'")
        try:
            self._take_up(state)
        except FleetError:
            raise
        except WRONG as error:
            why = self._changes() or "another architecture?"
            raise UserError(f"{name}: does not fit the config ({why}): {in_one_line(error)}") from error
        self.saved_at = self.tally.env_steps
        if "best_step" in state:
            folder.restore_best(self.best_step)

    def _take_up(self, state: Mapping[str, Any]) -> None:
        self.tally.set_state(state["tally"])
        self.parts.learner.load_state_dict(state["learner"])
        self.parts.reward.load_state_dict(state["reward"])
        self._take_up_pool(state.get("pool"))
        self.fresh_games = not self.parts.sampler.set_state(state["sampler"])
        self.seconds_before = float(state["seconds"])
        self.best = -math.inf if state["best"] is None else float(state["best"])
        self.measured = dict(state.get("measured", {}))
        self.best_step, self.adviser.first = state.get("best_step"), state.get("first")

    def _take_up_pool(self, state: Mapping[str, Any] | None) -> None:
        pool = self.parts.pool
        if (pool is None) != (state is None):
            raise ValueError("games in progress go on with a pool if they began with one, else without")
        if pool is not None and state is not None:
            pool.set_state(state)

    def _changes(self) -> str:
        """What this session's overrides change of the config that the checkpoint was made with, in words."""
        configs = Run.load(self.run.path).config.plain(), self.config.plain()
        before, now = ({name: config[name] for name in STATEFUL} for config in configs)
        return "; ".join(changes(before, now))

    def _exam(self) -> Exam | None:
        """What evaluations ask of a board game's player, where the config has that."""
        if not (self.config.evaluate.against or self.config.evaluate.scorecard):
            return None
        from move37.exam import make_exam

        return make_exam(self.config, self.parts.env, self.origin)

    @property
    def self_play(self) -> bool:
        """Whether the actor holds every seat, so that one seat's return tells nothing of how good it is."""
        return self.parts.env.seats > 1

    # -- budget and time -------------------------------------------------------------------------------

    def spent(self) -> str:
        """Which part of the budget is spent; empty while there is some left."""
        success = self.measured.get("eval/success", math.nan)
        return spent(self.config.budget, self.tally, self.seconds(), success)

    def seconds(self) -> float:
        """Seconds of work on this run, all sessions together."""
        return self.seconds_before + time.perf_counter() - self.began

    @contextmanager
    def clock(self, phase: str) -> Iterator[None]:
        """Add the time of what is inside to a phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.times[phase] = self.times.get(phase, 0.0) + time.perf_counter() - begin

    def _info(self) -> dict[str, Any]:
        config = self.config
        info: dict[str, Any] = {"path": str(self.run.path), "env": config.env.id, "agent": config.agent.kind}
        info |= {
            "seed": config.seed,
            "n": config.env.n,
            "budget": config.budget.model_dump(exclude_none=True),
            "trusted": self.run.names_code,
            "self_play": self.self_play and not (self.parts.pool or isinstance(self.parts.learner, Backend)),
            "imitates": self.parts.learner.actor is not self.parts.learner.policy,
            "text": isinstance(self.parts.env.single_observation_space, TextSpace),
        }
        return info | {
            "env_steps": self.tally.env_steps,
            "updates": self.tally.updates,
            "seconds": self.seconds_before,
            "history": self.run.metrics(),
        }

    def _summary(self) -> dict[str, Any]:
        tally = self.tally
        counts = {"env_steps": tally.env_steps, "updates": tally.updates, "episodes": tally.episodes}
        where = {"path": str(self.run.path), "reason": self.reason, "seconds": self.seconds()}
        return where | counts | {"return": tally.mean_return} | self.measured
