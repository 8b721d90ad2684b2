"""External programs as agents, by the Go Text Protocol, version 2 (GTP; Farnebäck, draft 2, 2002).

We write commands, a line each, to the program's stdin; on its stdout it answers each, `= what was asked for`
or `? what is wrong`, and an empty line after it:

    boardsize 9      komi 7.5      clear_board      play black d4      genmove white
    =                =             =                =                  = F5

Seat 0 is black, seat 1 white, in every game. How moves are written, `vertex` says.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Any

import numpy as np
from gymnasium import spaces
from pydantic import Field

from agents.options import Positive, checked
from envs.board import go_text
from envs.board.game import Game, play, to_play
from envs.board.spaces import game_of
from envs.options import OptionError
from envs.rng import uniform
from rollouts.agent import Agent, Decision, Memory, Obs

COLOURS = ("black", "white")
"""Of the two seats."""
SWAP = {"swap": "swap-pieces"}
"""Hex programs call it so (HexGui, MoHex)."""
SEEDS = (1 << 31) - 1
"""So many different seeds are given to engines that take one."""
LONGEST = 1 << 20
"""Bytes of an answer, at most."""
LAST_WORDS = 2000
"""Bytes of stderr that are kept."""
GRACE = 0.5
"""Seconds that an engine has to end by itself when it is told to quit, or to say why it ended."""
NO_MOVES = "a GTP engine is told a game's moves: obs['moves'], which only a tournament's observations have"


def vertex(game: Game, action: int) -> str:
    """A move as GTP writes it: as `game.move_text` does.

    Only gomoku, which is played on go boards, gets the names that go has (no column i), and the swap of hex
    is `swap-pieces`.
    """
    if game.name == "gomoku":
        return go_text.move_text(action, game.shape[0])
    word = game.move_text(action)
    return SWAP.get(word, word) if game.name == "hex" else word


def action_at(game: Game, word: str) -> int:
    """The reverse of `vertex`, in capitals too (`ValueError` for what is no move of this game)."""
    word = word.lower()
    if game.name == "gomoku":
        action = go_text.parse_move(word, game.shape[0])
    elif game.name == "hex" and word in SWAP.values():
        action = game.parse_move("swap")
    else:
        action = game.parse_move(word)
    if not 0 <= action < game.actions:
        raise ValueError(f"'{word}' is no move of {game.name}")
    return action


# -- the process -------------------------------------------------------------------------------------------


class EngineError(Exception):
    """What an engine did instead of what it was asked to, in a line."""


class Refusal(EngineError):
    """It answered `? …`."""


class Death(EngineError):
    """Its process ended."""


class Resignation(EngineError):
    """It resigned."""


class Engine:
    """A process that speaks GTP. No shell sees the `command` (the program and its arguments).

    It ends, and all that it started with it, by `close`, when it is let go of, and with this process.
    Raises `EngineError` where it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us, and what it starts can be killed with it
            )
        except (OSError, ValueError) as error:  # ValueError: a zero byte in a word
            raise EngineError(f"cannot be started: {getattr(error, 'strerror', None) or error}") from None
        self.heard, self.last_words = b"", b""
        self.sources = selectors.DefaultSelector()
        self.close = weakref.finalize(self, _end, self.process, self.sources, os.getpid())
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            self.sources.register(stream, selectors.EVENT_READ)

    def ask(self, command: str, seconds: float) -> str:
        """What it answers to a command, without the `=`.

        Raises `Refusal` where it answers `?`, `Death` where it ends, and `EngineError` where nothing comes
        for `seconds`, what comes is no GTP, or it has spoken unasked.
        """
        self._listen(0.0)
        if said := self.heard.strip():
            raise EngineError(f"said {_quoted(said)} before '{command}'")
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its death is heard below
            self.process.stdin.write(f"{command}\n".encode())
        deadline = time.monotonic() + seconds
        while (answer := self._answer()) is None:
            left = deadline - time.monotonic()
            if left <= 0 or not self._listen(left):
                raise EngineError(f"did not answer '{command}' within {seconds:g} s")
        if answer.startswith("?"):
            raise Refusal(f"refused '{command}': {answer[1:].strip()}")
        return answer[1:].strip()

    def _answer(self) -> str | None:
        """The first answer that is there, if any, which is taken away."""
        self.heard = self.heard.replace(b"\r", b"").lstrip(b"\n")
        answer, end, rest = self.heard.partition(b"\n\n")
        if (answer and answer[:1] not in b"=?") or len(answer) > LONGEST:
            raise EngineError(f"said {_quoted(answer)}, which is no answer of GTP")
        if not end:
            return None
        self.heard = rest
        return answer.decode(errors="replace")

    def _listen(self, seconds: float) -> bool:
        """Whether anything was read within `seconds`. Raises `Death` at the end of its stdout."""
        ready = self.sources.select(seconds)
        for key, _ in ready:
            said = os.read(key.fd, 1 << 16)
            if key.fileobj is self.process.stderr:
                self.last_words = (self.last_words + said)[-LAST_WORDS:]
            else:
                self.heard += said
            if not said:
                self.sources.unregister(key.fileobj)
                if key.fileobj is self.process.stdout:
                    raise Death(self._obituary())
        return bool(ready)

    def _obituary(self) -> str:
        """How it ended, and the last that it wrote to stderr."""
        deadline = time.monotonic() + GRACE
        while self.sources.get_map() and (left := deadline - time.monotonic()) > 0:
            self._listen(left)
        self.close()
        code = self.process.returncode
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        lines = self.last_words.decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"ended ({how})" + (f": {said:.200}" if said else "")


def _quoted(said: bytes) -> str:
    """The first line of what an engine said, cut short."""
    return repr(said.strip().split(b"\n")[0].decode(errors="replace")[:60])


def _end(process: subprocess.Popen[bytes], sources: selectors.BaseSelector, owner: int) -> None:
    """Have a process quit, or kill it, and what it started too. That of another process is left alone."""
    sources.close()
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            process.stdin.write(b"quit\n")  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
        _hear_out(process.stdout)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so nobody else can have its id
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()  # type: ignore[union-attr]


def _hear_out(stream: Any) -> None:
    """Read on to the end, which comes when the process ends, for `GRACE` at most."""
    deadline = time.monotonic() + GRACE
    with selectors.DefaultSelector() as source:
        source.register(stream, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if source.select(left) and not os.read(stream.fileno(), 1 << 16):
                return


# -- the agent ---------------------------------------------------------------------------------------------


class GtpPlayer(Agent):
    """A program that speaks GTP, run by `command`: words as a shell would split them, or a list of them.

    It may take `seconds` for an answer, and `start_seconds` for each of those that it gives after its start,
    before it is asked for moves. `setup` are commands of GTP that it is given then, as `level 1`. Where its
    process ends in the middle of a decision, it is started anew `retries` times at most.

    It plays row by row: what is new in `obs["moves"]` (int16 `[n, plies]`: the actions that led there, −1
    where a row's game is shorter) is played on its board, then it is asked for a move. If it knows
    `set_random_seed`, it gets one of the row's generator before, and is told to `clear_cache`, so that its
    move follows from the game so far and the seed.

    Decisions carry `forfeit` (str `[n]`): why there is no move, and the action is −1; empty where there is
    one. It answered late or nothing, ended too often, resigned, answered what is no legal move or no GTP, or
    refused what it was told. But for a resignation, its process is ended then, and the next row gets another.

    Raises `ValueError` for spaces of no board game, `OptionError` where the program cannot be started, or
    refuses this board, this komi or a command of the `setup`.
    """

    @checked
    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        device: str = "cpu",
        command: str | list[str],
        seconds: Positive = 60.0,
        start_seconds: Positive = 60.0,
        setup: list[str] | tuple[str, ...] = (),
        retries: Annotated[int, Field(ge=0)] = 1,
    ) -> None:
        self.game = game_of(observation_space)
        self.options = {
            "command": command,
            "seconds": seconds,
            "start_seconds": start_seconds,
            "setup": list(setup),
            "retries": retries,
        }
        self.words, self.setup = _words(command), list(setup)
        self.seconds, self.start_seconds, self.retries = seconds, start_seconds, retries
        self.engine: Engine | None = None
        self.title = ""
        """The program's name and version, as it tells them."""
        try:
            self._start()
        except EngineError as error:
            self.close()
            raise OptionError("command", f"command '{shlex.join(self.words)}': {error}") from None

    def act(
        self, obs: Obs, *, rng: np.ndarray, first: np.ndarray, memory: Memory = None, explore: bool = True
    ) -> Decision:
        if "moves" not in obs:
            raise ValueError(NO_MOVES)
        actions, forfeits = np.full(len(obs["moves"]), -1, np.int64), []
        seeds = (uniform(rng) * SEEDS).astype(np.int64).tolist()
        for k, (row, mask, seed) in enumerate(zip(obs["moves"], obs["action_mask"], seeds)):
            try:
                actions[k] = self._decide(row[row >= 0].tolist(), mask, seed)
                forfeits.append("")
            except EngineError as error:
                forfeits.append(str(error))
        return Decision(actions, fields={"forfeit": np.array(forfeits, str)})

    def close(self) -> None:
        """End the process. A later decision starts another."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> GtpPlayer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def spec(self) -> dict[str, Any]:
        return {"path": "search.gtp:GtpPlayer", "options": self.options}

    def _decide(self, moves: list[int], mask: np.ndarray, seed: int) -> int:
        """The engine's move after `moves`, one of those in `mask` (`EngineError` where it has none)."""
        lives = self.retries
        while True:
            try:
                return self._ask_move(moves, mask, seed)
            except Resignation:
                raise
            except Death:
                self.close()
                if not lives:
                    raise
                lives -= 1
            except BaseException:  # Ctrl-C too: an answer that is still to come must not be taken for another
                self.close()
                raise

    def _ask_move(self, moves: list[int], mask: np.ndarray, seed: int) -> int:
        if self.engine is None:
            self._start()
        if moves[: len(self.at)] != self.at:
            self._begin(self.seconds)
        for action in moves[len(self.at) :]:
            self._tell(f"play {self._colour} {vertex(self.game, action)}", self.seconds)
            self._follow(action)
        if self.seeded:
            self._tell(f"set_random_seed {seed}", self.seconds)
            self._optional("clear_cache", self.seconds)  # else GNU Go's moves depend on what it played before
        said = self._tell(f"genmove {self._colour}", self.seconds)
        if said.lower() == "resign":
            raise Resignation("resigned")
        try:
            action = action_at(self.game, said)
        except ValueError as error:
            raise EngineError(f"answered no move: {error}") from None
        if not mask[action]:
            raise EngineError(f"answered {said}, which is not legal here")
        self._follow(action)
        return action

    def _start(self) -> None:
        """Start the engine, and bring it to the first position."""
        self.engine = Engine(self.words)
        self._tell("protocol_version", self.start_seconds)
        title = [self._optional(command, self.start_seconds) for command in ("name", "version")]
        self.title = " ".join(title).strip()
        self.seeded = self._optional("known_command set_random_seed", self.start_seconds) == "true"
        for command in self.setup:
            self._tell(command, self.start_seconds)
        self._begin(self.start_seconds)

    def _begin(self, seconds: float) -> None:
        """Bring the engine to the first position."""
        self._tell(f"boardsize {self.game.shape[1]}", seconds)
        if "komi" in self.game.options:
            self._tell(f"komi {self.game.options['komi']}", seconds)
        self._tell("clear_board", seconds)
        self.at, self.state = list[int](), self.game.new()[0]

    def _follow(self, action: int) -> None:
        """Note that the engine's board has one move more."""
        self.at.append(action)
        play(self.game.code, self.state, action)

    @property
    def _colour(self) -> str:
        return COLOURS[to_play(self.state)]

    def _tell(self, command: str, seconds: float) -> str:
        assert self.engine is not None
        return self.engine.ask(command, seconds)

    def _optional(self, command: str, seconds: float) -> str:
        """What it answers to a command that it may refuse."""
        try:
            return self._tell(command, seconds)
        except Refusal:
            return ""


def _words(command: str | list[str]) -> list[str]:
    """The program and its arguments (`OptionError` where there are none)."""
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        raise OptionError("command", f"command {command!r:.60}: {error}") from None
    if not words or not words[0]:
        raise OptionError("command", "command needs a program, such as gnugo --mode gtp")
    return words
