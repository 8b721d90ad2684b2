"""The command line. Nothing heavy is imported before a command runs, so that `--help` answers at once."""

from __future__ import annotations

import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from move37 import contests, file_options, games, telling
from move37.arguments import (
    Checkpoint,
    ConfigFile,
    Debug,
    Explore,
    Json,
    Out,
    Overrides,
    RunFolder,
    Seed,
    Trust,
    print_json,
)
from move37.gtp import gtp
from move37.passk.command import passk
from move37.sweep.command import sweep

if TYPE_CHECKING:
    from move37.run import Run
    from move37.watch import Moment

app = typer.Typer(
    name="move37",
    help="Train agents, and look at what they learned.",
    epilog="Example: move37 train configs/train/ppo_cartpole.yaml",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for a failure while running, 2 for bad input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    try:  # not by the app's own main, which swallows what Ctrl-C has to say
        with command.make_context("move37", arguments or ["--help"]) as context:
            command.invoke(context)
        return 0
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # the reader left, as in `move37 envs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        return tell(str(stop) or "stopped", 130)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return explain(error)


def explain(error: Exception) -> int:
    """One line on stderr for what went wrong; returns the exit code."""
    from move37.errors import RunError, UserError

    if hasattr(error, "format_message"):  # typer's own: bad usage of a command
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "move37"
        return tell(f"{error.format_message().rstrip('.')} (see {command} --help)", 2)
    if isinstance(error, UserError):
        return tell(str(error), 2)
    if isinstance(error, RunError):
        return tell(str(error), 1)
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename else ""
        return tell(f"{file}{error.strerror} (--debug shows the traceback)", 1)
    said = " ".join(str(error).split()) or "no message"
    return tell(f"{type(error).__name__}: {said} (--debug shows the traceback)", 1)


def tell(text: str, code: int) -> int:
    """`move37: text` on stderr; returns `code`."""
    print("\n".join(f"move37: {line}" for line in text.splitlines()), file=sys.stderr)
    return code


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"move37 {version('move37')}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: move37 train configs/train/ppo_breakout.yaml agent.lr=1e-3 --out runs/fast")
def train(
    config: Annotated[str | None, typer.Argument(metavar="CONFIG", help="A YAML file.")] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder. [default: runs/<config's name>]")
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with this run.")] = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train an agent, or go on with a run."""
    from move37.dashboard import choose_observer
    from move37.errors import UserError

    words = [w for w in [config, *(overrides or [])] if w is not None]
    if resume is None and (not words or not words[0].strip() or "=" in words[0]):
        raise UserError("train needs a config, such as configs/train/ppo_cartpole.yaml, or --resume RUN")
    if resume is not None and (out is not None or any("=" not in w for w in words)):
        raise UserError(
            "--resume RUN goes on with the run's own config and folder: give no CONFIG and no --out"
        )
    observer = choose_observer(json=json)
    run = _train(words, out, resume, observer, trust)
    if json:
        done = observer.summaries
        print_json({"seeds": done} if run.config.seeds else done[0])


def _train(words: list[str], out: Path | None, resume: Path | None, observer: Any, trust: bool) -> Run:
    from move37 import training

    telling.tell_of_compiling()
    if resume is not None:
        return training.resume(resume, observer=observer, trust=trust, overrides=words)
    return training.train(words[0], words[1:], out=out, observer=observer)


@app.command("eval", epilog="Example: move37 eval runs/demo --episodes 500 --json")
def evaluate(
    run: RunFolder,
    episodes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Whole fresh episodes to play. [default: 100]")
    ] = None,
    checkpoint: Checkpoint = "last",
    explore: Explore = None,
    seed: Seed = None,
    against: Annotated[
        str | None, typer.Option(metavar="PLAYER", help="Board games: a match instead, as with uct:1000.")
    ] = None,
    match_games: Annotated[
        int | None, typer.Option("--games", min=2, metavar="N", help="Of the match. [default: 100]")
    ] = None,
    random_plies: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="That its games begin with. [default: 4]")
    ] = None,
    positions: Annotated[
        int | None,
        typer.Option(
            min=0, max=1000, metavar="N", help="Connect four: of the scorecard, a class. [default: 1000]"
        ),
    ] = None,
    simulations: Annotated[
        int | None,
        typer.Option(min=1, max=10_000_000, metavar="N", help="A move, of an agent that searches."),
    ] = None,
    tasks: file_options.Tasks = None,
    format: file_options.Format = None,
    template: file_options.Template = None,
    shots: file_options.Shots = None,
    answer: file_options.Answer = None,
    tries: file_options.Tries = None,
    max_new: file_options.MaxNew = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure an agent by episodes, a match or a file of tasks.

    On connect four its scorecard too: how many of its moves lose value under perfect play. With --tasks RUN
    may also be a folder with a language model in the Hugging Face layout.
    """
    from move37.errors import UserError
    from move37.exam import has_scorecard

    of_file = {"format": format, "template": template, "shots": shots, "answer": answer}
    of_file |= {"tries": tries, "max_new": max_new}
    if tasks is not None:
        others = {"episodes": episodes, "against": against, "games": match_games, "positions": positions}
        others |= {"random-plies": random_plies, "simulations": simulations}
        file_options.refuse(others, "not of a file of problems (--tasks), each of which is tried")
        how: dict[str, Any] = {"checkpoint": checkpoint, "explore": explore, "seed": seed, "trust": trust}
        file_options.evaluate(run, tasks, of_file, how, json)
        return
    file_options.refuse(of_file, "of a file of problems: say which, as in --tasks gsm8k.jsonl")
    loaded = _load(run, trust)
    how = {"checkpoint": checkpoint, "simulations": simulations}
    chance: dict[str, Any] = {"explore": explore, "seed": seed}
    if against is not None:
        if episodes is not None or positions is not None:
            raise UserError("--episodes and --positions are not of a match, whose length is --games")
        number = match_games or 100
        match = loaded.match(against, number, random_plies=random_plies, **chance, **how)
        games.tell_match(run, against, match, number, json)
        return
    if match_games or random_plies is not None:
        raise UserError(
            "--games and --random-plies are of a match: say against whom, as in --against uct:1000"
        )
    if positions is not None and not has_scorecard(loaded):
        raise UserError(f"--positions is of connect four only; {run} plays {loaded.config.env.id}")
    result = loaded.evaluate(100 if episodes is None else episodes, **chance, **how)
    each = 1000 if positions is None else positions
    rows = loaded.scorecard(each, report=games.tell_progress, **how) if each else []
    if json:
        print_json({"run": run, "checkpoint": checkpoint, **result, **games.scorecard_json(rows)})
        return
    telling.tell_evaluation(run, result, checkpoint)
    if rows:
        games.tell_scorecard(rows)


@app.command(epilog="Example: move37 watch runs/demo --gif breakout.gif")
def watch(
    run: RunFolder,
    episodes: Annotated[int, typer.Option(min=1, metavar="N", help="Whole episodes to play.")] = 1,
    gif: Annotated[Path | None, typer.Option(metavar="FILE", help="Record to this GIF.")] = None,
    mp4: Annotated[Path | None, typer.Option(metavar="FILE", help="Record to this video.")] = None,
    speed: Annotated[
        float, typer.Option(min=0.01, metavar="X", help="1 is natural; 4 is four times as fast.")
    ] = 1.0,
    checkpoint: Checkpoint = "last",
    explore: Explore = None,
    seed: Seed = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Watch a trained agent play, and record it."""
    from contextlib import ExitStack

    from move37.build import set_threads
    from move37.errors import UserError
    from move37.record import Recording
    from move37.watch import frames_per_second, play, watchable

    for path, ending in ((gif, ".gif"), (mp4, ".mp4")):
        if path and path.suffix.lower() != ending:
            raise UserError(f"--{ending[1:]} {path}: must end in {ending}")
    loaded = _load(run, trust)
    set_threads(loaded.config.threads)
    agent, explore = loaded.agent_at(checkpoint), loaded.explores(explore)
    env, undrawn = watchable(loaded)
    if undrawn and (gif or mp4):
        raise UserError(f"{gif or mp4}: nothing to record: {undrawn}")
    fps = frames_per_second(env)
    with ExitStack() as stack:
        stack.callback(env.close)
        recordings = [stack.enter_context(Recording(path, fps)) for path in (gif, mp4) if path]
        moments = play(agent, env, episodes=episodes, seed=seed or 0, explore=explore)
        returns = []
        for moment in _shown(moments, fps * speed, json):
            for recording in recordings:
                if moment.picture is not None and not isinstance(moment.picture, str):
                    recording.add(moment.picture)
            if moment.ended and not moment.aftermath:
                returns.append(moment.total)
    if json:
        print_json({"run": run, "episodes": episodes, "returns": returns, "gif": gif, "mp4": mp4})
    for path in (gif, mp4):
        if path and not json:
            print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


@app.command(epilog="Example: move37 chat runs/sft_sorting --tries 4")
def chat(
    run: RunFolder,
    tries: Annotated[int, typer.Option(min=1, max=1000, metavar="K", help="Answers to each prompt.")] = 1,
    checkpoint: Checkpoint = "last",
    explore: Explore = None,
    seed: Seed = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Try a trained language model by hand.

    Type a prompt, or an empty line for a problem like its evaluations'. Prompts may come through a pipe too.
    """
    from move37.chat import chat_of, converse
    from move37.terminal import Prompt

    talk = chat_of(_load(run, trust), checkpoint, explore=explore, tries=tries, seed=seed or 0)
    converse(talk, Prompt(sys.stdin, sys.stderr if json else sys.stdout))
    if json:
        print_json({"run": run, "checkpoint": checkpoint, "explore": talk.explore, "chat": talk.heard})


def _shown(moments: Iterator[Moment], fps: float, json: bool) -> Iterator[Moment]:
    """The moments, told as suits stdout: not at all with `json`, lines in a pipe, pictures in a terminal."""
    from rich.console import Console

    from move37.watch import show_lines, show_pictures

    console = Console(highlight=False)
    if json:
        return moments
    if console.is_terminal and not console.is_dumb_terminal:
        return show_pictures(moments, console, fps)
    return show_lines(moments, sys.stdout)


def _load(path: Path, trust: bool) -> Run:
    from move37.run import Run

    telling.tell_of_compiling()
    return Run.load(path, trust=trust)


@app.command(epilog="Example: move37 envs arcade")
def envs(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Only those with this in id or line (* is anything).")
    ] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the environments, a line each."""
    from envs import names
    from move37.errors import UserError

    found = {name: about for name, about in names().items() if _matches(f"{name}\n{about}", pattern)}
    if not found:
        raise UserError(f"no environment matches '{pattern}' (move37 envs lists all)")
    _print_list(found, json)


@app.command(epilog="Example: move37 agents")
def agents(json: Json = False, debug: Debug = False) -> None:
    """List the agents, a line each."""
    from move37.registry import AGENTS

    _print_list({name: entry.about for name, entry in AGENTS.items()}, json)


def _matches(text: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(text.lower(), f"*{pattern.lower()}*")


def _print_list(found: dict[str, str], json: bool) -> None:
    if json:
        print_json(found)
        return
    width = min(max(map(len, found)), 36)
    for name, about in found.items():
        print(f"{name:<{width}}  {about}".rstrip())


@app.command(epilog="Example: move37 compare runs/dqn runs/rainbow --out compare.png")
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders, or folders of runs or seeds.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The curves, as PNG.")] = Path("compare.png"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare runs or seeds: a table and curves.

    Scores are interquartile means over seeds with stratified bootstrap 95 % intervals.
    """
    from move37.compare import as_dicts, draw
    from move37.compare import compare as compare_runs
    from move37.disk import check_writable, told_of_disk
    from move37.errors import UserError

    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: the curves are a .png")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    check_writable(out)
    rows, traces = compare_runs(runs)
    with told_of_disk(out):
        draw(traces, out)
    if json:
        print_json({"rows": as_dicts(rows), "figure": out})
        return
    _print_table(rows)
    print(f"wrote {out}")


@app.command(epilog="Example: move37 study configs/studies/parity.yaml --seeds 0,1,2")
def study(
    config: ConfigFile,
    out: Out = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="S,S", help="Instead of the study's own, as in 0,1,2.")
    ] = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train the stages of a study, try them, and draw it."""
    from move37.dashboard import choose_observer
    from move37.errors import UserError
    from move37.passk.watch import Live, Watcher
    from move37.study import run_study

    if seeds and not all(word.isdecimal() for word in seeds.split(",")):
        raise UserError(f"--seeds {seeds}: reads like 0,1,2")
    chosen = [int(word) for word in seeds.split(",")] if seeds else []
    folder = out or Path("runs") / config.stem
    watcher = Watcher() if json else Live()
    told = run_study(config, folder, choose_observer(json=json), chosen, watcher, trust)
    if json:
        print_json(told)
        return
    telling.tell_study(told)
    print(f"wrote {', '.join(map(str, sorted(folder.glob('*.png'))))}")


@app.command(epilog="Example: move37 export runs/sft_sorting sorter")
def export(
    run: RunFolder,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to.")],
    checkpoint: Checkpoint = "last",
    adapters: Annotated[
        bool, typer.Option("--adapters", help="Of a run with LoRA: the adapters alone, as peft reads them.")
    ] = False,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a language model as transformers reads it."""
    _load(run, trust).export(folder, checkpoint, adapters)
    if json:
        print_json({"run": run, "checkpoint": checkpoint, "folder": folder})
        return
    to_use = (
        "peft opens it beside the folder of the base"
        if adapters
        else f"in a config: agent.model={{folder: {folder}}}"
    )
    print(f"wrote {folder}; {to_use}")


app.command(epilog="Example: move37 tournament configs/tournament/connect_four.yaml")(contests.tournament)
app.command(epilog="Example: move37 rate runs/connect_four --pgn games.pgn")(contests.rate)
app.command(epilog="Example: move37 passk configs/passk/quick.yaml")(passk)
app.command(epilog="Example: move37 sweep configs/sweeps/ppo_cartpole_asha.yaml")(sweep)
app.command(epilog="Example: move37 gtp go --size 9 --agent uct:5000")(gtp)
app.command(epilog="Example: move37 perft connect_four --depth 8")(games.perft)
app.command(epilog="Example: move37 play connect_four --against uct:1000 --as second")(games.play)
app.command(epilog="Example: move37 book --stones 2")(games.book)
app.command(epilog="Example: move37 moments runs/demo --top 3")(games.moments)


def _print_table(rows: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from move37.compare import TRAINING
    from move37.plots import short
    from move37.progress import clock

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, side in (("task", "left"), ("run", "left"), ("seeds", "right"), ("return", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for name in ("95 % interval", "env steps", "time"):
        table.add_column(name, justify="right")
    for row in rows:
        interval = f"[{row.low:.3g}, {row.high:.3g}]" if math.isfinite(row.low) else "–"
        star = "*" if row.basis == TRAINING else ""
        cells = (str(row.runs), f"{row.score:.4g}{star}", interval, short(row.env_steps), clock(row.seconds))
        table.add_row(row.task, row.group, *cells)
    Console(highlight=False, markup=False).print(table)
    print("return: interquartile mean over seeds of the last evaluation (* of the last training episodes)")
