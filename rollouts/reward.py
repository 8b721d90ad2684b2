"""What a learner maximises: named terms with weights, over a rollout.

A term is a callable `Rollout -> array`, `[T, n]` or `[T, n, tokens]`; where both kinds meet, the first counts
at the last token that the agent wrote. One that learns or keeps a state is a `Term`, built as
`cls(**options)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from envs.nearest import suggest
from envs.options import OptionError, check_options
from envs.paths import resolve
from rollouts.agent import Metrics
from rollouts.rollout import Rollout

TermFunction = Callable[[Rollout], np.ndarray]


class Term:
    """A reward term with options and, if it needs one, a state."""

    def __call__(self, rollout: Rollout) -> np.ndarray:
        """The term's value for each row: float32 `[T, n]` (or `[T, n, tokens]`)."""
        raise NotImplementedError

    def learn(self, rollout: Rollout) -> Metrics:
        """Improve from a rollout, where the term learns."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What later values depend on."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""


class Env(Term):
    """The environment's own reward, as it is."""

    def __call__(self, rollout: Rollout) -> np.ndarray:
        return rollout.env_rewards


class Clip(Term):
    """The environment's reward clipped to [low, high] (Mnih et al., 2015: −1 to 1)."""

    def __init__(self, low: float = -1.0, high: float = 1.0):
        if not low <= high:
            raise ValueError(f"clip: low ({low}) is not below high ({high})")
        self.low, self.high = low, high

    def __call__(self, rollout: Rollout) -> np.ndarray:
        return np.clip(rollout.env_rewards, self.low, self.high)


class DiscountedReturns:
    """Discounted returns so far of each slot, over rollouts, and their running deviation."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma
        self.returns, self.episode = np.zeros(0), np.zeros(0, np.int64)
        self.count, self.mean, self.m2 = 1e-4, 0.0, 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation of all returns so far."""
        return float(np.sqrt(self.m2 / self.count + 1e-8))

    def follow(
        self, rewards: np.ndarray, ends: np.ndarray, valid: np.ndarray, episode: np.ndarray
    ) -> np.ndarray:
        """The return up to each row that is `valid`, float64 `[T, n]`.

        It starts anew after rows where `ends` is set, and where an `episode` was left without an end.
        """
        if self.returns.shape != rewards.shape[1:]:
            self.returns = np.zeros(rewards.shape[1])
        if self.episode.shape != episode.shape[1:]:  # so in older checkpoints too
            self.episode = episode[0].copy()
        seen = np.empty(rewards.shape)
        for t, there in enumerate(valid):
            so_far = np.where(episode[t] == self.episode, self.returns, 0.0) * self.gamma + rewards[t]
            seen[t] = self.returns = np.where(there, so_far, self.returns)
            self.returns = np.where(there & ends[t], 0.0, self.returns)
            self.episode = np.where(there, episode[t], self.episode)
        self._count(seen[valid])
        return seen

    def state_dict(self) -> dict[str, Any]:
        """What later values depend on."""
        told = {"returns": self.returns, "episode": self.episode}
        return told | {"count": self.count, "mean": self.mean, "m2": self.m2}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self.returns, self.episode = np.array(state["returns"]), np.array(state.get("episode", ()), np.int64)
        self.count, self.mean, self.m2 = float(state["count"]), float(state["mean"]), float(state["m2"])

    def _count(self, values: np.ndarray) -> None:
        """Welford's update of mean and squared deviations by a batch (Chan et al., 1979)."""
        if not len(values):
            return
        delta, total = values.mean() - self.mean, self.count + len(values)
        self.m2 += values.var() * len(values) + delta**2 * self.count * len(values) / total
        self.mean += delta * len(values) / total
        self.count = total


class Normalise(Term):
    """The environment's reward divided by the running standard deviation of discounted returns.

    Engstrom et al., 2020 ("Implementation matters"), with the same `gamma` as the learner's.
    """

    def __init__(self, gamma: float = 0.99, clip: float = 10.0):
        if not 0 <= gamma <= 1:
            raise ValueError(f"normalise: gamma must be from 0 to 1, not {gamma}")
        if not 0 < clip < math.inf:
            raise ValueError(f"normalise: clip must be above 0, not {clip}")
        self.gamma, self.clip = gamma, clip
        self.returns = DiscountedReturns(gamma)

    def __call__(self, rollout: Rollout) -> np.ndarray:
        ends = rollout.terminated | rollout.truncated
        self.returns.follow(rollout.env_rewards, ends, rollout.valid, rollout.episode)
        scaled = rollout.env_rewards / self.returns.deviation
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        return self.returns.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.returns.load_state_dict(state)


TERMS: dict[str, type[Term] | str] = {
    "env": Env,
    "clip": Clip,
    "normalise": Normalise,
    "counts": "rollouts.counts:Counts",
    "curiosity": "agents.curiosity:Curiosity",
    "forfeits": "llm_rl.boards:forfeits",
    "novelty": "llm_rl.novelty:Novelty",
}
"""The terms of short names; some by their import path, to be loaded when asked for."""


class Reward:
    """The weighted sum of named terms.

    `terms` maps a name to a weight, or to `{"weight": w, **options}`. Names are those in `TERMS`, the
    environment's `parts`, and import paths (`pkg.module:Name`, a `Term` class or a plain function).
    """

    def __init__(self, terms: Mapping[str, Any], parts: tuple[str, ...] = ()) -> None:
        if not terms:
            raise ValueError("no reward term is given; for the environment's own reward write {env: 1.0}")
        self.weights: dict[str, float] = {}
        self.terms: dict[str, TermFunction] = {}
        for name, setting in terms.items():
            options = dict(setting) if isinstance(setting, Mapping) else {"weight": setting}
            self.weights[name] = _weight(name, options.pop("weight", 1.0))
            self.terms[name] = _term(name, options, parts)

    def __call__(self, rollout: Rollout) -> None:
        """Set `rollout.rewards` and `rollout.terms`."""
        rollout.terms = {name: term(rollout) for name, term in self.terms.items()}
        weighted = [self.weights[name] * term for name, term in rollout.terms.items()]
        if len({term.ndim for term in weighted}) > 1:
            weighted = [term if term.ndim == 3 else _at_last_token(term, rollout) for term in weighted]
        rollout.rewards = np.asarray(sum(weighted), np.float32)

    def learn(self, rollout: Rollout) -> Metrics:
        """Let the terms that learn do so; returns the mean of every term by name, and what they report."""
        metrics = {f"reward/{k}": _mean(v, rollout.valid) for k, v in rollout.terms.items()}
        for name, term in self.terms.items():
            if isinstance(term, Term):
                metrics |= {f"reward/{name}/{k}": v for k, v in term.learn(rollout).items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """The states of all terms, by name."""
        return {name: term.state_dict() for name, term in self.terms.items() if isinstance(term, Term)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        for name, term in self.terms.items():
            if isinstance(term, Term):
                term.load_state_dict(state[name])


def reached(rollout: Rollout, name: str) -> np.ndarray:
    """What each row's action led to, `[T, n, ...]`: the next observation, or its episode's true last one.

    Of a dict these are the `planes`. Raises `ValueError`, which begins with a term's `name`, for what is no
    array of numbers.
    """
    both = rollout.obs, rollout.final_obs
    seen, final = (x.get("planes") if isinstance(x, Mapping) else x for x in both)
    if not isinstance(seen, np.ndarray) or seen.dtype.kind not in "biuf":
        raise ValueError(f"{name} needs observations in arrays of numbers; these are of another kind")
    following, at = seen[1:].copy(), rollout.final_at
    if len(at):
        following[at[:, 0], at[:, 1]] = final
    return following


def _weight(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        said = f"weight of reward term '{name}' must be a finite number, not {given!r:.60}"
        raise OptionError(f"{name}.weight", said)
    return float(given)


def _term(name: str, options: dict[str, Any], parts: tuple[str, ...]) -> TermFunction:
    if name in parts:
        _no_options(name, "a part of the environment", options)
        return lambda rollout: rollout.parts[name]
    found: Any = TERMS.get(name, name)
    if isinstance(found, str) and ":" in found:
        found = resolve(found)
    if isinstance(found, str):
        raise OptionError(name, f"no reward term '{name}'; {suggest(name, [*TERMS, *parts], 'on offer')}")
    if not isinstance(found, type):
        _no_options(name, "a function", options)
        return found
    try:
        check_options(f"reward term '{name}'", found, options)
        return found(**options)
    except OptionError as error:
        raise OptionError(f"{name}.{error.option}", str(error)) from None


def _no_options(name: str, what: str, options: Mapping[str, Any]) -> None:
    if options:
        said = f"reward term '{name}' is {what}: it takes a weight and nothing else"
        raise OptionError(f"{name}.{min(options)}", said)


def _at_last_token(term: np.ndarray, rollout: Rollout) -> np.ndarray:
    """`term` `[T, n]` as `[T, n, tokens]`, at the last token that the agent wrote (the very last without)."""
    if "token_mask" not in rollout.fields:
        raise ValueError("terms a row and terms a token need an agent whose decisions have a `token_mask`")
    mask = rollout.fields["token_mask"]
    out = np.zeros(mask.shape, np.float32)
    last = mask.shape[-1] - 1 - np.argmax(mask[..., ::-1] > 0, axis=-1)
    np.put_along_axis(out, last[..., None], term[..., None], axis=-1)
    return out


def _mean(term: np.ndarray, valid: np.ndarray) -> float:
    return float(term[valid].mean()) if valid.any() else 0.0
