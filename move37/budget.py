"""When a run has had enough: its budget of env steps, tokens and seconds, and the return that it is after."""

from __future__ import annotations

import math

from move37.config import Budget
from move37.progress import clock
from move37.tally import WINDOW, Tally


def spent(budget: Budget, tally: Tally, seconds: float, success: float = math.nan) -> str:
    """Which part of the budget is spent, by its name; empty while all last.

    `success` is that of the last evaluation, NaN where there was none.
    """
    if budget.env_steps is not None and tally.env_steps >= budget.env_steps:
        return "env_steps"
    if budget.tokens is not None and tally.tokens >= budget.tokens:
        return "tokens"
    if budget.seconds is not None and seconds >= budget.seconds:
        return "seconds"
    if budget.target_success is not None and success >= budget.target_success:
        return "target_success"
    if budget.target_return is None or len(tally.returns) < WINDOW:
        return ""
    return "target_return" if tally.mean_return >= budget.target_return else ""


def share_spent(budget: Budget, tally: Tally, seconds: float) -> float:
    """Share of the budget in [0, 1]: by env steps where they are limited, else by tokens, else by seconds."""
    if budget.env_steps is not None:
        return min(tally.env_steps / budget.env_steps, 1.0)
    if budget.tokens is not None:
        return min(tally.tokens / budget.tokens, 1.0)
    return min(seconds / budget.seconds, 1.0) if budget.seconds is not None else 0.0


def nothing_left(budget: Budget, tally: Tally, seconds: float, reason: str) -> str:
    """Why there is nothing left to do, and how to go on all the same."""
    if reason == "env_steps":
        done = f"{tally.env_steps:,} of {budget.env_steps:,} env steps"
        more = f"larger budget, as in budget.env_steps={2 * tally.env_steps}"
    elif reason == "tokens":
        done = f"{tally.tokens:,} of {budget.tokens:,} tokens"
        more = f"larger budget, as in budget.tokens={2 * tally.tokens}"
    elif reason == "seconds":
        done = f"{clock(seconds)} of {clock(budget.seconds)}"
        more = f"larger budget, as in budget.seconds={2 * max(round(seconds), 1)}"
    elif reason == "target_success":
        done = f"the wanted success of {budget.target_success:.4g} was reached"
        more = "higher goal with budget.target_success=…"
    else:
        done = f"return {tally.mean_return:.4g} of the wanted {budget.target_return:.4g}"
        more = "higher goal with budget.target_return=…"
    return f"is finished: {done}; to go on, give it a {more}"
