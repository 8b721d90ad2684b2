"""Our agents as engines that speak GTP (see `search.gtp`), so that other programs can play them."""

from __future__ import annotations

import re
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from move37.arguments import Checkpoint, Debug, Trust
from move37.games import GameName, GameOptions, Size, load_game

if TYPE_CHECKING:
    from envs.board.game import Game
    from rollouts.agent import Agent

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Characters that the protocol has engines ignore: all control characters but the tab and the line's end."""


def gtp(
    game: GameName,
    options: GameOptions = None,
    agent: Annotated[
        str,
        typer.Option(metavar="PLAYER", help="A run folder, uct:1000, alphabeta:6, perfect or random."),
    ] = "uct:1000",
    size: Size = None,
    checkpoint: Checkpoint = "last",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the agent's chance.")] = 0,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Let other programs play an agent, by the Go Text Protocol.

    Commands come through stdin, a line each, until quit. The board's size and komi are fixed.
    """
    from move37.players import player

    played = load_game(game, options, size)
    found = player(agent, played, checkpoint=checkpoint, trust=trust)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # what is no UTF-8 is an unknown command
    serve(played, found, f"move37 {agent}", sys.stdin, sys.stdout, seed)


def serve(game: Game, agent: Agent, name: str, stdin: TextIO, stdout: TextIO, seed: int = 0) -> None:
    """Answer commands of GTP, version 2, until `quit` or the end of `stdin`.

    `agent` plays `game` under `name`; its chance follows from `seed`. What an agent raises is raised here.
    """
    from move37.gtp_game import Failure, GtpGame
    from move37.terminal import printable

    commands = GtpGame(game, agent, name, seed).commands
    for line in iter(stdin.readline, ""):
        number, command, words = read(line)
        if not number and not command:
            continue
        try:
            if command not in commands:
                raise Failure("unknown command")
            sign, said = "=", commands[command](words)
        except Failure as failure:
            sign, said = "?", str(failure)
        print(f"{sign}{number} {printable(said)}".rstrip(), end="\n\n", file=stdout, flush=True)
        if command == "quit":
            return


def read(line: str) -> tuple[str, str, list[str]]:
    """A line's number, command and arguments; the first two are empty where there are none."""
    words = CONTROL.sub("", line).partition("#")[0].split()
    number = words.pop(0) if words and words[0].isascii() and words[0].isdecimal() else ""
    return number, words[0] if words else "", words[1:]
