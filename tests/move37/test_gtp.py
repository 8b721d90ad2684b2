"""Our agents as GTP engines: the protocol, the commands, and whole games against our own client."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import typer
from gymnasium import spaces

import move37
from agents.random import Random
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import OPEN, outcome, play, to_play
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from move37 import gtp
from move37.errors import UserError
from rollouts.agent import Agent, Decision
from search.gtp import GtpPlayer, action_at, vertex
from tests import test_docs as docs

VERSION = version("move37")
SERVER = [sys.executable, "-c", "import typer; from move37.gtp import gtp; typer.run(gtp)"]
GO = {"size": 5, "komi": 2.5}


class Scripted(Agent):
    """Plays these actions in turn, and notes what it saw."""

    def __init__(self, *actions):
        self.actions, self.seen = list(actions), []

    def act(self, obs, *, rng, first, memory=None, explore=True):
        assert not explore
        self.seen.append(obs)
        return Decision(np.array([self.actions.pop(0)]))


def talk(*lines, game="go", options=None, agent=None, seed=0):
    """What is answered to these lines."""
    played = load(game, GO if game == "go" and options is None else options)
    if agent is None:
        agent = Random(observation_space(played), spaces.Discrete(played.actions))
    out = io.StringIO()
    gtp.serve(played, agent, "me 1", io.StringIO("".join(f"{line}\n" for line in lines)), out, seed)
    said = out.getvalue()
    assert said == "" or said.endswith("\n\n")
    return said.split("\n\n")[:-1]


# -- the protocol ------------------------------------------------------------------------------------------


def test_answers_have_the_form_of_the_protocol():
    assert talk("protocol_version", "12 name", "foo", "13 foo", "14 play b d9") == [
        "= 2",
        "=12 me 1",
        "? unknown command",
        "?13 unknown command",
        "?14 syntax error",
    ]


def test_lines_are_cleaned_as_the_protocol_says():
    lines = (
        "",
        "   ",
        "# only a comment",
        "\t7\tplay\tb  c3 # here",
        "pl\x07ay w\x00 C4",
        "komi 2.5\r",
        "quit",
    )
    assert talk(*lines) == ["=7", "=", "=", "="]
    assert gtp.read("\n") == ("", "", [])
    assert gtp.read("8") == ("8", "", [])
    assert gtp.read("1 2 3") == ("1", "2", ["3"])
    assert talk("8") == ["?8 unknown command"]


def test_quit_is_answered_and_ends_it():
    assert talk("1 quit", "name") == ["=1"]
    assert talk() == []


def test_commands_are_listed():
    (listed,) = talk("list_commands")
    names = listed.removeprefix("= ").splitlines()
    required = {"protocol_version", "name", "version", "known_command", "list_commands", "quit", "boardsize"}
    assert required | {"clear_board", "komi", "play", "genmove", "undo", "final_score"} <= set(names)
    assert set(talk(*(f"known_command {name}" for name in names))) == {"= true"}
    assert talk("known_command loadsgf", "known_command") == ["= false", "? syntax error"]
    assert talk("known_command final_score", game="hex") == ["= false"]
    assert talk("version") == [f"= {VERSION}"]


# -- the game ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["play b", "play", "play red c3", "play b i3", "play b c3 c4", "genmove", "genmove x"]
)
def test_what_cannot_be_read_is_a_syntax_error(line):
    assert talk(line) == ["? syntax error"]


def test_moves_are_played_and_taken_back():
    agent = Scripted(24, 7)
    lines = ("play black C3", "genmove white", "play b c3", "undo", "undo", "undo", "genmove B", "showboard")
    *said, board = talk(*lines, agent=agent)
    assert said == ["=", "= e1", "? illegal move", "=", "=", "? cannot undo", "= c4"]
    assert board == "= \n5 . . . . .\n4 . . x . .\n3 . . . . .\n2 . . . . .\n1 . . . . .\n  a b c d e"
    assert [obs["moves"].tolist() for obs in agent.seen] == [[[12]], [[]]]
    assert {obs["moves"].dtype for obs in agent.seen} == {np.dtype(np.int16)}
    assert agent.seen[0]["to_play"].tolist() == [1]
    assert agent.seen[0]["action_mask"].sum() == 25


def test_a_colour_out_of_turn_moves_after_a_pass():
    agent = Scripted(7)
    assert talk("play w c3", "play w d3", "genmove w", "undo", "undo", "undo", "undo", agent=agent) == [
        "=",
        "=",
        "= c4",
        "=",
        "=",
        "=",
        "? cannot undo",
    ]
    assert agent.seen[0]["moves"].tolist() == [[25, 12, 25, 13, 25]]
    said = talk("play white b2", "genmove w", "play black b2", "play black a1", game="hex")
    assert said == ["? illegal move", "? it is black's turn", "=", "? illegal move"]


def test_reg_genmove_changes_nothing():
    said = talk("reg_genmove b", "reg_genmove b", "genmove b", "genmove w", seed=3)
    assert said[0] == said[1] == said[2] != said[3]
    assert talk("genmove b", seed=3) == said[:1]
    assert len({talk("genmove b", seed=seed)[0] for seed in range(9)}) > 1


def test_an_agent_that_does_not_move_resigns():
    said = talk("genmove b", "genmove b", "play w d5", agent=Scripted(-1, 3))
    assert said == ["= resign", "= d5", "? illegal move"]
    assert talk("play b c3", "genmove w", "genmove w", agent=Scripted(12, 26)) == [
        "=",
        "? me 1 answered an illegal move",
        "? me 1 answered an illegal move",
    ]


def test_size_and_komi_are_the_agents():
    assert talk(
        "boardsize 5", "boardsize 9", "boardsize", "boardsize x", "boardsize 5 5", "boardsize -5"
    ) == [
        "=",
        "? unacceptable size",
        "? syntax error",
        "? syntax error",
        "=",
        "? syntax error",
    ]
    assert talk("komi 2.5", "komi 7.5", "komi x", "komi") == [
        "=",
        "? komi is 2.5 here",
        "? syntax error",
        "? syntax error",
    ]
    assert talk("boardsize 7", "komi 6.5", "play b 4", "boardsize 7", "undo", game="connect_four") == [
        "=",
        "=",
        "=",
        "=",
        "? cannot undo",
    ]


def test_go_is_scored_by_area_once_it_is_over():
    moves = (
        "play b c3",
        "play w pass",
        "final_score",
        "play b pass",
        "final_score",
        "genmove w",
        "play w a1",
    )
    assert talk(*moves)[2:] == [
        "? cannot score",
        "=",
        "= B+22.5",
        "? the game is over (first won)",
        "? illegal move",
    ]
    assert talk("play b pass", "play w pass", "final_score")[2:] == ["= W+2.5"]
    assert talk("play b pass", "play w pass", "final_score", options={"size": 5, "komi": 0})[2:] == ["= 0"]


# -- whole games -------------------------------------------------------------------------------------------


def player(game, *arguments, **options):
    command = [*SERVER, game.name, *arguments]
    space = observation_space(game), spaces.Discrete(game.actions)
    return GtpPlayer(*space, command=command, seconds=60.0, start_seconds=120.0, **options)


def contest(game, agents, opening=()):
    """The moves of a whole game; no agent forfeits."""
    state, moves, rng = game.new()[0], [], from_seeds([1])
    for action in opening:
        play(game.code, state, action)
        moves.append(action)
    while outcome(state) == OPEN:
        obs = observe_states(game, state[None]) | {"moves": np.array([moves], np.int16)}
        decision = agents[to_play(state)].act(obs, rng=rng, first=np.array([not moves]))
        assert "forfeit" not in decision.fields or decision.fields["forfeit"][0] == ""
        moves.append(int(decision.actions[0]))
        assert obs["action_mask"][0, moves[-1]]
        play(game.code, state, moves[-1])
    return moves


@pytest.mark.parametrize(
    ("name", "options", "opening"),
    [("go", GO, ("pass", "c3")), ("hex", {"size": 4, "swap": True}, ("b2", "swap-pieces"))],
)
def test_our_server_plays_our_client(name, options, opening):
    game = load(name, options)
    words = [f"{key}={value}".lower() for key, value in options.items()]
    agent = Random(observation_space(game), spaces.Discrete(game.actions))
    with player(game, *words, "--agent", "random", "--seed", "5") as engine:
        assert engine.title == f"move37 random {VERSION}"
        line = [action_at(game, word) for word in opening]
        one, other = (contest(game, pair, line) for pair in ((engine, agent), (agent, engine)))
        assert min(len(one), len(other)) > len(line)
        assert engine.engine.ask("showboard", 5.0)
        assert [vertex(game, action) for action in line] == list(opening)


def test_a_run_is_played(tmp_path, monkeypatch, capsys):
    config = {
        "env": {"id": "board/TicTacToe-v0", "n": 4},
        "agent": {"kind": "ppo", "n_steps": 16, "epochs": 1, "minibatch_size": 32},
        "budget": {"env_steps": 64},
    }
    move37.train(config, out=tmp_path / "run")
    monkeypatch.setattr(sys, "stdin", io.StringIO("name\nplay b b2\ngenmove w\nquit\n"))
    arguments = ["tic_tac_toe", "--agent", str(tmp_path / "run")]
    command(arguments)
    name, played, answered = capsys.readouterr().out.split("\n\n")[:3]
    assert name == f"= move37 {tmp_path / 'run'}"
    assert played == "="
    assert action_at(load("tic_tac_toe"), answered.removeprefix("= ")) != 4
    with pytest.raises(UserError, match="plays tic-tac-toe, not"):
        command(["go", *arguments[1:]])


def command(arguments):
    """`move37 gtp` with these arguments."""
    app = typer.Typer()
    app.command()(gtp.gtp)
    typer.main.get_command(app)(arguments, standalone_mode=False)


def test_the_command_is_light_until_it_runs():
    heavy = "{'torch', 'numpy', 'numba', 'rich', 'gymnasium', 'envs'}"
    code = f"import sys, move37.gtp; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_tells_every_option_and_command():
    page = docs.page("gtp.md")
    told = docs.defaults(docs.rows(page, "option"), "option")
    parameters = inspect.signature(GtpPlayer).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "device"}
    assert told == {**options, "command": docs.REQUIRED, "setup": list(options["setup"])}
    (listed,) = talk("list_commands")
    named = [name for row in docs.rows(page, "command") for name in docs.names(row["command"])]
    assert sorted(named) == sorted(listed.removeprefix("= ").splitlines())
