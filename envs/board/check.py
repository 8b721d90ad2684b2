"""What every game must hold to, checked on random games: `check_game`."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from envs.board import game as rules
from envs.board.batch import observe_states
from envs.board.game import OPEN, OUTCOMES, PLAYOUT, SIGNATURES, Game, outcome, ply, to_play
from envs.kernels import kernel
from envs.rng import from_seeds

BESIDE = 2
"""Elements on either side of each array that a rule is given, which it must leave alone."""
GUARD = np.uint64(0xA5A5A5A5A5A5A5A5)
NEAR = 200
"""Positions that are searched at most for how a game may end."""


def check_game(game: Game, games: int = 20, seed: int = 0) -> None:
    """Play `games` random games and hold every rule to what `envs.board.game` asks for.

    Raises `AssertionError` with one line: what is wrong, and after which moves. It cannot tell whether sound
    rules are those of the game that was meant. A symmetry is checked in play where it leaves the first
    position as it is.
    """
    check_description(game)
    random = np.random.default_rng(seed)
    texts: dict[str, int] = {}
    for _ in range(games):
        line = Line(game)
        check_position(line, texts)
        while outcome(line.state) == OPEN:
            line.play(int(random.choice(np.flatnonzero(line.mask))))
            check_position(line, texts)
        check_batch(line)
        check_symmetries(line)
        check_playouts(line, random)


class Line:
    """One game: what was played, and every position with its mask and planes."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.actions: list[int] = []
        words = [np.full(game.words, fill, np.uint64) for fill in (0, np.iinfo(np.uint64).max)]
        self.state, other = (self.call(rules.start, each) for each in words)
        self.require((self.state == other).all(), "start leaves words of the state unwritten")
        self.states: list[np.ndarray] = []
        self.masks: list[np.ndarray] = []
        self.planes: list[np.ndarray] = []

    def play(self, action: int) -> None:
        """Play a legal action, on two copies."""
        seat, count = to_play(self.state), ply(self.state)
        once, twice = (self.call(rules.play, self.state, None, action) for _ in range(2))
        self.actions.append(action)
        self.require((once == twice).all(), "play is not the same twice")
        self.state = once
        self.require(ply(once) == count + 1, f"play moves the ply from {count} to {ply(once)}")
        self.require(to_play(once) in (0, 1) and seat in (0, 1), "to_play is no seat")

    @property
    def mask(self) -> np.ndarray:
        return self.masks[-1]

    def call(self, rule: Callable[..., Any], state: np.ndarray, out: Any = None, action: Any = None) -> Any:
        """Call a rule on copies within larger arrays; what it wrote: the state, or (returned, `out`)."""
        given, inner = _within(state, GUARD)
        wide, written = _within(np.zeros(0, bool) if out is None else out, out is not None and out[0])
        before, around = given.copy(), wide.copy()
        rest = [x for x in (None if out is None else written, action) if x is not None]
        said = rule(self.game.code, inner, *rest)
        name = rule.__name__
        kept = (given[:BESIDE] == before[:BESIDE]).all() and (given[-BESIDE:] == before[-BESIDE:]).all()
        self.require(kept, f"{name} writes outside the state")
        kept = (wide[:BESIDE] == around[:BESIDE]).all() and (wide[-BESIDE:] == around[-BESIDE:]).all()
        self.require(kept, f"{name} writes outside its array")
        if out is None:
            return inner.copy()
        self.require((given == before).all(), f"{name} changes the state")
        return said, written.copy()

    def written(self, rule: Callable[..., Any], size: int) -> tuple[Any, np.ndarray]:
        """What `legal` or `observe` returns and writes, whatever stood in its array."""
        (said, one), (again, other) = (
            self.call(rule, self.state, np.full(size, fill, bool)) for fill in (False, True)
        )
        whole = said == again and (one == other).all()
        self.require(whole, f"{rule.__name__} leaves entries unwritten, or is not the same twice")
        return said, one

    def require(self, holds: Any, said: str) -> None:
        """Raise `AssertionError` where something does not hold."""
        if not holds:
            moves = " ".join(self.game.move_text(action) for action in self.actions)
            where = f"after '{moves}'" if moves else "at the start"
            raise AssertionError(f"{self.game.name}: {said}, {where:.300}")


def check_description(game: Game) -> None:
    """What a `Game` says of itself, and that it can be made again."""

    def require(holds: Any, said: str) -> None:
        if not holds:
            raise AssertionError(f"{game.name}: {said}")

    strange = set(game.rules) - set(SIGNATURES)
    require(not strange, f"there are no rules named {', '.join(sorted(strange))}")
    missing = set(SIGNATURES) - {"playout"} - set(game.rules)
    require(not missing, f"the rules {', '.join(sorted(missing))} are missing")
    require(
        min(*game.shape, game.actions, game.words, game.longest) > 0,
        "shape, actions, words and longest count from 1",
    )
    require(game.longest < 1 << 16, f"longest is {game.longest}, the header counts to {(1 << 16) - 1}")
    for name, length in (("cell_maps", game.shape[0] * game.shape[1]), ("action_maps", game.actions)):
        maps = getattr(game, name)
        right = maps.shape == (len(game.cell_maps), length if len(maps) else 0)
        require(right, f"{name} is {list(maps.shape)}, not [{len(game.cell_maps)}, {length}]")
        require(
            (np.sort(maps) == np.arange(length)[: maps.shape[1]]).all(), f"a row of {name} is no permutation"
        )
        require(
            (maps[:1] == np.arange(length)[: maps.shape[1]]).all(), f"the first row of {name} moves something"
        )
    try:
        again = pickle.loads(pickle.dumps(game))
    except ValueError as error:
        raise AssertionError(
            f"{game.name}: it cannot be made again by its name and options: {error}"
        ) from None
    same = again.numbers == game.numbers and again.actions == game.actions and again.words == game.words
    require(same, "its name and options make another game")


def check_position(line: Line, texts: dict[str, int]) -> None:
    """Masks, planes, header, text and flaw of a line's last position."""
    game, state = line.game, line.state
    count, mask = line.written(rules.legal, game.actions)
    _, planes = line.written(rules.observe, game.shape[0] * game.shape[1] * len(game.planes))
    line.states.append(state)
    line.masks.append(mask)
    line.planes.append(planes.reshape(*game.shape, len(game.planes)))
    line.require(count == mask.sum(), f"legal counts {count} actions and marks {mask.sum()}")
    end = outcome(state)
    line.require(
        end == OPEN or not count, f"the game is over ({OUTCOMES[end]}), and {count} actions are legal"
    )
    line.require(end != OPEN or count, "no action is legal, and the game is not over")
    line.require(int(state[0]) >> 19 == 0, "the header has bits that mean nothing")
    line.require(ply(state) == len(line.actions), f"{len(line.actions)} plies are counted as {ply(state)}")
    line.require(
        end != OPEN or ply(state) < game.longest, f"the game goes on, where {game.longest} plies are the most"
    )
    line.require(game.flaw(state) == "", f"flaw says of a position from play: {game.flaw(state)}")
    line.require(isinstance(game.board_text(state), str), "board_text gives no text")
    for action in np.flatnonzero(mask).tolist():
        text = game.move_text(action)
        if texts.setdefault(text, action) != action:
            line.require(False, f"the actions {texts[text]} and {action} are both written '{text}'")
        line.require(
            _parsed(game, text) == action,
            f"action {action} is written '{text}', which reads as {_parsed(game, text)}",
        )


def check_batch(line: Line) -> None:
    """All positions of a line at once are what they were one by one."""
    obs = observe_states(line.game, np.stack(line.states))
    line.require((obs["action_mask"] == np.stack(line.masks)).all(), "a batch has other legal actions")
    line.require((obs["planes"] == np.stack(line.planes)).all(), "a batch has other planes")


def check_symmetries(line: Line) -> None:
    """The mirrored game, action by action, has the mirrored masks, planes and end."""
    game = line.game
    for k, (cells, actions) in enumerate(zip(game.cell_maps, game.action_maps)):
        if (_mirrored(line.planes[0], cells) != line.planes[0]).any():
            continue
        twin = Line(game)
        for t in range(len(line.states)):
            if t:
                twin.play(int(np.flatnonzero(actions == line.actions[t - 1])[0]))
            _, mask = twin.written(rules.legal, game.actions)
            _, planes = twin.written(rules.observe, line.planes[t].size)
            twin.require(
                (mask == line.masks[t][actions]).all(), f"symmetry {k} does not map the legal actions"
            )
            right = (planes == _mirrored(line.planes[t], cells).reshape(-1)).all()
            twin.require(right, f"symmetry {k} does not map the planes")
        same = outcome(twin.state) == outcome(line.state)
        twin.require(same, f"the game mirrored by symmetry {k} ends otherwise")


def check_playouts(line: Line, random: np.random.Generator) -> None:
    """From positions of a line, playouts end as play can end, by their own generator only."""
    game = line.game
    if "playout" not in game.rules:
        return
    for state in [*line.states[-4:], line.states[int(random.integers(len(line.states)))]]:
        possible = ends(game, state) or {1, 2, 3}
        for seed in random.integers(1 << 32, size=5):
            generators = [from_seeds([1, seed, 3]) for _ in range(2)]
            got = [play_out(game.code, state.copy(), each, 1) for each in generators]
            line.require(got[0] == got[1], "playouts from the same generator end differently")
            said = OUTCOMES[got[0]] if 0 <= got[0] < len(OUTCOMES) else got[0]
            line.require(got[0] in possible, f"a playout ends with '{said}', which play does not")
            kept = generators[0][[0, 2]] == from_seeds([1, 3])
            line.require(kept.all(), "a playout draws from another's generator")


def ends(game: Game, state: np.ndarray) -> set[int]:
    """The outcomes that can come of a position; empty where there is too much to search."""
    found, waiting, seen = set(), [state], 0
    while waiting:
        position = waiting.pop()
        seen += 1
        if seen > NEAR:
            return set()
        if outcome(position) != OPEN:
            found.add(int(outcome(position)))
            continue
        mask = np.zeros(game.actions, bool)
        rules.legal(game.code, position, mask)
        for action in np.flatnonzero(mask):
            waiting.append(position.copy())
            rules.play(game.code, waiting[-1], action)
    return found


@kernel
def play_out(code, state, rng, i):  # type: ignore[no-untyped-def]
    """The outcome of one of the game's own playouts."""
    return rules.call_playout(code[0][PLAYOUT], (state, code[1], rng, i))


def _parsed(game: Game, text: str) -> int | str:
    try:
        return game.parse_move(text)
    except ValueError as error:
        return str(error)


def _mirrored(planes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    flat = planes.reshape(-1, planes.shape[-1])
    return flat[cells].reshape(planes.shape)


def _within(array: np.ndarray, beside: Any) -> tuple[np.ndarray, np.ndarray]:
    """A larger array, filled with `beside`, and the part of it that holds a copy of `array`."""
    wide = np.full(len(array) + 2 * BESIDE, beside, array.dtype)
    wide[BESIDE:-BESIDE] = array
    return wide, wide[BESIDE:-BESIDE]
