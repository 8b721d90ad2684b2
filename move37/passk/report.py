"""What the tries of an experiment say: everything that is told, from the samples alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llm_rl.coverage import fit_power_law, forecast, plan
from llm_rl.passk import (
    Crossover,
    Interval,
    chance_at_k,
    corrected,
    crossover,
    difference_interval,
    interval,
    mean_interval,
    over_tries,
    pass_at_k,
    pass_hat_k,
    perplexity,
    scarce,
    solved_sets,
)
from llm_rl.votes import best_of_k, maj_at_k, tally
from move37.errors import UserError

FAR = tuple(2**i for i in range(21))
"""Where coverage is forecast."""
REFITS = 100
"""Of a forecast, for its interval."""
SWAMPED = 0.5
"""Of the base's coverage: where chance reaches this share, a curve says little."""
LISTED = 20
"""Problems of a kind that are named."""
SEEN = 0.03
"""The difference that the advice on a next experiment is for."""


@dataclass(frozen=True)
class Tries:
    """What one policy did on one set of problems. Arrays are `[S]`, a try each."""

    problem: np.ndarray
    """int64: the number of its problem, from 0."""
    success: np.ndarray
    """bool."""
    invalid: np.ndarray
    """bool: judging it failed; it is in no number."""
    tokens: np.ndarray | None = None
    log_prob: np.ndarray | None = None
    answer: np.ndarray | None = None
    """int64: equal ones for equal answers; −1 for none."""
    proved: np.ndarray | None = None
    """bool: the answer and every step is right."""
    base_log_prob: np.ndarray | None = None
    """By the base; NaN where it was not asked."""
    cut: np.ndarray | None = None
    truth: np.ndarray | None = None
    """bool: success without the errors of a verifier that is told to err."""

    def counts(self, what: np.ndarray, problems: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, c) of each problem: valid tries, and those for which `what` holds."""
        valid = ~self.invalid
        n = np.bincount(self.problem[valid], minlength=problems)
        return n, np.bincount(self.problem[valid], what[valid], minlength=problems).astype(np.int64)


@dataclass(frozen=True)
class Field:
    """A set of problems, and what every policy did on it."""

    name: str
    problems: Sequence[str]
    """Their names."""
    tries: Mapping[str, Tries]
    chance: np.ndarray | None = None
    """float64 `[P]`: of an answer at random; None: it is not known."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How each policy drew its words."""
    training: Mapping[str, float] = field(default_factory=dict)
    """Tokens that each policy was trained on."""
    levels: np.ndarray | None = None
    """int64 `[P]`: how hard each is."""


def report_on(
    there: Field, base: str, ks: Sequence[int] | None = None, seed: int = 0, resamples: int = 2000
) -> dict[str, Any]:
    """All numbers of one set of problems, as plain data (`UserError` for tries that do not suffice)."""
    asked = _asked(there, ks)
    p = len(there.problems)
    made = {name: Curves(name, tries, p, asked, seed, resamples) for name, tries in there.tries.items()}
    told: dict[str, Any] = {"problems": p, "k": asked.tolist(), "base": base, "warnings": []}
    told["policies"] = {name: curves.told() for name, curves in made.items()}
    if there.chance is not None:
        chance = chance_at_k(there.chance, asked).mean(axis=0)
        told["chance"] = chance.tolist()
        for name, curves in made.items():
            told["policies"][name]["corrected"] = _numbers(corrected(curves.passed.mean(axis=0), chance))
    for name, tokens in there.training.items():
        told["policies"][name]["training_tokens"] = tokens
    if there.levels is not None and len(np.unique(there.levels)) > 1:
        for name, curves in made.items():
            told["policies"][name]["levels"] = curves.by_level(there.levels)
    others = [name for name in made if name != base]
    told["against_base"] = {
        name: versus(made[base], made[name], there, asked, seed, resamples) for name in others
    }
    told["warnings"] = warnings_of(there, made, base, asked, told)
    return told


def _asked(there: Field, ks: Sequence[int] | None) -> np.ndarray:
    """Where pass@k is told."""
    fewest = {
        name: int(tries.counts(tries.success, len(there.problems))[0].min())
        for name, tries in there.tries.items()
    }
    least = min(fewest, key=fewest.__getitem__)
    if ks is not None:
        if max(ks) > fewest[least]:
            said = f"k={max(ks)} needs as many tries at each problem; {least} has one with {fewest[least]}"
            raise UserError(f"{there.name}: {said}")
        return np.array(sorted(set(ks)))
    if fewest[least] < 1:
        raise UserError(f"{there.name}: {least} has a problem without a valid try")
    most = max(1, fewest[least] // 4)
    return 2 ** np.arange(int(np.log2(most)) + 1)


class Curves:
    """One policy's curves on one set of problems."""

    def __init__(
        self, name: str, tries: Tries, problems: int, ks: np.ndarray, seed: int, resamples: int
    ) -> None:
        self.name, self.tries, self.problems, self.ks = name, tries, problems, ks
        self.seed, self.resamples = seed, resamples
        self.n, self.c = tries.counts(tries.success, problems)
        self.passed = pass_at_k(self.n, self.c, ks)

    @property
    def rates(self) -> np.ndarray:
        """Of success, `[P]`."""
        return self.c / self.n

    def told(self) -> dict[str, Any]:
        """As plain data."""
        tries, valid = self.tries, ~self.tries.invalid
        told: dict[str, Any] = {
            "samples": int(valid.sum()),
            "invalid": float(tries.invalid.mean()),
            "pass": self._plain(self.passed),
            "pass_of_these_problems": self.of_these_problems(),
            "pass_hat": pass_hat_k(self.n, self.c, self.ks).mean(axis=0).tolist(),
            "rates": np.round(self.rates, 6).tolist(),
        }
        if tries.proved is not None:
            n, c = tries.counts(tries.proved, self.problems)
            told["proved"] = self._plain(pass_at_k(n, c, self.ks))
        if tries.answer is not None:
            told["majority"] = self._plain(self.majority())
        told["best_of"] = {name: self._plain(self.best(score)) for name, score in self.scores().items()}
        if tries.tokens is not None:
            told["tokens"] = float(tries.tokens[valid].mean())
        if tries.cut is not None:
            told["cut"] = float(tries.cut[valid].mean())
        return told | self.fits()

    def of_these_problems(self) -> dict[str, Any] | None:
        """The interval where these problems are all there is; None where k is more than half of the tries."""
        if self.n.min() // 2 < self.ks.max():
            return None
        drawn = over_tries(self.n, self.c, self.ks, self.resamples, self.seed)
        return _rows(interval(self.passed.mean(axis=0), drawn))

    def by_level(self, levels: np.ndarray) -> dict[str, dict[str, float]]:
        """Success and tokens of a try, by how hard its problem is."""
        tries, found = self.tries, {}
        for level in np.unique(levels):
            mine = (levels[tries.problem] == level) & ~tries.invalid
            found[str(level)] = {"success": float(tries.success[mine].mean())}
            if tries.tokens is not None:
                found[str(level)]["tokens"] = float(tries.tokens[mine].mean())
        return found

    def majority(self) -> np.ndarray:
        """maj@k, `[P, K]`."""
        tries, valid = self.tries, ~self.tries.invalid
        assert tries.answer is not None
        votes = tally(tries.problem[valid], tries.answer[valid], tries.success[valid], self.problems)
        return maj_at_k(votes, self.ks, seed=self.seed)

    def scores(self) -> dict[str, np.ndarray]:
        """By which one of k tries may be chosen without knowing what is right; the highest is taken."""
        tries, found = self.tries, {}
        if tries.log_prob is not None and np.isfinite(tries.log_prob).all():
            found["log_prob"] = tries.log_prob.astype(np.float64)
            if tries.tokens is not None:
                found["log_prob_a_token"] = tries.log_prob / np.maximum(tries.tokens, 1)
        if tries.tokens is not None and len(np.unique(tries.tokens)) > 1:
            found["shortest"] = -tries.tokens.astype(np.float64)
        if tries.base_log_prob is not None and np.isfinite(tries.base_log_prob).all():
            found["by_base"] = tries.base_log_prob.astype(np.float64)
        return found

    def best(self, scores: np.ndarray) -> np.ndarray:
        """best-of-k by a score, `[P, K]`."""
        tries, rows = self.tries, np.zeros((self.problems, len(self.ks)))
        order = np.argsort(tries.problem, kind="stable")
        order = order[~tries.invalid[order]]
        starts = np.concatenate([[0], np.cumsum(self.n)])
        if len(np.unique(self.n)) == 1:
            square = order.reshape(self.problems, -1)
            return best_of_k(scores[square], tries.success[square], self.ks)
        for i in range(self.problems):
            mine = order[starts[i] : starts[i + 1]]
            rows[i] = best_of_k(scores[mine], tries.success[mine], self.ks)
        return rows

    def fits(self) -> dict[str, Any]:
        """The power law, and the forecasts of a Beta tail; nothing where there is nothing to fit."""
        coverage, found = self.passed.mean(axis=0), dict[str, Any]()
        with suppress(ValueError):
            law = fit_power_law(self.ks, coverage)
            found["power_law"] = {"a": law.a, "b": law.b, "residuals": law.residuals.tolist()}
        for name, zero in (("forecast", False), ("forecast_some_impossible", True)):
            with suppress(ValueError):
                found[name] = self.forecast(zero)
        return found

    def forecast(self, zero: bool) -> dict[str, Any]:
        """Coverage far beyond what was tried; `zero`: with problems that are never solved."""
        options: Any = {"measured_ks": self.ks, "seed": self.seed, "resamples": REFITS}
        far = forecast(self.n, self.c, FAR, zero=zero, **options)
        tail = {"alpha": far.tail.alpha, "beta": far.tail.beta, "zero": far.tail.zero}
        return {"k": list(FAR), **_rows(far.coverage), **tail, "residuals": far.residuals.tolist()}

    def _plain(self, curve: np.ndarray) -> dict[str, Any]:
        return _rows(mean_interval(curve, seed=self.seed, resamples=self.resamples))


def _rows(found: Interval) -> dict[str, Any]:
    """An interval as plain data; None where it is not known."""
    return {name: _numbers(getattr(found, name)) for name in ("value", "low", "high")}


def _numbers(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in np.atleast_1d(values)]


# -- a policy against the base -----------------------------------------------------------------------------


def versus(
    base: Curves, other: Curves, there: Field, ks: np.ndarray, seed: int, resamples: int
) -> dict[str, Any]:
    """What a policy gained and lost, on the same problems."""
    options: Any = {"seed": seed, "resamples": resamples}
    told: dict[str, Any] = {
        "difference": _rows(difference_interval(other.passed, base.passed, **options)),
        "solved": _solved(base, other, there.problems),
    }
    if len(there.problems) < 2:  # nothing to resample
        said = "one problem tells no crossover"
        none = dict.fromkeys(("k", "low", "high", "clear", "ahead"))
        return told | {"crossover": {**none, "without": 1.0, "said": said}, "next": said}
    found = crossover(base.passed, other.passed, ks, **options)
    told["crossover"] = crossed(found, base.name, other.name)
    one, two = base.tries.proved, other.tries.proved
    if one is not None and two is not None and one.any() and two.any():
        before, after = (
            pass_at_k(*c.tries.counts(p, c.problems), ks) for c, p in ((base, one), (other, two))
        )
        found = crossover(before, after, ks, **options)
        told["crossover_proved"] = crossed(found, base.name, other.name)
    seen = other.tries.base_log_prob
    if seen is not None and other.tries.tokens is not None and np.isfinite(seen).any():
        told["perplexity_under_base"] = _perplexities(other.tries, seen)
    largest = int(ks[-1])
    told["next"] = plan(base.rates, other.rates, largest, SEEN).said
    return told


def crossed(found: Crossover, base: str, other: str) -> dict[str, Any]:
    """A crossover as plain data, both policies by their names."""
    ends = [float(x) if np.isfinite(x) else None for x in (found.low, found.high)]
    told = {"k": found.k_star, "low": ends[0], "high": ends[1], "without": found.without}
    said = found.said.replace("the trained", other).replace("the base", base)
    last = float(found.difference.value[-1])
    ahead = base if last > 0 else other if last < 0 else None
    return told | {"clear": found.clear, "ahead": ahead, "said": said}


def _solved(base: Curves, other: Curves, names: Sequence[str]) -> dict[str, Any]:
    """Which problems each ever solved: how many, and some of them by name."""
    sets = solved_sets(base.c, other.c)
    found: dict[str, Any] = {}
    for name in ("only_base", "both", "only_trained", "neither"):
        index = getattr(sets, name)
        found[name] = {"count": len(index)}
        if name.startswith("only"):
            rates = base.rates if name == "only_base" else other.rates
            first = index[np.argsort(-rates[index], kind="stable")][:LISTED]
            found[name]["problems"] = [{"name": names[i], "rate": float(rates[i])} for i in first]
    return found


def _perplexities(tries: Tries, by_base: np.ndarray) -> dict[str, float]:
    """Of a policy's tries under the base and under itself: of the right ones, and of the wrong ones."""
    assert tries.tokens is not None
    assert tries.log_prob is not None
    known, found = np.isfinite(by_base) & ~tries.invalid, {}
    for name, chosen in (("right", tries.success), ("wrong", ~tries.success)):
        rows = known & chosen
        if tries.tokens[rows].sum():
            found[name] = perplexity(by_base[rows], tries.tokens[rows])
            found[f"{name}_own"] = perplexity(tries.log_prob[rows], tries.tokens[rows])
    return found


# -- what to be careful about ------------------------------------------------------------------------------


def warnings_of(
    there: Field, made: Mapping[str, Curves], base: str, ks: np.ndarray, told: Mapping[str, Any]
) -> list[str]:
    """What a reader must know before the curves are believed: a line each."""
    said = []
    for name, curves in made.items():
        few = ks[scarce(curves.n, ks)]
        if len(few):
            said.append(f"{name}: at k={few[0]} and beyond there are fewer than 4 k tries: noisy")
        if curves.tries.invalid.any():
            share = curves.tries.invalid.mean()
            said.append(f"{name}: {share:.1%} of its tries could not be judged, and are in no number")
        if _alike(curves.tries):
            said.append(f"{name}: all of its tries at a problem are alike: it has one try, not k")
        if curves.tries.truth is not None:
            truth = curves.tries.truth[~curves.tries.invalid].mean()
            said.append(f"{name}: its verifier errs (noise); in truth {truth:.1%} of its tries are right")
    if there.chance is not None:
        chance, passed = np.array(told["chance"]), made[base].passed.mean(axis=0)
        swamped = ks[chance > SWAMPED * np.maximum(passed, 1e-9)]
        if len(swamped):
            said.append(f"from k={swamped[0]} on guessing alone has half of the base's pass@k")
    said += unlike(there.settings, base)
    return said


def _alike(tries: Tries) -> bool:
    """Whether every problem's tries are one and the same: by their likelihood, else by their answers."""
    if tries.log_prob is not None and np.isfinite(tries.log_prob).all():
        told = tries.log_prob
    elif tries.answer is not None:
        told = tries.answer.astype(np.float64)
    else:
        return False
    low, high = (np.full(tries.problem.max() + 1, x) for x in (np.inf, -np.inf))
    np.minimum.at(low, tries.problem, told)
    np.maximum.at(high, tries.problem, told)
    return bool((low == high).all()) and len(tries.problem) > len(low)


def unlike(settings: Mapping[str, Mapping[str, Any]], base: str) -> list[str]:
    """In which settings policies were sampled differently from the base."""
    said = []
    for name, own in settings.items():
        other = settings.get(base, {})
        differ = [
            f"{k} {own[k]:g} (the base: {other[k]:g})" for k in own if k in other and own[k] != other[k]
        ]
        if differ:
            said.append(f"{name} was sampled with {', '.join(differ)}")
    return said
