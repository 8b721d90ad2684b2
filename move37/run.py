"""A run folder: what a training leaves, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from move37.checkpoint import CheckpointFolder
from move37.config import Config, parse_config, read_yaml
from move37.disk import LOCK, locked, told_of_disk, write_text
from move37.errors import RunError, UserError, command, in_one_line
from move37.logs import METRICS, Record, read_metrics
from move37.origin import Origin
from move37.registry import import_paths

if TYPE_CHECKING:
    from envs.base import BatchEnv
    from rollouts.agent import Agent
    from search.match import Match
    from search.scorecard import Row

CONFIG = "config.yaml"
SPACES = ("observation_space", "action_space")
OURS = ("agents", "envs", "llm_rl", "rollouts", "search")
"""Packages whose classes an agent in a run folder may name without trust."""


class Run:
    """The run in the folder `path`. Opening one runs no code that it names, unless it is trusted."""

    def __init__(self, path: Path, config: Config, trust: bool = False, device: str = "cpu"):
        self.path, self.config, self.trust, self.device = path, config, trust, device
        self.checkpoint_folder = CheckpointFolder(path, partial(self.command, "train --resume"))

    @classmethod
    def load(cls, path: str | Path, trust: bool = False, device: str = "cpu") -> Run:
        """The run in an existing folder. `trust` allows import paths in it to be followed into code.

        `device` is where its agent acts (`cpu`, `cuda`, `cuda:1`, `auto`), wherever it was trained.

        Raises `UserError` where there is no run, or its config does not hold.
        """
        path = Path(path)
        file = path / CONFIG
        if not file.is_file():
            inside = sorted(str(p.parent) for p in path.glob(f"*/{CONFIG}"))
            hint = f"; there are runs inside: {', '.join(inside)}" if inside else ""
            raise UserError(f"{path}: no run folder (it has no {CONFIG}){hint}")
        return cls(path, parse_config(read_yaml(file), Origin(str(file))), trust, device)

    @classmethod
    def create(cls, path: str | Path, config: Config) -> Run:
        """A new run folder. Raises `UserError` where one, or anything else, is there already."""
        path = Path(path)
        run = cls(path, config, trust=True)
        if (path / CONFIG).exists():
            raise UserError(
                f"{path}: a run is there already; go on with it ({run.command('train --resume')}) "
                "or name another folder (--out DIR)"
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path}: is there already and no run folder; name another folder (--out DIR)")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be made: {error.strerror}") from None
        try:
            with told_of_disk(path):
                run.write_config()
        except RunError:
            with suppress(OSError):  # closed to us, perhaps
                path.rmdir()
            raise
        return run

    @property
    def names_code(self) -> bool:
        """Whether its config names code by import path, so that others must say they trust it."""
        return bool(import_paths(self.config.plain()))

    def command(self, verb: str) -> str:
        """The command that does `verb` (such as `train --resume`) to this run, as a person can paste it."""
        return command(verb, self.path, self.names_code)

    def write_config(self) -> None:
        """Put `config` in the folder, whole or not at all."""
        write_text(self.path / CONFIG, self.config.to_yaml())

    def remove_if_empty(self) -> None:
        """Take the folder away again where nothing has begun in it."""
        for one in self.runs() if self.config.seeds else []:
            one.remove_if_empty()
        if all(p.name in (CONFIG, LOCK) for p in self.path.iterdir()):
            for p in self.path.iterdir():
                p.unlink()
            self.path.rmdir()

    def runs(self) -> list[Run]:
        """The runs of the config's `seeds`, as far as they began; without `seeds`, just this one."""
        if not self.config.seeds:
            return [self]
        paths = (self.path / f"seed-{seed}" for seed in self.config.seeds)
        return [Run.load(path, self.trust, self.device) for path in paths if (path / CONFIG).is_file()]

    def metrics(self) -> list[Record]:
        """The lines of metrics so far, oldest first; what is not known is NaN."""
        self._needs_one_seed()
        return read_metrics(self.path / METRICS)

    def checkpoints(self) -> list[str]:
        """What can be asked for: env steps, oldest first, then `last` and `best`."""
        return self.checkpoint_folder.names()

    @property
    def agent(self) -> Agent:
        """The trained agent, as it acts at the last checkpoint."""
        return self.agent_at("last")

    def agent_at(
        self,
        checkpoint: str = "last",
        simulations: int | None = None,
        seconds: float | None = None,
        **more: Any,
    ) -> Agent:
        """The agent as it acts at a checkpoint (`last`, `best`, or env steps), on the run's `device`.

        `simulations` are those of its best play, where it is one that searches, instead of its own number;
        `seconds` are what a move takes, of as many simulations at most. `more` are other options of its own,
        such as a language model's `temperature`.
        Raises `UserError` for a checkpoint that is missing, damaged, foreign, or needs trust.
        """
        from envs.options import check_options
        from envs.paths import resolve
        from move37.build import WRONG
        from rollouts.build import build_agent

        saved = self.saved_agent(checkpoint)
        options = saved["spec"].get("options", {}) | self._here()
        budget = {"eval_simulations": simulations, "eval_seconds": seconds}
        asked = {name: value for name, value in budget.items() if value is not None}
        if asked and "eval_simulations" not in options:
            raise UserError(f"{self.path}: its agent makes no simulations: it does not search")
        options |= asked
        env = self.make_env(1)
        try:
            if more:
                check_options("agent", resolve(saved["spec"]["path"]), more, given=SPACES)
            spec = saved["spec"] | {"options": options | more}
            agent = build_agent(spec, env.single_observation_space, env.single_action_space)
            agent.load_weights(saved["weights"])
        except WRONG as error:
            said = f"checkpoint {checkpoint} does not fit its config: {in_one_line(error)}"
            raise UserError(f"{self.path}: {said}") from error
        finally:
            env.close()
        return agent

    def saved_agent(self, checkpoint: str = "last") -> dict[str, Any]:
        """What a checkpoint keeps of who acts: its `spec` and its `weights` (raises as `agent_at` does)."""
        self._needs_one_seed()
        self.check_trust()
        saved = self.checkpoint_folder.load_actor(checkpoint)
        foreign = [p for p in import_paths(saved["spec"]) if p.split(":")[0].split(".")[0] not in OURS]
        self._must_trust(foreign, f"the agent of checkpoint {checkpoint}")
        return saved

    def make_env(self, n: int = 1, seed: int | None = None, **options: Any) -> BatchEnv:
        """`n` fresh slots of the run's environment; `options` (such as `render_mode`) on top of its own."""
        from move37.build import make_env

        self.check_trust()
        return make_env(self.config, n, Origin(str(self.path / CONFIG)), seed, **options)

    def explores(self, explore: bool | None = None) -> bool:
        """Whether to act as in training: as asked, else as the run's own evaluations do."""
        return self.config.evaluate.explore if explore is None else explore

    def evaluate(
        self,
        episodes: int = 100,
        checkpoint: str = "last",
        explore: bool | None = None,
        seed: int | None = None,
        n: int | None = None,
        simulations: int | None = None,
    ) -> dict[str, Any]:
        """Play fresh episodes: see `move37.evaluate.evaluate` for what comes back.

        `n` is how many are played at once, `simulations` as in `agent_at`.
        """
        from move37.build import eval_options, set_threads
        from move37.evaluate import SEED, evaluate, slots_for

        set_threads(self.config.threads)
        agent = self.agent_at(checkpoint, simulations)
        options = eval_options(self.config)
        with closing(self.make_env(1, **options)) as one:
            slots = slots_for(one, episodes)
        env = self.make_env(n or slots, **options)
        try:
            return evaluate(
                agent,
                env,
                episodes=episodes,
                explore=self.explores(explore),
                seed=SEED if seed is None else seed,
            )
        finally:
            env.close()

    def export(self, folder: str | Path, checkpoint: str = "last", adapters: bool = False) -> None:
        """Write a language model as a folder in the Hugging Face layout, or its `adapters` for `peft`.

        Raises `UserError` where the agent is no language model, or has no adapters.
        """
        from llm_rl.folder import save_folder
        from llm_rl.lora import save_adapters
        from llm_rl.policy import LanguagePolicy

        agent = self.agent_at(checkpoint)
        if not isinstance(agent, LanguagePolicy):
            raise UserError(f"{self.path}: its agent is no language model, but {type(agent).__name__}")
        lora = agent.choice.adapters() if adapters else None
        if adapters and lora is None:
            raise UserError(
                f"{self.path}: its agent learned without adapters (model.lora): leave --adapters out"
            )
        with told_of_disk(Path(folder)):
            try:
                if lora is None:
                    save_folder(folder, agent.network, agent.tokenizer)
                else:
                    save_adapters(folder, agent.network, lora, str(agent.choice.folder))
            except ValueError as error:
                raise UserError(str(error)) from None

    def match(self, against: str, games: int = 100, **options: Any) -> Match:
        """A match of a board game against another player: see `move37.exam.match_of` for the options."""
        from move37.exam import match_of

        return match_of(self, against, games, **options)

    def scorecard(self, each: int = 1000, **options: Any) -> list[Row]:
        """How many moves lose value under perfect play, on connect four: see `move37.exam.scorecard_of`."""
        from move37.exam import scorecard_of

        return scorecard_of(self, each, **options)

    def check_trust(self) -> None:
        """Raises `UserError` where the config names code by import path and the run is not trusted."""
        self._must_trust(import_paths(self.config.plain()), str(self.path / CONFIG))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training here (`UserError` where one already does)."""
        with locked(self.path, "another process is training this run"):
            yield

    def _here(self) -> dict[str, str]:
        """The option that puts an agent on the run's device; none for the CPU, where all are at home."""
        from move37.build import pick_device

        try:
            device = pick_device(self.device)
        except ValueError as error:
            raise UserError(str(error)) from None
        return {} if device == "cpu" else {"device": device}

    def _must_trust(self, paths: list[str], what: str) -> None:
        if paths and not self.trust:
            raise UserError(
                f"{what}: names code ({', '.join(sorted(set(paths)))}), which would run here; "
                "if you trust where this run comes from, say --trust (in Python: Run.load(path, trust=True))"
            )

    def _needs_one_seed(self) -> None:
        if self.config.seeds:
            inside = ", ".join(str(run.path) for run in self.runs()) or "none yet"
            raise UserError(f"{self.path}: holds a run a seed; name one of them: {inside}")
