"""Games on paper and what is told of them: lines, PGN, SGF, `move37 rate`, the table and the pictures."""

from __future__ import annotations

import json
import re
import time
import warnings
from itertools import pairwise

import numpy as np
import pytest

from envs.board import NAMES, load
from move37 import contests
from move37.cli import main
from move37.errors import UserError
from move37.tournament import draw
from move37.tournament.formats import as_pgn, as_sgf, read_pgn
from move37.tournament.gamelog import GameRecord, as_line, few, read_games
from move37.tournament.rate import rate_files
from move37.tournament.standings import standings
from move37.tournament.watch import Live

GOOD = {"first": "a", "second": "b", "outcome": "first won"}


def lines(path, *games):
    path.write_text("".join(json.dumps(game) + "\n" for game in games))
    return path


def folder(path, env, *games):
    """A tournament's folder, as far as `rate` needs it."""
    path.mkdir()
    (path / "config.yaml").write_text(f"env: {env}\n")
    lines(path / "games.jsonl", *games)
    return path


def refused(capsys, *arguments):
    """The one line that a command says when it refuses."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def said(capsys, *arguments):
    """(what a command says, what it warns of)."""
    assert main([str(a) for a in arguments]) == 0
    return capsys.readouterr()


# -- lines -------------------------------------------------------------------------------------------------


def test_a_game_comes_back_from_its_line_whatever_its_names_hold(tmp_path):
    names = ["a\x85b", "c\u2028d", "e\nf\r", 'g"h\\', "棋手", " $x$ "]
    wanted = [GameRecord(k, 0, name, "z", "5 2", "6", "draw", seed=2**64 - 1) for k, name in enumerate(names)]
    (tmp_path / "games.jsonl").write_text("".join(map(as_line, wanted)), encoding="utf-8")
    found, wrong = read_games(tmp_path / "games.jsonl")
    assert not wrong
    assert [(r.first, r.moves, r.seed) for r in found] == [(r.first, r.moves, r.seed) for r in wanted]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"first": 3}, "'first' must be a text"),
        ({"second": " "}, "'second' must be a text with a name, not ' '"),
        ({"first": "\ud800"}, "'first' must be a text with a name, not '\\ud800'"),
        ({"moves": [1, 2]}, "'moves' must be a text, not [1, 2]"),
        ({"opening": None}, "'opening' must be a text"),
        ({"why": 1}, "'why' must be a text"),
        ({"outcome": ["draw"]}, "'outcome' must be a text"),
        ({"outcome": "won"}, "outcome must be one of first won, draw, second won, not 'won'"),
        ({"seconds": "fast"}, "'seconds' must be two numbers"),
        ({"seconds": [1]}, "'seconds' must be two numbers"),
        ({"seconds": [1, float("nan")]}, "'seconds' must be two numbers"),
        ({"nodes": [-1, 0]}, "'nodes' must be two numbers"),
        ({"nodes": [True, 0]}, "'nodes' must be two numbers"),
        ({"nodes": [10**400, 0]}, "'nodes' must be two numbers"),
        ({"game": True}, "'game' must be a whole number"),
        ({"game": 1e3}, "'game' must be a whole number"),
        ({"game": 2**53}, "'game' must be a whole number from -1 to 2^53"),
        ({"game": -2}, "'game' must be a whole number"),
        ({"round": "1"}, "'round' must be a whole number"),
        ({"seed": "1"}, "'seed' must be a whole number"),
        ({"budgets": ["a", 1]}, "'budgets' must be two texts"),
        ({"second": "a"}, "'a' plays itself"),
    ],
)
def test_a_field_of_another_type_is_told_and_the_rest_is_kept(change, told, tmp_path, capsys):
    file = lines(tmp_path / "games.jsonl", GOOD, GOOD | change, GOOD)
    out, warned = said(capsys, "rate", file, "--json")
    assert json.loads(out)["games"] == 2
    assert f"{file}, line 2: is no game: {told}" in warned
    assert warned.endswith("; left out\n")
    assert warned.count("\n") == 1


def test_a_line_without_a_game_is_told(tmp_path):
    _, wrong = read_games(lines(tmp_path / "games.jsonl", {}, [1]))
    assert "line 1: is no game: 'first' must be a text with a name, not None; left out" in wrong[0]
    assert "line 2: is no game: a game is a mapping; left out" in wrong[1]


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "\x00", "Infinity", '{"game": ' + "9" * 5000 + "}"])
def test_a_line_that_is_no_json_is_told(line, tmp_path):
    file = tmp_path / "games.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + line + "\n\n" + json.dumps(GOOD) + "\n")
    found, wrong = read_games(file)
    assert len(found) == 2
    assert len(wrong) == 1
    assert f"{file}, line 2: is no " in wrong[0]


def test_warnings_are_ten_lines_at_most(tmp_path, capsys):
    file = lines(tmp_path / "games.jsonl", GOOD, *[{}] * 392)
    warned = said(capsys, "rate", file, "--json").err.splitlines()
    assert len(warned) == 10
    assert warned[8].startswith(f"move37: {file}, line 10: is no game")
    assert warned[9] == "move37: … and 383 more"
    assert len(few(["x"] * 10)) == 10
    assert few(["x"] * 10)[-1] == "x"


# -- PGN ---------------------------------------------------------------------------------------------------

PGN = """[Event "club"]
[White "Ann"]
[Black "Bob \\"B\\" Smith"]
[Result "1-0"]

1. e4 {a [comment]
[Event "none of ours"]

over lines} e5 (1... c5 2. Nf3 (2. d4)) 2. Nf3!? $1 ; [White "nobody"]
1-0

[White "Bob \\"B\\" Smith"]
[Black "Ann"]
[Result "1/2-1/2"]

1.d4 1/2-1/2

[Event "club"]
[White "Ann"]
[Black "Bob \\"B\\" Smith"]
[Result "*"]
"""


def pgn(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_pgn_is_read(tmp_path):
    found, wrong = read_pgn(pgn(tmp_path / "a.pgn", PGN))
    assert not wrong
    bob = 'Bob "B" Smith'
    assert [(r.first, r.second, r.outcome) for r in found] == [
        ("Ann", bob, "first won"),
        (bob, "Ann", "draw"),
    ]
    assert [r.moves for r in found] == ["e4 e5 Nf3!?", "d4"]
    told = rate_files([tmp_path / "a.pgn"])
    assert told["players"][0]["score"] == 0.75


def test_games_of_tags_alone_begin_at_a_tag_that_comes_again(tmp_path):
    text = "".join(f'[White "{a}"]\n[Black "{b}"]\n[Result "1-0"]\n' for a, b in ("ab", "cd", "ef"))
    found, _ = read_pgn(pgn(tmp_path / "a.pgn", text))
    assert [(r.first, r.second) for r in found] == [("a", "b"), ("c", "d"), ("e", "f")]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ('[White "a"]\n[Result "1-0"]\n', "a game without Black"),
        ('[White "a"]\n[Black "b"]\n[Result "2-0"]\n', "Result must be 1-0, 1/2-1/2, 0-1 or *, not '2-0'"),
        ('[White "a"]\n[Black "a"]\n[Result "1-0"]\n', "'a' plays itself"),
    ],
)
def test_a_bad_game_in_pgn_is_told_and_the_rest_is_kept(bad, told, tmp_path, capsys):
    with pytest.raises(UserError, match=rf"holds no game .*; line 1: {re.escape(told)}"):
        read_pgn(pgn(tmp_path / "bad.pgn", bad))
    good = '[Event "x"]\n[White "a"]\n[Black "b"]\n[Result "1-0"]\n\n1. e4 1-0\n\n'
    file = pgn(tmp_path / "a.pgn", good + bad + "\n1. e4 1-0\n\n" + good)
    out, warned = said(capsys, "rate", file, "--json")
    assert json.loads(out)["games"] == 2
    assert warned == f"move37: {file}, line 8: {told}; left out\n"


def test_a_file_without_pgn_is_refused(tmp_path, capsys):
    assert "holds no game with a result in PGN" in refused(capsys, "rate", pgn(tmp_path / "a.pgn", "hello"))


def test_a_comment_without_end_takes_no_games_before_it(tmp_path):
    first = PGN.partition("[Event")[1] + PGN.partition("[Event")[2]
    found, _ = read_pgn(pgn(tmp_path / "a.pgn", first.replace("1.d4", "1.d4 {") + "{" * 100_000))
    assert [r.moves for r in found] == ["e4 e5 Nf3!?", "d4"]


@pytest.mark.parametrize("name", sorted(set(NAMES.values())))
def test_a_game_comes_back_from_pgn(name, tmp_path):
    game = load(name)
    moves = [game.move_text(action) for action in range(game.actions)]
    pair = [
        GameRecord(0, 0, "a\nb", "c$", " ".join(moves[:2]), " ".join(moves[2:]), "draw", "why\r"),
        GameRecord(1, 0, "c$", "a\nb", " ".join(moves[:2]), " ".join(moves[2:]), "second won"),
    ]
    text = "".join(as_pgn(record, game.title) for record in pair)
    assert len(text.splitlines()) == len(text.split("\n")) - 1
    found, wrong = read_pgn(pgn(tmp_path / "a.pgn", text))
    assert not wrong
    assert [(r.game, r.opening, r.moves, r.outcome) for r in found] == [
        (r.game, r.opening, r.moves, r.outcome) for r in pair
    ]
    assert [r.first for r in found] == ["a\\nb", "c$"]


def test_a_game_in_pgn_has_its_moves():
    text = as_pgn(GameRecord(3, 1, "a", "b", "4 4", "3 2 1", "draw", "resigned"), "connect four")
    assert text.endswith("1. 4 4 2. 3 2 3. 1 1/2-1/2\n\n")
    assert '[Round "2"]' in text
    assert '[Termination "resigned"]' in text


# -- SGF ---------------------------------------------------------------------------------------------------


def test_sgf_names_cells_from_the_top_left_and_marks_the_opening():
    go = load("go", {"size": 5})
    text = as_sgf(GameRecord(0, 0, "a]b", "c\nd", "a5 e5", "a1 pass", "first won"), go)
    for word in ("GM[1]", "SZ[5]", "PB[a\\]b]", "PW[c\\\\nd]"):
        assert word in text
    assert re.findall(r";([BW]\[\w*\])", text) == ["B[aa]", "W[ea]", "B[ae]", "W[]"]
    assert ";W[ea]C[opening ends here];B[ae]" in text
    assert "C[" not in as_sgf(GameRecord(0, 0, "a", "b", "", "a5", "draw"), go)
    with pytest.raises(UserError, match="SGF knows no connect four"):
        as_sgf(GameRecord(0, 0, "a", "b", "", "1", "draw"), load("connect_four"))
    with pytest.raises(UserError, match=r"game 7: .*z9"):
        as_sgf(GameRecord(7, 0, "a", "b", "", "z9", "draw"), go)


# -- rate --------------------------------------------------------------------------------------------------

GO, HEX = "{id: board/Go-v0, size: 9}", "{id: board/Hex-v0, size: 7}"


def test_games_of_different_kinds_are_not_rated_together(tmp_path, capsys):
    go, hexes = folder(tmp_path / "go", GO, GOOD), folder(tmp_path / "hex", HEX, GOOD)
    for files in ((go, hexes), (go / "games.jsonl", hexes / "games.jsonl")):
        assert "games of go 9×9 and of hex 7×7: rate them apart" in refused(capsys, "rate", *files)
    komi = folder(tmp_path / "komi", "{id: board/Go-v0, size: 9, komi: 5.5}", GOOD)
    told = refused(capsys, "rate", go, komi)
    assert "'komi': 5.5" in told
    assert "'komi': 7.5" in told
    assert rate_files([go, lines(tmp_path / "games.jsonl", GOOD)])["games"] == 2
    beside = folder(tmp_path / "run", "{id: board/Go-v0, size: 9, n: 8}", GOOD)
    assert rate_files([beside, go])["game"] == "go 9×9"
    others = folder(tmp_path / "others", "{id: 'no_such_package.games:mine'}", GOOD)
    assert rate_files([others])["game"] == "others"


def test_sgf_is_by_each_folders_own_game(tmp_path, capsys):
    go = folder(tmp_path / "go", GO, GOOD | {"moves": "a9 b1"})
    other = folder(tmp_path / "other", GO, GOOD | {"moves": "c9"})
    rate_files([go, other], sgf=tmp_path / "all.sgf")
    text = (tmp_path / "all.sgf").read_text()
    assert text.count("(;GM[1]") == 2
    assert "B[ca]" in text
    alone = lines(tmp_path / "games.jsonl", GOOD)
    (tmp_path / "all.sgf").unlink()
    told = refused(capsys, "rate", go, alone, "--sgf", tmp_path / "all.sgf")
    assert f"{alone} is no tournament's folder" in told
    lines(go / "games.jsonl", GOOD | {"moves": "zz"})
    assert "game -1: 'zz' is no move" in refused(capsys, "rate", go, "--sgf", tmp_path / "all.sgf")
    assert not (tmp_path / "all.sgf").exists()


def test_the_same_file_twice_is_told_and_counts_once_for_intervals(tmp_path, capsys):
    dice = np.random.default_rng(0)
    games = []
    for k in range(200):
        seats = {"first": "ab"[k % 2], "second": "ba"[k % 2], "game": k, "moves": str(k)}
        games.append(seats | {"outcome": str(dice.choice(["first won", "second won"]))})
    file = lines(tmp_path / "games.jsonl", *games)
    once, twice = rate_files([file]), rate_files([file, file])
    assert (twice["games"], twice["distinct"]) == (400, 200)
    row = twice["players"][0]
    assert draw.half(twice, row) == pytest.approx(np.diff(row["distinct"])[0] / 2)
    assert draw.half(twice, row) > 1.2 * (row["high"] - row["low"]) / 2
    assert draw.half(twice, row) == pytest.approx(draw.half(once, once["players"][0]), rel=0.02)
    assert not any("before" in line for line in contests.remarks(once))
    shown = said(capsys, "rate", file, file).out
    assert "200 of 400 games were played before, move for move: ± is by the different ones" in shown
    assert f"± {draw.half(twice, row):.0f} " in shown
    assert "ratings.json" not in shown
    assert "by different games" in draw.rating_name(twice)


def test_pgn_given_twice_is_told_too(tmp_path):
    file = pgn(tmp_path / "a.pgn", PGN)
    told = rate_files([file, file])
    assert (told["games"], told["distinct"]) == (4, 2)


def test_rate_writes_its_table_and_picture(tmp_path, capsys):
    file = lines(tmp_path / "games.jsonl", GOOD, GOOD | {"outcome": "draw"})
    shown = said(
        capsys, "rate", file, "--anchor", "b", "--anchor-elo", 1500, "--out", tmp_path / "new" / "x"
    ).out
    assert "b is at 1500" in shown
    told = json.loads((tmp_path / "new" / "x" / "ratings.json").read_text())
    assert {row["name"]: row["elo"] for row in told["players"]}["b"] == 1500
    assert (tmp_path / "new" / "x" / "ratings.png").stat().st_size > 10_000
    assert f"wrote {tmp_path / 'new' / 'x' / 'ratings.png'}" in shown
    assert "of whom?" in refused(capsys, "rate", file, "--anchor-elo", 5)
    assert "finite" in refused(capsys, "rate", file, "--anchor", "a", "--anchor-elo", "nan")
    assert "no player of that name; there are a, b" in refused(capsys, "rate", file, "--anchor", "c")


def test_what_is_no_file_of_games_is_told_in_a_line(tmp_path, capsys):
    (tmp_path / "x" / "games.jsonl").mkdir(parents=True)
    for given in (tmp_path / "x", tmp_path / "x" / "games.jsonl"):
        assert "games.jsonl: is a folder" in refused(capsys, "rate", given)
    assert f"{tmp_path}: is a folder without games.jsonl" in refused(capsys, "rate", tmp_path)
    ratings = tmp_path / "ratings.json"
    ratings.write_text(json.dumps({"games": 3, "players": [{"name": "a"}]}, indent=1))
    assert f"{ratings}: holds no games: line 1: is no JSON\n" in refused(capsys, "rate", ratings)
    assert len(refused(capsys, "rate", "x" * 5000)) < 300
    assert "there is no such file" in refused(capsys, "rate", tmp_path / "none.pgn")
    assert "no games" in refused(capsys, "rate", lines(tmp_path / "empty.jsonl"))


# -- the table ---------------------------------------------------------------------------------------------


def told_of(names, draws=False, games=12):
    """Standings of some games between all neighbours, both ways."""
    dice, records = np.random.default_rng(1), list[GameRecord]()
    outcomes = ["first won", "second won", *(["draw"] if draws else [])]
    for a, b in pairwise(names):
        for first, second in [(a, b), (b, a)] * (games // 2):
            number = len(records)
            outcome = str(dice.choice(outcomes))
            records.append(GameRecord(number, 0, first, second, "", str(number), outcome, seconds=(1, 2)))
    return standings(records, names, samples=0) | {"game": "a game of $x$ and $y$"}


def test_numbers_stay_in_eighty_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = "a name that is much longer than any table has room for, " * 3
    contests.tell_standings(told_of([long, "line\nfeed", "棋手" * 30, "d"]))
    table = capsys.readouterr().out.splitlines()[:5]
    assert all(len(line) <= 80 for line in table)
    assert sum("…" in line for line in table) == 2
    assert sum("line\\nfeed" in line for line in table) == 1
    for line in table[1:]:
        assert re.search(r"± \d+ +\d+ +\d\.\d{3} +\d\.\d{3}", line)


def test_one_game_is_one_and_nothing_is_minus_nothing():
    told = told_of(["a", "b"])
    told |= {"games": 1, "distinct": 1, "first_move": {"elo": -0.3, "error": 112}}
    assert contests.remarks(told)[1].startswith("1 game, 1 of them different; 0 is the mean of all; ")
    assert "moving first is worth 0 ± 220 Elo" in contests.remarks(told)[1]
    assert draw.title(told).startswith("1 game of ")


def test_draws_are_told_where_there_are_any():
    told = told_of(["a", "b"])
    told["draws"] = {"share": 0.06, "games": 0}
    assert "draw" not in contests.remarks(told)[1] + draw.title(told)
    told["draws"]["games"] = 1
    assert "equals draw 6%" in contests.remarks(told)[1]
    assert "equals draw 6%" in draw.title(told)


@pytest.mark.parametrize(
    ("visits", "shown"), [(None, ""), (0.25, "0.25"), (12.3, "12.3"), (1000.0, "1,000"), (81234.5, "81,234")]
)
def test_visits_are_shown_as_people_write_numbers(visits, shown, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    told = told_of(["a", "b"])
    told["players"][0] |= {"seconds_a_move": None, "visits_a_move": visits}
    contests.tell_standings(told)
    assert capsys.readouterr().out.splitlines()[1].endswith(shown)
    assert "e+" not in shown


def test_a_sequential_test_claims_no_more_than_it_found():
    test = {"elo0": 0.0, "elo1": 40.0, "pairs": [0, 2, 6, 12, 8], "llr": 3.12, "players": ["b", "a"]}
    begins, ends = "SPRT: b against a, [0, 40] Elo: ", "by the score 175 Elo [108, 256]"
    told = [contests.sprt_verdict(test | {"verdict": verdict}) for verdict in ("accept", "reject", "go on")]
    assert told == [
        f"{begins}accepted, better than 0 (LLR 3.1 after 28 pairs); {ends}, which such a stop biases",
        f"{begins}rejected, not 40 better (LLR 3.1 after 28 pairs); {ends}, which such a stop biases",
        f"{begins}open (LLR 3.1 after 28 pairs); {ends}",
    ]
    won = test | {"verdict": "accept", "pairs": [0, 0, 0, 0, 10]}
    assert "by the score ∞ Elo [201, ∞], which" in contests.sprt_verdict(won)
    none = test | {"verdict": "go on", "pairs": [0] * 5, "llr": 0.0}
    assert contests.sprt_verdict(none).endswith("open (LLR 0.0 after 0 pairs)")
    assert "(LLR 0.0 after 1 pair)" in contests.sprt_verdict(
        test | {"verdict": "go on", "pairs": [0, 0, 1, 0, 0], "llr": -0.01}
    )


# -- pictures ----------------------------------------------------------------------------------------------


class Noted:
    """The figures that were drawn, by their files' names."""

    def __init__(self, monkeypatch):
        self.figures = {}
        monkeypatch.setattr(draw, "save_figure", self.save)

    def save(self, figure, path):
        self.figures[path.name] = figure
        figure.savefig(path)


class Table:
    """What `draw` asks of a tournament."""

    def __init__(self, families):
        entrant = type("Entrant", (), {})
        self.entrants = {name: entrant() for name in families}
        for name, family in families.items():
            self.entrants[name].family = family
        self.config = type("Config", (), {"ladder": None})()


def test_a_family_has_one_colour_in_all_pictures(monkeypatch, tmp_path):
    noted, told = Noted(monkeypatch), told_of(["u1", "p", "u2", "r"])
    for row in told["players"]:
        row["visits_a_move"] = {"u1": 10, "u2": 100, "p": 50}.get(row["name"])
    families = {"r": "random", "p": "ppo", "u1": "uct", "u2": "uct"}
    made = draw.draw(tmp_path, told, Table(families))
    assert [path.name for path in made] == ["ratings.png", "strength.png"]
    for figure in noted.figures.values():
        for axis in figure.axes:
            for drawn in axis.containers:
                assert drawn[0].get_color() == draw.colours_of(families)[drawn.get_label()]
    assert len(noted.figures["ratings.png"].axes[0].containers) == 3
    assert noted.figures["strength.png"].axes[0].get_ylabel() == draw.rating_name(told)


def test_seconds_alone_are_worth_a_picture(monkeypatch, tmp_path):
    told = told_of(["alphabeta 1", "alphabeta 3", "r"])
    families = {"alphabeta 1": "alphabeta", "alphabeta 3": "alphabeta", "r": "random"}
    noted = Noted(monkeypatch)
    assert "strength.png" in [path.name for path in draw.draw(tmp_path, told, Table(families))]
    assert [axis.get_xlabel() for axis in noted.figures["strength.png"].axes] == ["seconds a move"]
    other = dict(zip(families, ("a", "b", "c")))
    assert [path.name for path in draw.draw(tmp_path, told, Table(other))] == ["ratings.png"]


def test_names_are_no_mathematics_and_nothing_is_said_of_letters(monkeypatch, tmp_path):
    noted = Noted(monkeypatch)
    names = ["$x_1$ and $y^2$", "$\\frac{$", "棋手", "x" * 99, "line\nfeed"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw.draw_ratings(tmp_path / "ratings.png", told_of(names), {name: name for name in names})
    axis = noted.figures["ratings.png"].axes[0]
    shown = [text.get_text() for text in axis.get_yticklabels()]
    assert max(map(len, shown)) < 40
    assert not any("\n" in text for text in shown)
    from matplotlib.text import Text

    assert not any(text._preprocess_math(text.get_text())[1] for text in axis.get_yticklabels())
    assert any(Text()._preprocess_math(name)[1] for name in names)


def test_a_large_crosstable_has_no_numbers(monkeypatch, tmp_path):
    noted = Noted(monkeypatch)
    for count, numbers in ((20, 38), (21, 0)):
        draw.draw_ratings(tmp_path / "ratings.png", told_of([f"p{k}" for k in range(count)], games=2), {})
        assert len(noted.figures["ratings.png"].axes[1].texts) == numbers
    assert noted.figures["ratings.png"].axes[1].get_xticklabels()[0].get_fontsize() < 8


# -- the line while it is played ---------------------------------------------------------------------------


def test_a_line_of_progress_never_goes_below_nothing():
    live = Live()
    live.tournament = type("Tournament", (), {"records": [None] * 5, "total": 4})()
    live.begun, live.before, live.now = time.perf_counter() - 10, 3, 0
    assert "5 of 4 games, 0.2 games/s, 0:00 left" in live.status(live.begun + 10)
    live.before = 6
    assert "0 games/s, ? left" in live.status(live.begun + 10)
