import io
import math
import re
import sys

import numpy as np
import pytest
from rich.console import Console

from move37.dashboard import LINE_SECONDS, Dashboard, Lines, choose_observer
from move37.plots import chart, short, sparkline
from move37.progress import SERIES, Progress, Series, clock

INFO = {
    "path": "runs/demo",
    "agent": "ppo",
    "env": "arcade/Breakout-v1",
    "budget": {"env_steps": 1000},
    "env_steps": 0,
    "seconds": 0.0,
}


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def record(steps, **more):
    return {
        "env_steps": steps,
        "episodes": 3,
        "return": 2.5,
        "entropy": 0.7,
        "time/collect": 1.0,
        "time/learn": 3.0,
        "time/total": 99.0,
        "time/steps_per_second": 50.0,
    } | more


def test_progress_knows_the_share_and_the_time_left():
    progress = Progress()
    progress.start(INFO | {"env_steps": 200}, now=10.0)
    progress.update(record(400), now=14.0)
    assert progress.share == 0.4
    assert progress.seconds_left == pytest.approx(12.0)  # 50 steps a second since it went on, 600 to go
    shares = {"learn": 0.75, "collect": 0.25, "evaluate": 0, "checkpoint": 0}
    assert progress.time_shares == pytest.approx(shares)


def test_a_rare_phase_has_its_true_share_of_time():
    progress = Progress()
    progress.start(INFO, now=0.0)
    for i in range(300):
        rare = {"time/evaluate": 10.0} if i % 10 == 0 else {}
        progress.update({"env_steps": i, "time/collect": 1.0, "time/learn": 2.0} | rare, now=float(i))
    assert progress.time_shares["evaluate"] == pytest.approx(10 / 40, abs=0.05)


def test_progress_by_seconds_counts_what_earlier_sessions_took():
    progress = Progress()
    progress.start(INFO | {"budget": {"seconds": 100.0}, "seconds": 60.0}, now=0.0)
    progress.update(record(400), now=20.0)
    assert progress.share == pytest.approx(0.8)
    assert progress.seconds_left == pytest.approx(20.0)


def test_a_budget_of_return_alone_has_no_share():
    progress = Progress()
    progress.start(INFO | {"budget": {"target_return": 40.0}}, now=0.0)
    progress.update(record(400), now=20.0)
    assert progress.share is None
    assert progress.seconds_left is None


def test_a_series_stays_small_and_keeps_its_shape():
    series = Series()
    for i in range(20 * SERIES):
        series.add(i, math.nan if i == 7 else 2.0 * i)
    x, y = series.arrays()
    assert SERIES / 2 <= len(x) <= SERIES
    np.testing.assert_allclose(y, 2 * x)
    assert x[-1] > 19.8 * SERIES


def test_the_dashboard_shows_what_matters():
    out, now = io.StringIO(), Clock()
    board = Dashboard(Console(file=out, force_terminal=True, width=110, height=30), now)
    board.start(INFO)
    now.now += 5
    board.update(record(500, **{"eval/return": 4.25}))
    board.warn("try this")
    board.finish({"path": "runs/demo"})
    board.close()
    text = Console(file=io.StringIO()).render_str(out.getvalue()).plain
    for words in ("runs/demo", "50%", "500 of 1000 steps", "0:05 left", "50 steps/s", "learn 75%", "entropy"):
        assert words in text
    for words in ("2.5", "4.25", "! try this", "move37 watch runs/demo"):
        assert words in text


def test_the_dashboard_draws_seldom():
    drawn, now = [], Clock()
    board = Dashboard(Console(file=io.StringIO(), force_terminal=True), now)
    board.start(INFO)
    board._draw = lambda: (drawn.append(now.now), setattr(board, "next_draw", now.now + 0.25))
    for step in range(1000):
        now.now += 0.01
        board.update(record(step))
    board.close()
    assert 36 <= len(drawn) <= 40  # ten seconds, four a second


def test_a_slow_terminal_is_drawn_to_even_less():
    now = Clock()

    class Slow(io.StringIO):
        def write(self, text):
            now.now += 0.01  # a hundredth of a second for every piece of text
            return len(text)

    board = Dashboard(Console(file=Slow(), force_terminal=True), now)
    begin = now.now
    board.start(INFO)
    cost = now.now - begin
    assert board.next_draw - now.now >= 90 * cost * 0.5
    board.close()


TEXT = {"agent": "imitation", "env": "text/Sorting-v0", "imitates": True, "text": True}


def test_who_imitates_is_shown_by_its_own_success_and_not_by_the_experts_returns():
    out, now = io.StringIO(), Clock()
    lines = Lines(out, now)
    lines.start(INFO | TEXT)
    now.now += LINE_SECONDS
    lines.update(record(300, loss=2.25))
    lines.update(record(500, loss=1.5, **{"eval/return": 0.3, "eval/success": 0.25}))
    lines.update(record(900, loss=0.5, **{"eval/return": 0.6, "eval/success": 0.5}))
    lines.finish({"path": "runs/demo"})
    said = out.getvalue()
    assert "· expert's return 2.5 · loss 2.25 · 50 steps/s" in said
    assert "· expert's return 2.5 · loss 1.5 · success 25.0% · " in said
    assert "evaluation" not in said
    curve = said.split("50.0%")[1]
    assert "\nsuccess\n" in curve
    assert "move37 chat runs/demo" in curve


def test_a_dashboard_of_text_shows_the_success_and_its_best():
    out, now = io.StringIO(), Clock()
    board = Dashboard(Console(file=out, force_terminal=True, width=130, height=30), now)
    board.start(INFO | TEXT | {"imitates": False, "agent": "grpo"})
    for share in (0.5, 0.25):
        now.now += 5
        board.update(record(500, zero_variance=0.125, **{"eval/return": 0.3, "eval/success": share}))
    board.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "success 25.0%" in text
    assert "(best 50.0%)" in text
    assert "zero_variance 0.125" in text
    assert "expert" not in text


def test_other_runs_show_returns_and_success_both():
    lines = Lines(io.StringIO(), Clock())
    lines.start(INFO)
    lines.update(record(500, **{"eval/return": 4.25, "eval/success": 0.125}))
    assert "return 2.5 · evaluation 4.25 · success 12.5%" in lines.out.getvalue()
    assert lines.progress.curve[0] == "return"


def test_lines_come_every_few_seconds_and_at_evaluations():
    out, now = io.StringIO(), Clock()
    lines = Lines(out, now)
    lines.start(INFO)
    for step in range(100):
        now.now += LINE_SECONDS / 25
        lines.update(record(step))
    said = out.getvalue().splitlines()
    assert len(said) == 1 + 4
    lines.update(record(101, **{"eval/return": 7.0}))
    lines.warn("try this")
    said = out.getvalue().splitlines()
    assert "evaluation 7" in said[-2]
    assert said[-1] == "warning: try this"
    assert "\x1b" not in out.getvalue()


def test_a_second_seed_starts_a_fresh_account():
    out = io.StringIO()
    lines = Lines(out, Clock())
    for path in ("a/seed-0", "a/seed-1"):
        lines.start(INFO | {"path": path})
        lines.update(record(1000, **{"eval/return": 1.0}))
        lines.finish({"path": path})
    assert [s["path"] for s in lines.summaries] == ["a/seed-0", "a/seed-1"]
    assert len(lines.progress.evaluations.y) == 1


@pytest.mark.parametrize("kind", [Dashboard, Lines])
def test_a_spent_budget_is_one_line(kind):
    out = io.StringIO()
    observer = kind(out) if kind is Lines else kind(Console(file=out, force_terminal=True, width=40))
    observer.idle({"env_steps": 5}, f"{'long/' * 20}run is finished: 5 of 5 env steps")
    observer.close()
    assert out.getvalue() == f"{'long/' * 20}run is finished: 5 of 5 env steps\n"
    assert observer.summaries == [{"env_steps": 5}]


def test_what_observes_depends_on_where_stdout_goes():
    assert isinstance(choose_observer(), Lines)  # under pytest stdout is no terminal
    assert choose_observer(json=True).out is sys.stderr


def test_unknown_numbers_do_not_break_a_line():
    out = io.StringIO()
    lines = Lines(out, Clock())
    lines.start({"path": "x"})
    lines.update({"env_steps": 5, "return": math.nan, "entropy": math.nan})
    lines.finish({})
    assert "return –" in out.getvalue()


def test_a_chart_puts_high_values_high():
    text = chart(np.arange(11), np.arange(11.0), width=20, height=5, x_name="steps", y_name="return")
    rows = [line.split("┤")[1] for line in text.splitlines() if "┤" in line]
    first = [len(row) - len(row.lstrip()) for row in rows]
    assert len(rows) == 5
    assert first == sorted(first, reverse=True)
    assert text.splitlines()[0].strip() == "return"
    assert "10" in text.splitlines()[1]
    assert text.splitlines()[-1].split() == ["0", "steps", "10"]
    assert "no return yet" in chart([], [], y_name="return")


def test_a_single_point_is_a_flat_line_at_its_height():
    rows = chart(np.array([7.0]), np.array([0.45]), width=8, height=5, x_name="steps").splitlines()
    assert [row.split("┤")[1] != "" for row in rows[:5]] == [True, False, False, False, False]  # of 0 to 0.5
    assert rows[-1].split() == ["steps", "7"]


def test_sparkline():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([3, math.nan, 3]) == "▅▅"
    assert sparkline([]) == ""
    assert len(sparkline(np.arange(1000), 24)) == 24


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.5, "0.5"), (1234, "1234"), (12_345, "12.3k"), (2e6, "2M"), (-4e4, "-40k")],
)
def test_short_numbers(value, text):
    assert short(value) == text


def test_clock_reads_like_a_clock():
    assert [clock(s) for s in (0, 7.4, 754, 11_045, None, math.nan)] == [
        "0:00",
        "0:07",
        "12:34",
        "3:04:05",
        "?",
        "?",
    ]


def test_who_trains_code_of_their_own_is_told_to_trust_it():
    from move37.dashboard import closing

    progress = Progress()
    progress.start({"path": "runs/mine", "trusted": True}, 0.0)
    assert "move37 watch runs/mine --trust" in closing(progress, {})
    progress.start({"path": "runs/mine", "trusted": False}, 0.0)
    assert "--trust" not in closing(progress, {})
