"""Board games as a language model plays them: every position is a prompt, every move a completion alone.

A text of a position holds all of it (`envs.board.wording`), so nothing that was said before a move is read
again: a game of 40 moves is 40 short sequences, and no long one. An answer that is no legal move gives the
game up, which the environment counts as lost.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from envs.base import FORFEIT
from envs.board.wording import Wording, wording_of
from rollouts.rollout import Rollout


def in_words(observation_space: spaces.Space, action_space: spaces.Space) -> Wording:
    """The wording of a game, for a language model (`ValueError` where there is none)."""
    try:
        return wording_of(observation_space, action_space)
    except ValueError as error:
        raise ValueError(f"a language model reads and writes text: {error}") from None


def forfeits(rollout: Rollout) -> np.ndarray:
    """The reward term of this name: float32 `[T, n]`, 1 where no legal move was said, else 0.

    Its mean is the share of such moves, so that a weight of 0 logs it and no more.
    """
    return (np.asarray(rollout.actions) == FORFEIT).astype(np.float32)


def alone(
    tokens: np.ndarray, lengths: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Episodes `[S, M]` as their `D` decisions, in order, each a sequence of its own.

    A decision is what was read, and then what was written (where `mask` is): it begins where reading follows
    writing. Returns tokens, lengths and mask of the decisions, and groups (int64 `[D]`): those of one group
    read the same.
    """
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    begins = inside & ~mask
    begins[:, 1:] &= mask[:, :-1]
    episode, start = np.nonzero(begins)
    last = np.append(episode[1:] != episode[:-1], True)[: len(episode)]
    stop = np.where(last, lengths[episode], np.append(start[1:], 0)[: len(start)])
    place = np.arange(int((stop - start).max(initial=0)))
    own = place < (stop - start)[:, None]
    at = episode[:, None], np.where(own, start[:, None] + place, 0)
    said, wrote = np.where(own, tokens[at], 0), mask[at] & own
    read = np.where(own & ~wrote, said, -1)
    _, group = np.unique(read, axis=0, return_inverse=True)
    return said, stop - start, wrote, group.reshape(-1)
