"""Board games at the command line: perft, play, and matches of trained agents."""

import inspect
import io
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import move37
from envs.board import NAMES, load
from envs.board.vector import Board
from move37 import Run
from move37.cli import main
from move37.errors import UserError
from move37.exam import opening_plies
from move37.play import Duel, Terminal, converse
from move37.players import player
from rollouts.agent import Agent, Decision
from tests import test_docs as docs
from tests.envs.nim import NIM

TRAIN = {
    "env": {"id": "board/TicTacToe-v0", "n": 4},
    "agent": {"kind": "ppo", "n_steps": 16, "epochs": 1, "minibatch_size": 32},
    "budget": {"env_steps": 192},
}


class Scripted(Agent):
    """Plays these actions in turn, and tells what it was given to tell."""

    def __init__(self, *actions, **fields):
        self.actions, self.fields, self.asked = list(actions), fields, 0

    def act(self, obs, *, rng, first, memory=None, explore=True):
        action = self.actions[self.asked % len(self.actions)]
        self.asked += 1
        return Decision(np.array([action]), fields={k: np.array([v]) for k, v in self.fields.items()})


def talk(duel, *typed):
    """What the person sees who types this."""
    out = io.StringIO()
    converse(duel, Terminal(io.StringIO("".join(f"{line}\n" for line in typed)), out))
    return out.getvalue()


def duel(*actions, seat=0, game="tic_tac_toe", **fields):
    return Duel(load(game), Scripted(*actions, **fields), "it", seat)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny run on tic-tac-toe that was measured against a random player."""
    config = TRAIN | {"evaluate": {"every": 64, "episodes": 6, "against": "random"}}
    return move37.train(config, out=tmp_path_factory.mktemp("play") / "run")


@pytest.mark.parametrize("name", ["perft", "play", "book", "moments", "eval"])
def test_help_has_an_example_and_is_light(name):
    heavy = "{'torch', 'numpy', 'numba', 'rich', 'gymnasium', 'envs'}"
    code = f"from move37.cli import main; main(['{name}', '--help'])"
    check = f"import sys; {code}; assert not {heavy} & set(sys.modules)"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert f"Example: move37 {name}" in said
    assert "--json" in said
    assert "--debug" in said


# -- perft -------------------------------------------------------------------------------------------------


def test_perft_counts_as_published(capsys):
    assert main(["perft", "connect_four", "--depth", "6"]) == 0
    assert capsys.readouterr().out.startswith("connect four: 117,649 sequences of 6 plies in ")
    assert main(["perft", "hex", "--size", "3", "--depth", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("seconds") >= 0
    assert found == {"game": "hex", "options": {"size": 3, "swap": False}, "depth": 2, "count": 72}
    assert main(["perft", "board/Hex-v0", "size=3", "swap=true", "--depth", "1"]) == 0
    assert capsys.readouterr().out.startswith("hex 3×3 with swap: 9 sequences of 1 ply in ")


def test_perft_by_the_first_move_adds_up(capsys):
    for depth in (0, 1, 5, 6, 9):
        counts = []
        for more in ([], ["--divide"], ["--ended"], ["--ended", "--divide"]):
            assert main(["perft", "tic_tac_toe", "--depth", str(depth), "--json", *more]) == 0
            found = json.loads(capsys.readouterr().out)
            counts.append(found["count"])
            assert (
                sum(found["moves"].values() if depth and "moves" in found else counts[-1:]) == found["count"]
            )
        assert counts[0] == counts[1] <= counts[2] == counts[3]
    assert counts == [127872, 127872, 255168, 255168]  # all games of nine plies, and all games
    assert main(["perft", "tic_tac_toe", "--depth", "2", "--divide"]) == 0
    assert "      b2 8\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["perft", "conect_four"], ("no game 'conect_four'", "did you mean 'connect_four'?")),
        (["perft", "hex", "--size", "40"], ("size of hex must be 2 to 19, not 40",)),
        (["perft", "othello", "sise=6"], ("no option 'sise'", "did you mean 'size'?")),
        (["perft", "go", "komi=high"], ("komi of game 'go' must be a number, not 'high'",)),
        (["perft", "go", "komi"], ("'komi'", "reads like size=9")),
        (["perft", "hex", "--size", "5", "size=6"], ("'size=6': size is given twice; --size 5",)),
        (["perft", "go", "komi=6", "komi=7"], ("'komi=7': komi is given twice; komi=6",)),
        (["perft", "board/Hexx-v0"], ("no game 'board/Hexx-v0'; did you mean 'board/Hex-v0'?",)),
        (["perft", "go", "--depth", "-1"], ("--depth", "move37 perft --help")),
        (["play", "go", "--as", "third"], ("--as third: must be first or second",)),
        (["play", "othello", "--against", "utc:5"], ("did you mean 'uct:5'?",)),
        (["eval", "RUN", "--against", "uct"], ("needs a number (simulations), as in uct:1000",)),
        (["eval", "RUN", "--against", "random", "--games", "7"], ("7 games", "even")),
        (["eval", "RUN", "--games", "8"], ("say against whom",)),
        (["eval", "RUN", "--against", "random", "--episodes", "7"], ("--games",)),
        (["eval", "RUN", "--against", "random", "--positions", "3"], ("--games",)),
        (["eval", "RUN", "--positions", "3"], ("connect four only", "board/TicTacToe-v0")),
        (["book", "--stones", "13"], ("--stones", "move37 book --help")),
        (["book", "--stones", "x"], ("--stones", "move37 book --help")),
        (["book", "--table-megabytes", "0"], ("--table-megabytes", "move37 book --help")),
        (["eval", "RUN", "--simulations", "8"], ("does not search",)),
        (
            ["eval", "RUN", "--against", "random", "--random-plies", "9"],
            ("--random-plies 9: random_plies must be in [0, 8]",),
        ),
        (["moments", "RUN"], ("only alphazero keeps moments",)),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, words, run, capsys):
    assert main([str(run.path) if a == "RUN" else a for a in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert all(word in said.err for word in words)


# -- play --------------------------------------------------------------------------------------------------


def test_a_game_is_played_to_its_end():
    game = duel(3, 4)
    said = talk(game, "a3", "b3", "c3").splitlines()
    assert said[0] == "tic-tac-toe: you are x and move first, it is o"
    assert said[1:5] == ["3 . . .", "2 . . .", "1 . . .", "  a b c"]
    assert said[5:7] == ["it plays a2", "3 x . ."]
    assert said[-1] == "you won after 5 plies"
    assert said[-5:-1] == ["3 x x x", "2 o o .", "1 . . .", "  a b c"]
    assert game.result() == {
        "game": "tic_tac_toe",
        "options": {},
        "against": "it",
        "as": "first",
        "moves": ["a3", "a2", "b3", "b2", "c3"],
        "outcome": "first won",
        "score": 1.0,
    }


def test_the_second_player_waits_and_can_lose():
    game = duel(0, 1, 2, seat=1)
    said = talk(game, "a2", "b2").splitlines()
    assert said[:2] == ["tic-tac-toe: you are o and move second, it is x", "it plays a3"]
    assert said[-1] == "it won after 5 plies"
    assert game.result()["score"] == 0.0


def test_what_is_no_move_is_told_and_asked_again():
    said = talk(duel(8, 7), "z9", "", "a3", "c1", "c1 please", "A2").splitlines()
    told = [line for line in said if "(or: hint, undo, moves, quit)" in line]
    assert [line.partition(" (or:")[0] for line in told] == [
        "'z9' is no cell; a1 to c3 are",
        "c1 (action 8) is not legal; legal are b3 c3 a2 b2 c2 a1 b1",
        "'c1 please' is no cell; a1 to c3 are",
    ]
    assert said.count("it plays c1") == 1


def test_undo_goes_back_to_the_person_s_last_decision():
    game = duel(0, 1, 2, 3)
    said = talk(game, "undo", "b2", "c2", "undo", "undo", "undo", "moves", "quit").splitlines()
    assert said.count("there is nothing to undo") == 2
    assert said[-2] == "a3 b3 c3 a2 b2 c2 a1 b1 c1"
    assert said[-1] == "left after 0 plies"
    assert game.opponent.asked == 2
    second = duel(0, 1, 2, seat=1)
    assert "there is nothing to undo" in talk(second, "undo", "b2", "undo", "quit")
    assert [int(a) for a in second.actions] == [0]  # its first move stands


def test_the_end_can_be_taken_back():
    game = duel(3, 4, 8)
    said = talk(game, "a3", "b3", "c3", "c3", "undo", "a1", "quit").splitlines()
    assert "you won after 5 plies" in said
    assert "the game is over: undo or quit" in said
    assert said[-1] == "left after 6 plies"
    assert game.result()["moves"] == ["a3", "a2", "b3", "b2", "a1", "c1"]
    assert talk(duel(3, 4), "a3", "b3", "c3", "quit").splitlines()[-1] == "you won after 5 plies"


@pytest.mark.parametrize(
    ("game", "seat", "words"),
    [
        ("hex", 0, "x joins top and bottom, o joins left and right"),
        ("hex", 1, "o joins left and right, x joins top and bottom"),
        ("breakthrough", 0, "x goes up, o goes down"),
    ],
)
def test_sides_are_told_where_they_differ(game, seat, words):
    assert words in talk(duel(3, seat=seat, game=game), "quit").splitlines()


def test_the_end_of_input_leaves_the_game():
    game = duel(8)
    assert talk(game, "b2").splitlines()[-1] == "left after 2 plies"
    assert game.result()["outcome"] == "open"
    assert game.result()["score"] is None


def test_a_hint_says_what_the_opponent_thinks():
    visits, q = np.zeros(9, np.int32), np.zeros(9, np.float32)
    visits[[8, 3, 5]], q[[8, 3, 5]] = (1200, 300, 20), (0.5, -0.25, 0.125)
    game = duel(8, 3, visits=visits, q=q, value=np.float32(0.4))
    said = talk(game, "hint", "quit").splitlines()
    at = said.index("it would play c1 (the position's value: +0.40)")
    assert [line.split() for line in said[at + 1 : at + 5]] == [
        ["move", "visits", "value"],
        ["c1", "1,200", "+0.50"],
        ["a2", "300", "-0.25"],
        ["c2", "20", "+0.12"],
    ]
    assert said[-2].startswith("and then: a2 ")
    assert game.actions == []  # nothing was played


def test_a_hint_never_shows_illegal_moves_and_ends_with_the_game():
    game = duel(2, 5, 8, prior=np.full(9, 1 / 9))
    said = talk(game, "a3", "a2", "hint", "quit").splitlines()
    at = said.index("it would play c1")  # its third move of the script: the game goes on from there
    shown = [line.split()[0] for line in said[at + 2 : at + 7]]
    assert shown == ["c1", "b3", "b2", "a1", "b1"]


def test_a_hint_of_a_search_asks_once_and_follows_its_tree():
    game = load("connect_four")
    for name in ("uct:300", "alphabeta:4"):
        opponent = player(name, game)
        asked, act = [], opponent.act
        opponent.act = lambda *args, act=act, asked=asked, **how: asked.append(1) or act(*args, **how)
        thinking = Duel(game, opponent, name, seat=0)
        for action in (3, 0, 4, 0):
            thinking.play(action)
        thought = thinking.thought()
        assert len(asked) == 1
        assert thought.line[0] == thought.best
        for action in thought.line:
            thinking.play(action)  # all are legal
        assert len(thought.line) >= 3
    assert thought.best in (2, 5)  # three at the foot, both ends open: alpha-beta sees the end
    assert thinking.over
    assert thought.moves["scores"].tolist() == [0, 0, 2, 0, 0, 2, 0]  # of 4 plies, won with the third


def test_an_opponent_that_breaks_the_rules_is_told():
    with pytest.raises(UserError, match=r"it moved against the rules: b2 \(action 4\) is not legal"):
        talk(duel(4), "b2")


def test_a_long_thought_is_told_in_a_terminal(monkeypatch):
    def slow():
        time.sleep(0.1)
        return 37

    monkeypatch.setattr("move37.play.PATIENCE", 0.01)
    out = io.StringIO()
    terminal = Terminal(io.StringIO(), out)
    assert terminal.wait_for("it", slow) == 37
    assert out.getvalue() == ""  # a pipe has patience
    terminal.live = True
    assert terminal.wait_for("it", slow) == 37
    assert out.getvalue().startswith("it is thinking")
    with pytest.raises(ZeroDivisionError):
        terminal.wait_for("it", lambda: 1 // 0)


def test_a_terminal_has_colours_and_a_prompt():
    out, game = io.StringIO(), duel(8)
    terminal = Terminal(io.StringIO("quit\n"), out)
    terminal.live = True
    converse(game, terminal)
    assert "\x1b[" in out.getvalue()
    assert "your move (hint, undo, moves, quit): " in out.getvalue()


def test_the_command_plays_through_a_pipe(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n2\nmoves\nhint\nquit\n"))
    assert main(["play", "connect_four", "--against", "uct:60"]) == 0
    said = capsys.readouterr().out
    assert "connect four: you are x and move first, uct:60 is o" in said
    assert said.count("uct:60 plays ") == 2
    assert "\n1 2 3 4 5 6 7\nuct:60 would play " in said
    assert "visits" in said
    assert said.endswith("left after 4 plies\n")


def test_the_command_prints_json_and_tells_the_game_elsewhere(run, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("b2\n"))
    arguments = ["play", "tic_tac_toe", "--against", str(run.path), "--as", "second", "--json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["against"] == str(run.path)
    assert found["as"] == "second"
    assert len(found["moves"]) in (2, 3)  # b2 may have been taken
    assert "tic-tac-toe: you are o" in said.err


def test_a_seed_names_the_opponent_s_chance(monkeypatch, capsys):
    replies = []
    for seed in (3, 3, 4, 5, 6):
        monkeypatch.setattr("sys.stdin", io.StringIO("a1\nquit\n"))
        assert main(["play", "gomoku", "--size", "9", "--against", "random", "--seed", str(seed)]) == 0
        replies.append(capsys.readouterr().out.partition("random plays ")[2].split()[0])
    assert replies[0] == replies[1]
    assert len(set(replies)) > 1


# -- matches -----------------------------------------------------------------------------------------------


def test_eval_against_a_player_counts_openings_twice(run, capsys):
    arguments = ["eval", str(run.path), "--against", "random", "--games", "10", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["games"] == found["wins"] + found["draws"] + found["losses"] == 10
    assert found["score"] == (found["wins"] + found["draws"] / 2) / 10
    assert sum(found["pairs"]) == 5
    assert found["interval"][0] <= found["score"] <= found["interval"][1]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == found  # the same games again
    assert main(arguments[:-1]) == 0
    said = capsys.readouterr().out
    assert f"{run.path} against random: score {found['score']:.3f} [" in said
    assert f"{found['wins']} won, {found['draws']} drawn, {found['losses']} lost" in said
    assert f"{found['openings']} different openings, each with both colours" in said


def test_against_itself_both_colours_score_a_half(run):
    assert run.match(str(run.path), 12).score == 0.5
    assert run.match("random", 12, seed=1) != run.match("random", 12, seed=2)


def test_training_measures_itself_against_the_player(run):
    lines = [line for line in run.metrics() if "eval/score" in line]
    assert [line["env_steps"] for line in lines] == [64, 128, 192]
    for line in lines:
        assert 0 <= line["eval/score_low"] <= line["eval/score"] <= line["eval/score_high"] <= 1
        for name, score in (("return", "score"), ("low", "score_low"), ("high", "score_high")):
            assert line[f"eval/{name}"] == pytest.approx(2 * line[f"eval/{score}"] - 1)
    best = max(lines, key=lambda line: line["eval/score"])
    assert (run.path / "checkpoints" / "best").resolve().name == f"best-{best['env_steps']}"
    assert lines[-1]["eval/score"] == run.match("random", 6).score  # the same openings, the same seed


def test_self_play_alone_tells_what_moving_first_is_worth(tmp_path, capsys):
    run = move37.train(TRAIN | {"evaluate": {"every": 64, "episodes": 4}}, out=tmp_path / "run")
    lines = [line for line in run.metrics() if "eval/first_return" in line]
    assert len(lines) == 3
    assert not any("eval/return" in line for line in lines)
    assert (run.path / "checkpoints" / "best").resolve().name == "best-192"  # the newest: nothing to compare
    assert main(["eval", str(run.path), "--episodes", "2"]) == 0
    assert "mean return of the first player, against itself" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evaluate": {"every": 64, "against": "uct"}}, "evaluate.against: player 'uct' needs a number"),
        ({"evaluate": {"every": 64, "scorecard": 5}}, "evaluate.scorecard: is of connect four only"),
        ({"evaluate": {"against": "random"}}, "evaluate: against is looked at every"),
        ({"evaluate": {"scorecard": 5}}, "evaluate: scorecard is looked at every"),
        ({"evaluate": {"every": 64, "against": "random", "episodes": 5}}, "episodes must be even, not 5"),
        (
            {"env": {"id": "CartPole-v1"}, "evaluate": {"every": 64, "against": "random"}},
            "evaluate.against: is for board games only",
        ),
    ],
)
def test_a_config_that_cannot_be_measured_is_told_with_its_key(changes, words, tmp_path):
    with pytest.raises(UserError, match=words):
        move37.train(TRAIN | changes, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_short_game_has_short_openings(tmp_path):
    config = TRAIN | {"env": {"id": NIM, "n": 4, "pile": 3}, "evaluate": {"every": 64, "against": "random"}}
    agent = TRAIN["agent"] | {"network": {"kind": "vector"}}
    run = move37.train(config | {"agent": agent}, out=tmp_path / "run")
    assert "eval/score" in run.metrics()[-1]
    assert opening_plies(load("hex", {"size": 2})) == 2
    assert opening_plies(load("connect_four")) == 4
    assert sum(run.match("random", 4).pairs) <= 2


def test_a_match_goes_on_exactly_after_a_resume(tmp_path):
    config = TRAIN | {
        "evaluate": {"every": 64, "episodes": 4, "against": "uct:5"},
        "checkpoint": {"every": 64},
    }
    straight = move37.train(config, out=tmp_path / "straight")
    move37.train(config | {"budget": {"env_steps": 128}}, out=tmp_path / "stopped")
    resumed = move37.resume(tmp_path / "stopped", overrides=["budget.env_steps=192"])
    wanted = [line["eval/score"] for line in straight.metrics() if "eval/score" in line]
    assert [line["eval/score"] for line in resumed.metrics() if "eval/score" in line] == wanted
    assert Run.load(resumed.path).config.evaluate.against == "uct:5"


def test_a_match_says_where_there_are_no_more_openings(run, capsys):
    arguments = ["eval", str(run.path), "--against", "random", "--games", "10", "--random-plies", "1"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "6 games: " in said
    assert "3 different openings, each with both colours: there are no more for the 10 games asked" in said


def test_ctrl_c_stops_a_long_kernel(tmp_path):
    assert main(["perft", "othello", "--depth", "1"]) == 0  # compiled, so that it is soon at it
    arguments = ["-m", "move37", "perft", "othello", "--depth", "14"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else a background job ignores it
    try:
        started = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(10)  # it counts by now, and would for hours
        started.send_signal(signal.SIGINT)
        assert started.wait(20) == 130
        assert started.stderr.read() == "move37: stopped\n"
    finally:
        started.kill()


def test_perfect_says_that_its_openings_take_long(run, capsys):
    player("perfect", load("tic_tac_toe"))
    assert capsys.readouterr().err == ""
    assert player("perfect", load("connect_four"), match=True).hurry_from == 14
    said = capsys.readouterr().err
    assert "perfect has no deep opening book" in said
    assert len(said.splitlines()) == 1


def test_the_book_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MOVE37_CACHE", str(tmp_path))
    monkeypatch.setattr("search.perfect.book.Solver.score", lambda self, mine, mask: np.zeros(1, np.int8))
    assert main(["book", "--stones", "2", "--table-megabytes", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "0 of 25 positions are there"
    assert said[-1].endswith("connect_four_2.npz: all 25 positions of 2 stones")
    assert main(["book", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["positions"] == 25
    (tmp_path / "move37" / "books" / "connect_four_2.npz").write_bytes(b"torn")
    assert main(["book"]) == 2
    assert "missing or damaged" in capsys.readouterr().err


# -- the scorecard -----------------------------------------------------------------------------------------

LATE = ("42662463441426721547672211565", "174612512512671633477776466322", "3735623314377166755377561552")


@pytest.fixture
def few_positions(monkeypatch):
    """Three late positions, in place of the six thousand."""
    from search.perfect.connect_four import Solver
    from search.perfect.notation import from_moves
    from search.perfect.positions import Positions

    mine, mask = (np.array(words, np.uint64) for words in zip(*map(from_moves, LATE)))
    found = Positions(mine, mask, np.array([0, 0, 1]), LATE, Solver(1).scores(mine, mask))
    monkeypatch.setattr("move37.exam.load_positions", lambda: found)


def test_the_scorecard_is_a_metric_and_a_table(few_positions, tmp_path, capsys):
    env = {"id": "board/ConnectFour-v0", "n": 4}
    config = TRAIN | {"env": env, "evaluate": {"every": 64, "scorecard": 1}}
    run = move37.train(config, out=tmp_path / "run")
    capsys.readouterr()
    lines = [line for line in run.metrics() if "eval/mistakes" in line]
    assert [line["env_steps"] for line in lines] == [64, 128, 192]
    for line in lines:
        classes = [line["eval/mistakes_end_easy"], line["eval/mistakes_middle_easy"]]
        assert line["eval/mistakes"] == np.mean(classes)
        assert not any(name in line for name in ("eval/return", "eval/first_return", "eval/score"))
    fewest = min(lines, key=lambda line: line["eval/mistakes"])
    assert (run.path / "checkpoints" / "best").resolve().name == f"best-{fewest['env_steps']}"

    assert main(["eval", str(run.path), "--episodes", "2", "--positions", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["class"] for row in found["scorecard"]] == ["end-easy", "middle-easy", "all"]
    assert found["scorecard"][-1]["rate"] == lines[-1]["eval/mistakes"]
    assert main(["eval", str(run.path), "--episodes", "2"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert "moves that lose value under perfect play" in table
    assert table[-3].split()[:2] == ["end-easy", "2"]
    assert table[-1].split()[:2] == ["all", "3"]
    assert main(["eval", str(run.path), "--episodes", "2", "--positions", "0"]) == 0
    assert "perfect play" not in capsys.readouterr().out


def test_other_games_have_no_scorecard(run, capsys):
    assert run.scorecard() == []
    assert main(["eval", str(run.path), "--episodes", "2", "--json"]) == 0
    assert "scorecard" not in json.loads(capsys.readouterr().out)


# -- the page about it -------------------------------------------------------------------------------------


def test_the_board_page_runs(tmp_path, monkeypatch, capsys):
    batch, faces, source, own = docs.blocks(docs.page("board.md"), "python")
    exec(batch, {})
    exec(faces, {})
    assert "1024, 6, 7, 2" in capsys.readouterr().out
    (tmp_path / "nim.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        exec(own, {})
        assert main(["perft", "nim:nim", "pile=5", "--depth", "3"]) == 0
        assert "nim: 7 sequences of 3 plies" in capsys.readouterr().out  # of 8, one ends earlier
        monkeypatch.setattr("sys.stdin", io.StringIO("2\n"))
        assert main(["play", "nim:nim", "pile=4", "--against", "uct:200"]) == 0
        assert capsys.readouterr().out.endswith("uct:200 won after 2 plies\n")  # it takes the other two
    finally:
        sys.modules.pop("nim", None)


def test_the_board_page_lists_what_there_is():
    text = docs.page("board.md")
    listed = {docs.names(row["id"])[0]: docs.names(row["name"])[0] for row in docs.rows(text, "id", "name")}
    assert listed == {f"board/{title}-v0": name for title, name in NAMES.items()}
    planes = {
        name: row["planes"].partition(";")[0].split(", ")
        for row in docs.rows(text, "game", "planes")
        for name in docs.names(row["game"])
    }
    assert planes == {name: list(load(name).planes) for name in NAMES.values()}
    options = docs.defaults(docs.rows(text, "option", "default"), "option")
    signature = inspect.signature(Board.__init__).parameters
    assert options == {name: signature[name].default for name in ("random_plies", "render_mode")}


def test_the_board_page_lists_the_metrics(run):
    told = {
        m for row in docs.rows(docs.page("board.md"), "metric", "meaning") for m in docs.names(row["metric"])
    }
    logged = {name for line in run.metrics() for name in line if name.startswith("eval/")}
    assert logged == {
        name for name in told if name.startswith(("eval/score", "eval/return", "eval/low", "eval/high"))
    }
