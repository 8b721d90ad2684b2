"""What a person sees while a run trains: a live dashboard in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from move37.errors import command
from move37.observer import Observer
from move37.plots import chart, short, sparkline
from move37.progress import Progress, Series, clock
from move37.stats import smooth

REFRESH_SECONDS = 0.25
LINE_SECONDS = 5.0
COST = 0.01
"""Share of time that drawing may take at most."""
PHASE_COLOURS = {"collect": "cyan", "learn": "magenta", "evaluate": "yellow", "checkpoint": "green"}


def choose_observer(*, json: bool = False) -> Dashboard | Lines:
    """What suits stdout: live in a terminal, lines in a pipe, lines on stderr with `json`."""
    if json:
        return Lines(sys.stderr)
    console = Console(highlight=False)
    return Dashboard(console) if console.is_terminal and not console.is_dumb_terminal else Lines(sys.stdout)


class Dashboard(Observer):
    """An observer that redraws one panel, never more often than every 0.25 s nor for over 1 % of the time."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.perf_counter) -> None:
        self.console, self.clock = console, clock
        self.progress = Progress()
        self.summaries: list[dict[str, Any]] = []
        self.live: Live | None = None
        self.next_draw = 0.0

    def start(self, info: Mapping[str, Any]) -> None:
        """Begin to draw."""
        self.progress = Progress()
        self.progress.start(info, self.clock())
        self.live = Live(console=self.console, auto_refresh=False, vertical_overflow="crop")
        self.live.start()
        self._draw()

    def update(self, record: Mapping[str, float]) -> None:
        """Take in one line of metrics."""
        now = self.clock()
        self.progress.update(record, now)
        if now >= self.next_draw:
            self._draw()

    def warn(self, text: str) -> None:
        """Show a warning among the last three."""
        self.progress.warnings.append(text)
        self._draw()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Draw a last time, then the curve and what is next."""
        self.summaries.append(dict(summary))
        self._draw()
        self.close()
        self.console.print(closing(self.progress, summary), highlight=False, markup=False)

    def idle(self, summary: Mapping[str, Any], text: str) -> None:
        """Say so."""
        self.summaries.append(dict(summary))
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back (also after a failure)."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _draw(self) -> None:
        if self.live is None:
            return
        begin = self.clock()
        self.live.update(panel(self.progress), refresh=True)
        end = self.clock()
        self.next_draw = end + max(REFRESH_SECONDS, (end - begin) / COST)


class Lines(Observer):
    """An observer that writes a plain line every few seconds, at each evaluation, and at the end."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.perf_counter) -> None:
        self.out, self.clock = out, clock
        self.progress = Progress()
        self.summaries: list[dict[str, Any]] = []
        self.next_line = 0.0
        self.unsaid = False

    def start(self, info: Mapping[str, Any]) -> None:
        """Say what is trained and where it goes."""
        self.progress = Progress()
        self.progress.start(info, self.clock())
        self._say(title(self.progress))
        self.next_line = self.clock() + LINE_SECONDS

    def update(self, record: Mapping[str, float]) -> None:
        """Take in one line of metrics; say it when a line is due."""
        now = self.clock()
        self.progress.update(record, now)
        self.unsaid = now < self.next_line and not any(name.startswith("eval/") for name in record)
        if not self.unsaid:
            self._say(line(self.progress))
            self.next_line = now + LINE_SECONDS

    def warn(self, text: str) -> None:
        """Say a warning at once."""
        self._say(f"warning: {text}")

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The last line, the curve and what is next (the curve only on stdout)."""
        self.summaries.append(dict(summary))
        if self.unsaid:
            self._say(line(self.progress))
        if self.out is not sys.stderr:
            self._say(closing(self.progress, summary))

    def idle(self, summary: Mapping[str, Any], text: str) -> None:
        """Say so."""
        self.summaries.append(dict(summary))
        self._say(text)

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)


def title(progress: Progress) -> str:
    """`ppo on arcade/Breakout-v1 · runs/demo · goes on from 60.4k steps`."""
    info, begun = progress.info, progress.begin[1]
    parts = [f"{info.get('agent', 'agent')} on {info.get('env', 'env')}", info.get("path", "")]
    parts.append(f"goes on from {short(begun)} steps" if begun else "")
    return " · ".join(filter(None, parts))


def line(progress: Progress) -> str:
    """All that matters in one line of plain text."""
    record, parts = progress.record, [steps(progress)]
    if progress.share is not None:
        parts.append(f"{progress.share:.0%}")
    parts.append(f"{progress.return_name} {number(record.get('return'))}")
    if progress.info.get("imitates"):
        parts.append(f"loss {number(record.get('loss'))}")
    parts += [f"{name} {said}" for name, _, said, _ in measured(progress)]
    parts += [f"{progress.rate:,.0f} steps/s", f"{clock(progress.seconds_left)} left"]
    return " · ".join(parts)


def measured(progress: Progress) -> list[tuple[str, Series, str, str]]:
    """What the last evaluation found: a name, its curve, what it is now and the best it was, in words.

    Of text tasks it is the share of successes rather than their returns, which mostly are the same.
    """

    def percent(value: float) -> str:
        return f"{value:.1%}"

    kinds: list[tuple[str, Series, Callable[[float], str], str, Callable[[Sequence[float]], float]]] = [
        ("evaluation", progress.evaluations, number, "best", max),
        ("success", progress.successes, percent, "best", max),
        ("mistakes", progress.mistakes, percent, "fewest", min),
    ]
    if progress.info.get("text") and progress.successes.y:
        del kinds[0]
    return [(k, s, f(s.y[-1]), f"({best} {f(of(s.y))})") for k, s, f, best, of in kinds if s.y]


def steps(progress: Progress) -> str:
    """`1.2M of 2M steps`, or of the seconds that it may take."""
    budget, done = progress.info.get("budget", {}), short(progress.record.get("env_steps", 0))
    if budget.get("env_steps"):
        return f"{done} of {short(budget['env_steps'])} steps"
    if budget.get("tokens"):
        return f"{done} steps, {short(progress.record.get('tokens', 0))} of {short(budget['tokens'])} tokens"
    if budget.get("seconds"):
        return f"{done} steps, {clock(progress.spent)} of {clock(budget['seconds'])}"
    return f"{done} steps"


def number(value: float | None) -> str:
    """A number as short as it reads well; `–` for what is not known."""
    return short(value) if value is not None and np.isfinite(value) else "–"


def panel(progress: Progress) -> RenderableType:
    """The dashboard as it stands."""
    rows: list[RenderableType] = [_bar(progress), _returns(progress), _times(progress), _metrics(progress)]
    if "fleet/workers" in progress.record:
        rows.append(_workers(progress.record))
    rows += [Text(f"! {text}", style="yellow") for text in progress.warnings]
    return Panel(
        Group(*rows), title=Text(title(progress), style="bold"), title_align="left", border_style="dim"
    )


def _bar(progress: Progress) -> RenderableType:
    share = progress.share
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    for _ in range(3):
        grid.add_column(justify="right", no_wrap=True)
    bar = ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None, complete_style="cyan")
    percent = Text("" if share is None else f"{share:.0%}", style="bold")
    times = f"{clock(progress.elapsed)} gone, {clock(progress.seconds_left)} left"
    grid.add_row(bar, percent, Text(steps(progress)), Text(times, style="dim"))
    return grid


def _returns(progress: Progress) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")

    def tell(name: str, series: Series, said: str, best: str) -> None:
        text.append(f"{name} ", style="dim")
        text.append(f"{said} ", style="bold green")
        if series is progress.curve[1]:
            text.append(f"{sparkline(series.arrays()[1], 28)} ", style="green")
        text.append(f"{best}  ", style="dim")

    tell(progress.return_name, progress.returns, f"{number(progress.record.get('return')):>6}", "")
    for found in measured(progress):
        tell(*found)
    length, episodes = progress.record.get("length"), progress.record.get("episodes", 0)
    text.append(f"length {number(length)}  episodes {number(episodes)}", style="dim")
    return text


def _times(progress: Progress) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{progress.rate:,.0f} steps/s ", style="bold")
    for phase, share in progress.time_shares.items():
        if share >= 0.01:
            blocks = "█" * max(round(16 * share), 1)
            text.append(f" {blocks}", style=PHASE_COLOURS[phase])
            text.append(f" {phase} {share:.0%}", style="dim")
    return text


def _metrics(progress: Progress) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, value in progress.telling.items():
        text.append(f"{name} ", style="dim")
        text.append(f"{number(value)}  ")
    return text


def _workers(record: Mapping[str, float]) -> Text:
    """How the workers are: what they have in common, and how fast each is."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for name in ("workers", "restarts", "lag", "queue", "dropped"):
        if math.isfinite(record.get(f"fleet/{name}", math.nan)):
            text.append(f"{name} ", style="dim")
            text.append(f"{number(record[f'fleet/{name}'])}  ", style="yellow" * (name == "restarts"))
    if "fleet/object_store/share" in record:
        text.append("store ", style="dim")
        text.append(f"{record['fleet/object_store/share']:.0%}  ")
    speeds = [number(speed) for speed in speeds_of(record)]
    if speeds:
        text.append("steps/s ", style="dim")
        text.append(" ".join(speeds))
    return text


def speeds_of(record: Mapping[str, float]) -> list[float]:
    """Steps a second of each worker by place; of many, the slowest, the middle and the fastest."""
    names = [f"fleet/worker_{k}/steps_per_second" for k in range(int(record["fleet/workers"]))]
    names += [f"fleet/workers/steps_per_second_{which}" for which in ("min", "median", "max")]
    return [record[name] for name in names if name in record]


def closing(progress: Progress, summary: Mapping[str, Any]) -> str:
    """The curve of the run, and the commands that come next."""
    name, series = progress.curve
    x, y = series.arrays()
    curve = chart(x, smooth(y, max(len(y) // 50, 1)), x_name="env steps", y_name=name)
    path = summary.get("path") or progress.info.get("path", "RUN")
    took = f"{short(progress.record.get('env_steps', 0))} steps in {clock(progress.spent)}"
    verbs = ("chat" if progress.info.get("text") else "watch", "eval")
    look, measure = (command(verb, path, bool(progress.info.get("trusted"))) for verb in verbs)
    return f"\n{curve}\n\n{took}. Next: {look}   {measure}"
