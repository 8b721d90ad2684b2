"""Tournaments: the same games and the same table however they are played, and what is told of bad input."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from itertools import product

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from envs.board import load
from move37.cli import main
from move37.errors import UserError
from move37.tournament import play
from move37.tournament.config import load_tournament
from move37.tournament.gamelog import GameRecord, read_games
from move37.tournament.play import run_tournament
from move37.tournament.rate import rate_files
from move37.tournament.standings import as_games, standings, surprises
from move37.tournament.watch import Watcher
from rollouts.agent import Agent, Decision
from search.ratings import fit
from search.sprt import llr
from tests.search.test_gtp import FAKE

SMALL = """
env: {id: board/ConnectFour-v0}
entrants: {a: random, b: "uct:10", c: "uct:40"}
pairs: 6
at_once: 8
threads: 1
"""


class Cheat(Agent):
    """Knows a column that nobody else knows."""

    def __init__(self, observation_space, action_space, device="cpu"):
        pass

    def act(self, obs, *, rng, first, memory=None, explore=True):
        return Decision(np.full(len(first), 99))


def write(folder, text=SMALL, name="t.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def run(path, out, *overrides, watcher=None):
    return run_tournament(path, overrides, out=out, watcher=watcher)


def lines(folder):
    """The games of a folder without what depends on the clock."""
    found, wrong = read_games(folder / "games.jsonl")
    assert not wrong
    return [{k: v for k, v in vars(record).items() if k != "seconds"} for record in found]


def table(told):
    """The table without what depends on the clock."""
    rows = [{k: v for k, v in row.items() if k != "seconds_a_move"} for row in told["players"]]
    return rows, {k: v for k, v in told.items() if k not in ("players", "figures")}


def told_of(capsys, *arguments):
    """What a command says on stderr when it refuses."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tournament that ran through: (config, folder, what it told)."""
    folder = tmp_path_factory.mktemp("whole")
    path = write(folder)
    return path, folder / "run", run(path, folder / "run")


def test_all_play_all_with_both_colours_from_one_opening(whole):
    _, folder, told = whole
    records, _ = read_games(folder / "games.jsonl")
    assert len(records) == told["games"] == 36
    assert [r.game for r in records] == list(range(36))
    for one, two in zip(records[::2], records[1::2]):
        assert (one.first, one.second) == (two.second, two.first)
        assert one.opening == two.opening
        assert len(one.opening.split()) == 4
    meetings = [frozenset((r.first, r.second)) for r in records[::2]]
    assert all(meetings.count(m) == 6 for m in meetings)
    for meeting in set(meetings):
        own = [r.opening for r, m in zip(records[::2], meetings) if m == meeting]
        assert len(set(own)) == 6
    assert [row["name"] for row in told["players"]] == ["c", "b", "a"]
    on_disk = json.loads((folder / "ratings.json").read_text())
    assert on_disk["players"] == told["players"]
    assert (folder / "ratings.png").stat().st_size > 10_000
    game = load("connect_four")
    for record in records:
        moves = [game.parse_move(word) for word in f"{record.opening} {record.moves}".split()]
        assert outcome_of(game, moves) == record.outcome


def outcome_of(game, moves):
    from envs.board.game import OUTCOMES, outcome, play

    state = game.new()[0]
    for action in moves:
        play(game.code, state, action)
    return OUTCOMES[outcome(state)]


class StopsAfter(Watcher):
    """Ctrl-C after so many batches of this process."""

    def __init__(self, batches):
        self.left = batches

    def played(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_stopped_twice_it_comes_to_the_same_games_and_table(whole, tmp_path, capfd):
    path, folder, told = whole
    capfd.readouterr()
    for batches in (1, 2):
        with pytest.raises(KeyboardInterrupt, match="games, all kept; the same command goes on"):
            run(path, tmp_path / "run", watcher=StopsAfter(batches))
    assert capfd.readouterr().err == 2 * "move37: stopping after this batch; Ctrl-C again stops at once\n"
    assert len(lines(tmp_path / "run")) == 24
    again = run(path, tmp_path / "run")
    assert lines(tmp_path / "run") == lines(folder)
    assert table(again) == table(told)


def test_killed_it_goes_on(whole, tmp_path):
    path, folder, told = whole
    command = [sys.executable, "-m", "move37", "tournament", str(path), "--out", str(tmp_path / "run")]
    for wanted in (1, 10):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        games, deadline = tmp_path / "run" / "games.jsonl", time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if games.exists() and games.read_text().count("\n") >= wanted:
                break
            time.sleep(0.005)
        process.kill()
        process.wait()
    assert table(run(path, tmp_path / "run")) == table(told)
    assert lines(tmp_path / "run") == lines(folder)


def test_a_corrupt_line_is_told_and_its_game_is_played_again(whole, tmp_path, capsys):
    path, folder, told = whole
    there = (folder / "games.jsonl").read_text().splitlines(keepends=True)
    there[10] = there[10][:30] + "\n"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text((folder / "config.yaml").read_text())
    (tmp_path / "run" / "games.jsonl").write_text("".join(there) + '{"game": 99')
    again = run(path, tmp_path / "run")
    said = capsys.readouterr().err
    assert "games.jsonl, line 11: is no JSON; left out" in said
    assert "games.jsonl, line 37: is no JSON; left out" in said
    assert table(again) == table(told)
    assert lines(tmp_path / "run") == lines(folder)
    was, now = (read_games(where / "games.jsonl")[0] for where in (folder, tmp_path / "run"))
    assert [k for k in range(36) if was[k] != now[k]] == [10]  # by their seconds: no other was played again


def test_what_was_played_is_not_played_again(whole, monkeypatch, tmp_path):
    path, folder, told = whole
    from move37.tournament import table as module

    monkeypatch.setattr(module, "play_games", lambda *a, **k: pytest.fail("all is there"))
    assert table(run(path, folder)) == table(told)


def test_it_can_be_made_longer(whole, tmp_path):
    path, folder, _ = whole
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "games.jsonl"):
        (tmp_path / "run" / name).write_text((folder / name).read_text())
    told = run(path, tmp_path / "run", "pairs=8")
    assert told["games"] == 48
    assert lines(tmp_path / "run")[:32] == lines(folder)[:32]


class Moody(Agent):
    """Plays as no seed says, like some engines."""

    def __init__(self, observation_space, action_space, device="cpu"):
        self.own = np.random.default_rng()

    def act(self, obs, *, rng, first, memory=None, explore=True):
        return Decision((self.own.random(obs["action_mask"].shape) * obs["action_mask"]).argmax(axis=1))


def test_made_longer_it_keeps_all_games_as_they_were(tmp_path):
    text = SMALL.replace("a: random", "a: {player: 'tests.move37.test_tournament:Moody'}")
    path = write(tmp_path, text.replace('"uct:10", c: "uct:40"', "random, c: random"))
    run(path, tmp_path / "run", "pairs=5")  # 30 games: the last batch of 8 would have room for 2 more
    before = (tmp_path / "run" / "games.jsonl").read_text()
    assert run(path, tmp_path / "run", "pairs=7")["games"] == 42
    after = (tmp_path / "run" / "games.jsonl").read_text()
    assert after.startswith(before)
    assert [record.game for record in read_games(tmp_path / "run" / "games.jsonl")[0]] == list(range(42))


def test_no_game_is_ever_dropped(whole, tmp_path):
    path, folder, _ = whole
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "games.jsonl"):
        (tmp_path / "run" / name).write_text((folder / name).read_text())
    before = (tmp_path / "run" / "games.jsonl").read_text()
    with pytest.raises(UserError, match=r"games\.jsonl: holds 12 games beyond the 24 of this tournament"):
        run(path, tmp_path / "run", "pairs=4")
    (tmp_path / "run" / "games.jsonl").write_text(before.replace('"seed": ', '"seed": 1', 1))
    with pytest.raises(UserError, match="game 0 was played by another tournament than this: seed was 1"):
        run(path, tmp_path / "run")
    assert (tmp_path / "run" / "games.jsonl").read_text().count("\n") == 36


def test_other_openings_under_a_tournament_are_told(tmp_path):
    (tmp_path / "openings.txt").write_text("1 2\n2 3\n4 4\n")
    path = write(
        tmp_path, SMALL.replace("pairs: 6", f"pairs: 3\nopenings: {{file: {tmp_path / 'openings.txt'}}}")
    )
    told = run(path, tmp_path / "run")
    assert told["games"] == 18
    (tmp_path / "openings.txt").write_text("1 2\n2 4\n4 4\n")
    with pytest.raises(UserError, match="by another tournament than this: opening was 2 3, would be 2 4"):
        run(path, tmp_path / "run")


def test_other_weights_under_a_tournament_are_told(tmp_path):
    shutil.copytree("configs/trained/connect_four", tmp_path / "net")
    text = SMALL.replace("a: random", f"net: {{run: {tmp_path / 'net'}, simulations: 1}}").replace(
        "pairs: 6", "pairs: 1"
    )
    path = write(tmp_path, text)
    assert run(path, tmp_path / "run")["games"] == 6
    (weights,) = (tmp_path / "net" / "checkpoints").rglob("*.safetensors")
    arrays = load_file(weights)
    name = sorted(arrays)[0]
    save_file({**arrays, name: arrays[name] * 1.5}, weights)
    with pytest.raises(
        UserError, match=r"budgets was .*2887680 \(weights \w+\).*, would be .*2887680 \(weights"
    ):
        run(path, tmp_path / "run")


def test_fewer_openings_than_pairs_are_told(tmp_path, capsys):
    told = run(write(tmp_path, SMALL), tmp_path / "run", "openings.plies=1")
    assert told["games"] == 3 * 2 * 4  # a column and its mirror image are one
    assert "there are 4 openings, so a meeting has 4 pairs, not 6" in capsys.readouterr().err


def test_a_ladder_needs_snapshots_and_an_anchor_that_is_there(tmp_path, capsys):
    text = "env: {id: board/ConnectFour-v0}\nschedule: ladder\nladder: {run: configs/trained/connect_four}\n"
    said = told_of(capsys, "tournament", write(tmp_path, text), "--out", tmp_path / "run")
    assert (
        "ladder.run: configs/trained/connect_four has 0 snapshots: train it with checkpoint.snapshots" in said
    )

    said = told_of(
        capsys, "tournament", write(tmp_path, text), "ladder.run=nowhere", "--out", tmp_path / "run"
    )
    assert said.startswith("move37: override 'ladder.run=nowhere': ladder.run: nowhere: no run folder")


@pytest.mark.parametrize("name", ['""', '"a\\nb"', '"a\\u2028b"'])
def test_names_that_cannot_be_printed_are_told(name, tmp_path, capsys):
    path = write(tmp_path, SMALL.replace("a: random", f"{name}: random"))
    assert "is no name that can be printed" in told_of(capsys, "tournament", path, "--out", tmp_path / "run")


def test_workers_that_are_killed_play_their_games_again(whole, tmp_path, monkeypatch):
    path, folder, _ = whole
    import ray

    made, killed = [], []

    class Noted(play.Workers):
        def __init__(self, tournament):
            super().__init__(tournament)
            made.append(self)

    class Kills(Watcher):
        def played(self):
            for actor in [p.actor for p in made[0].crew.roster.places] if not killed else ():
                ray.kill(actor, no_restart=False)
                killed.append(actor)

    monkeypatch.setattr(play, "Workers", Noted)
    try:
        run(path, tmp_path / "run", "workers=2", watcher=Kills())
    finally:
        ray.shutdown()
    assert len(killed) == 2
    assert lines(tmp_path / "run") == lines(folder)


def test_a_cheat_loses_and_the_tournament_goes_on(tmp_path, capsys):
    text = SMALL.replace("a: random", "cheat: {player: 'tests.move37.test_tournament:Cheat'}")
    told = run(write(tmp_path, text), tmp_path / "run")
    assert told["games"] == 36
    assert told["players"][-1]["name"] == "cheat"
    assert told["players"][-1]["score"] == 0
    said = "cheat: illegal move: there is no action 99; 7 are counted from 0"
    assert told["forfeits"] == {said: 24}
    assert main(["rate", str(tmp_path / "run")]) == 0
    assert f"24 × {said}" in capsys.readouterr().out


class Counts(Watcher):
    """How many games the log has after each batch."""

    def __init__(self, folder):
        self.file, self.found = folder / "games.jsonl", []

    def played(self):
        self.found.append(self.file.read_text().count("\n"))


def test_engines_that_fail_lose_and_the_tournament_goes_on(tmp_path):
    (tmp_path / "fake.py").write_text(FAKE)
    command = shlex.join([sys.executable, "-S", str(tmp_path / "fake.py"), str(tmp_path / "log")])
    text = f"""
env: {{id: board/TicTacToe-v0}}
entrants:
  sound: {{gtp: "{command}", seconds: 20}}
  hangs: {{gtp: "{command} hangs", seconds: 0.3}}
  dies: {{gtp: "{command} dies"}}
  resigns: {{gtp: "{command} says '= resign'"}}
pairs: 1
openings: {{plies: 2}}
threads: 1
"""
    counts = Counts(tmp_path / "run")
    told = run(write(tmp_path, text), tmp_path / "run", watcher=counts)
    assert counts.found == [2, 4, 6, 8, 10, 12]  # an engine's games are slow: they are kept as they end
    assert told["games"] == 12
    assert told["players"][0]["name"] == "sound"
    assert told["players"][0]["score"] == 1
    for name, said in (("hangs", "0.3"), ("dies", "out of luck"), ("resigns", "resigned")):
        assert any(key.startswith(f"{name}: ") and said in key for key in told["forfeits"]), name
    assert sum(told["forfeits"].values()) == 12


def test_a_swiss_tournament(tmp_path):
    entrants = ", ".join(f"'p{k}': 'uct:{3 * k + 1}'" for k in range(5))
    text = (
        f"env: {{id: board/TicTacToe-v0}}\nentrants: {{{entrants}}}\nschedule: swiss\npairs: 3\nthreads: 1\n"
    )
    told = run(write(tmp_path, text + "rounds: 3\n"), tmp_path / "run")
    records, _ = read_games(tmp_path / "run" / "games.jsonl")
    assert told["games"] == len(records) == 3 * 2 * 2 * 3
    for number in range(3):
        met = {frozenset((r.first, r.second)) for r in records if r.round == number}
        assert len(met) == 2
    assert len({frozenset((r.first, r.second)) for r in records}) == 6  # no rematch


def test_a_swiss_tournament_of_equals_ends_with_a_table(tmp_path):
    entrants = ", ".join(f"p{k}: perfect" for k in range(8))
    text = f"env: {{id: board/TicTacToe-v0}}\nentrants: {{{entrants}}}\nschedule: swiss\nthreads: 1\n"
    told = run(write(tmp_path, text), tmp_path / "run", "pairs=1", "openings.plies=0")
    assert told["games"] == told["draws"]["games"] == 24
    assert len(told["players"]) == 8


def test_the_openings_of_a_swiss_meeting_are_all_different(tmp_path):
    text = SMALL.replace("pairs: 6", "pairs: 10\nschedule: swiss\nopenings: {count: 10}")
    text = text.replace('b: "uct:10", c: "uct:40"', "b: random, c: random, d: random")
    assert run(write(tmp_path, text), tmp_path / "run")["games"] == 2 * 2 * 2 * 10
    found = {}
    for record in read_games(tmp_path / "run" / "games.jsonl")[0][::2]:
        found.setdefault(frozenset((record.first, record.second)), []).append(record.opening)
    assert [len(set(openings)) for openings in found.values()] == [10] * 4


# -- a person ----------------------------------------------------------------------------------------------

SEATED = """
env: {id: board/TicTacToe-v0}
entrants: {me: person, r: "tests.move37.test_tournament:Lowest"}
openings: {plies: 0}
pairs: 1
threads: 1
"""


class Lowest(Agent):
    """Takes the first square that is free."""

    def __init__(self, observation_space, action_space, device="cpu"):
        pass

    def act(self, obs, *, rng, first, memory=None, explore=True):
        return Decision(obs["action_mask"].argmax(axis=1))


def test_a_person_is_told_of_each_game_and_each_is_kept_as_it_ends(tmp_path, monkeypatch, capsys):
    path, counts, word = write(tmp_path, SEATED), Counts(tmp_path / "run"), load("tic_tac_toe").move_text
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"nonsense\n{word(4)}\n{word(3)}\n{word(5)}\n"))
    with pytest.raises(KeyboardInterrupt, match="this game does not count; all before are kept"):
        run(path, tmp_path / "run", watcher=counts)  # which ends in the second game
    assert counts.found == [1]
    said = [line for line in capsys.readouterr().out.splitlines() if not set(line) <= set(".xo| -+")]
    assert [line for line in said if "game" in line or "r plays" in line or "won" in line] == [
        "game 1 of 2: me (x) moves first, r (o) moves second",
        f"r plays {word(0)}",
        f"r plays {word(1)}",
        "me won after 5 plies",
        "game 2 of 2: r (x) moves first, me (o) moves second",
        f"r plays {word(0)}",
    ]
    assert "'nonsense' is not legal (or: moves, quit)" in said
    monkeypatch.setattr(sys, "stdin", io.StringIO("quit\n"))
    told = run(path, tmp_path / "run", watcher=counts)
    assert counts.found == [1, 2]
    assert "r won after 1 ply (left)" in capsys.readouterr().out
    assert [row["score"] for row in told["players"]] == [0.5, 0.5]


def test_two_entrants_play_until_a_test_is_decided(tmp_path):
    text = (
        SMALL.replace(', c: "uct:40"', "")
        .replace('b: "uct:10"', "b: 'uct:60'")
        .replace("pairs: 6", "pairs: 200")
    )
    path = write(tmp_path, text.replace("{a: random, b: 'uct:60'}", "{b: 'uct:60', a: random}"))
    overrides = "sprt={elo0: 0, elo1: 100}", "at_once=10"
    told = run(path, tmp_path / "run", *overrides)
    records, _ = read_games(tmp_path / "run" / "games.jsonl")
    seen, limit, pairs = np.zeros(5, int), math.log(0.95 / 0.05), 0
    while not pairs or abs(llr(seen, 0, 100)) < limit:
        one, two = records[2 * pairs : 2 * pairs + 2]
        seen[round(2 * (one.points + 1 - two.points))] += 1
        pairs += 1
    assert told["sprt"]["pairs"] == seen.tolist()  # and none of the rest of that batch
    assert told["sprt"]["llr"] == pytest.approx(float(llr(seen, 0, 100)), abs=1e-6)
    assert told["sprt"]["verdict"] == "accept"
    assert told["games"] == len(records) == math.ceil(pairs / 5) * 10
    assert pairs % 5  # else this test would not tell the two apart
    again = run(path, tmp_path / "run", *overrides)
    assert table(again) == table(told)


def test_a_gauntlet(tmp_path):
    text = SMALL + "schedule: gauntlet\nnewcomers: [c]\n"
    told = run(write(tmp_path, text), tmp_path / "run")
    assert told["games"] == 24
    records, _ = read_games(tmp_path / "run" / "games.jsonl")
    assert all("c" in (r.first, r.second) for r in records)


def test_searches_by_the_clock_take_their_time(tmp_path):
    text = """
env: {id: board/TicTacToe-v0}
entrants: {slow: {player: uct, seconds: 0.02}, fast: random}
pairs: 2
threads: 1
"""
    told = run(write(tmp_path, text), tmp_path / "run")
    slow = next(row for row in told["players"] if row["name"] == "slow")
    assert 0.019 < slow["seconds_a_move"] < 0.2
    assert slow["visits_a_move"] > 1000


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("a: random", "a: rendom"), ("entrants.a", "did you mean 'random'?")),
        (("a: random", "a: {gtp: /no/such/engine}"), ("a",)),
        (("a: random", "a: {run: nowhere}"), ("entrants.a", "nowhere")),
        (("a: random", "a: {player: random, run: x}"), ("entrants.a", "one of player, run and gtp")),
        (("a: random", "a: {player: random, simulations: 5}"), ("entrants.a", "of a run")),
        (('b: "uct:10", c: "uct:40"', ""), ("2 entrants at least, not 1",)),
        (("pairs: 6", "pears: 6"), ("pears: unknown key", "pairs")),
        (("pairs: 6", "anchor: d"), (": anchor: no entrant 'd'; there are a, b, c",)),
        (("pairs: 6", "anchor_elo: 9"), (": anchor_elo: of whom is 9 the rating?", "anchor")),
        (
            ("pairs: 6", "schedule: gauntlet\nnewcomers: [d]"),
            (": newcomers: no entrant 'd'; there are a, b",),
        ),
        (("pairs: 6", "schedule: gauntlet\nnewcomers: [a, a]"), (": newcomers: 'a' is there twice",)),
        (("pairs: 6", "schedule: swiss\nrounds: 1"), (": rounds: must be 2 to 2 (fewer do not connect 3",)),
        (("pairs: 6", "schedule: swiss\nrounds: 3"), (": rounds: must be 2 to 2", "nobody left to meet")),
        (("pairs: 6", "newcomers: [a]"), ("newcomers are of the schedule 'gauntlet'",)),
        (("at_once: 8", "at_once: 7"), ("at_once", "multiple of 2")),
        (("pairs: 6", "openings: {plies: 99}"), ("openings.plies", "[0, 41]")),
        (("pairs: 6", "openings: {file: none.txt}"), ("openings.file", "none.txt: No such file")),
        (("pairs: 6", "openings: {judge: random}"), ("openings", "tells no values")),
        (("pairs: 6", "sprt: {elo0: 0}"), ("sprt is of two entrants",)),
        (("ConnectFour-v0", "ConectFour-v0"), ("env: no game", "did you mean")),
        (("board/ConnectFour-v0", "CartPole-v1"), ("env",)),
    ],
)
def test_a_config_that_does_not_fit_is_told_in_a_line(change, said, tmp_path, capsys):
    assert change[0] in SMALL
    path = write(tmp_path, SMALL.replace(*change))
    told = told_of(capsys, "tournament", path, "--out", tmp_path / "run")
    assert told.count("\n") == 1
    assert str(path) in told
    for word in said:
        assert word in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("anchor=z", "anchor: no entrant 'z'; there are a, b, c"),
        ("newcomers=[z]", "newcomers: no entrant 'z'; there are a, b, c"),
        ("rounds=9", "rounds: must be 2 to 2 ("),
    ],
)
def test_an_override_that_does_not_fit_is_named(override, said, tmp_path, capsys):
    path = write(tmp_path, SMALL + "schedule: swiss\n")
    told = told_of(capsys, "tournament", path, override, "--out", tmp_path / "run")
    assert told.startswith(f"move37: override '{override}': {said}")


def test_two_of_one_name_are_told(tmp_path, capsys):
    path = write(tmp_path, SMALL.replace("b:", "a:", 1))
    said = told_of(capsys, "tournament", path, "--out", tmp_path / "run")
    assert "'a'" in said
    assert "twice" in said


def test_an_entrant_for_another_game_is_told(tmp_path, capsys):
    text = SMALL.replace("ConnectFour", "TicTacToe").replace("a: random", "a: configs/trained/connect_four")
    said = told_of(capsys, "tournament", write(tmp_path, text), "--out", tmp_path / "run")
    assert "entrants.a: configs/trained/connect_four plays connect four, not tic-tac-toe" in said


def test_another_config_under_a_tournament_is_told(whole, tmp_path, capsys):
    path, folder, _ = whole
    said = told_of(capsys, "tournament", path, "seed=5", "entrants.b=uct:11", "--out", folder)
    assert (
        "holds a tournament of another config: entrants.b.player was uct:10, is uct:11; seed was 0, is 5"
        in said
    )
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "config.yaml").write_text("junk\n")
    said = told_of(capsys, "tournament", path, "--out", tmp_path / "junk")
    assert "junk/config.yaml: is damaged: no config, but 'junk'; put it back, or name another folder" in said
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    said = told_of(capsys, "tournament", path, "--out", tmp_path / "other")
    assert "is there already and holds no tournament" in said


def test_groups_that_never_met_are_told(tmp_path, capsys):
    games = [("a", "b"), ("b", "a"), ("c", "d")]
    file = tmp_path / "games.jsonl"
    file.write_text(
        "".join(json.dumps({"first": f, "second": s, "outcome": "draw"}) + "\n" for f, s in games)
    )
    said = told_of(capsys, "rate", file)
    assert "no games connect these 2 groups, so they cannot be rated together: a, b; c, d" in said


# -- files of others ---------------------------------------------------------------------------------------


def test_pgn_that_we_write_is_rated_the_same(whole, tmp_path):
    _, folder, told = whole
    again = rate_files([folder], pgn=tmp_path / "all.pgn")
    other = rate_files([tmp_path / "all.pgn"])
    for key in ("elo", "low", "high", "score"):
        assert [r[key] for r in again["players"]] == [r[key] for r in other["players"]]
    assert again["players"] == told["players"]


# -- what the games tell -----------------------------------------------------------------------------------


def test_games_that_were_played_before_are_counted_as_such():
    dice, same = np.random.default_rng(0), []
    for opening in range(20):
        ends = dice.choice(["first won", "draw", "second won"], size=2, p=[0.5, 0.2, 0.3]).tolist()
        for again in range(15):
            number = 2 * (20 * again + opening)
            same.append(GameRecord(number, 0, "a", "b", str(opening), "x", ends[0]))
            same.append(GameRecord(number + 1, 0, "b", "a", str(opening), "x", ends[1]))
    told = standings(same, ["a", "b"])
    assert (told["games"], told["distinct"]) == (600, 40)
    width = np.diff([[row["distinct"], [row["low"], row["high"]]] for row in told["players"]])[..., 0]
    assert (width[:, 0] > 3 * width[:, 1]).all()


def test_the_cost_of_a_move_is_of_the_moves_that_a_player_made():
    def game(k, first, second, opening, moves, seconds, nodes):
        return GameRecord(k, 0, first, second, opening, moves, "draw", "", seconds, nodes)

    told = standings(
        [
            game(0, "a", "b", "1", "2 3 4", (1.0, 6.0), (10, 50)),  # b moves: a made 1 of 3, b 2
            game(1, "b", "a", "1 2", "3 4 5", (4.0, 0.5), (70, 20)),  # b made 2 of 3, a 1
            game(2, "a", "c", "", "1 2 3 4", (2.5, 0.0), (6, 0)),  # 2 each
        ],
        ["a", "b", "c"],
    )
    costs = {row["name"]: (row["seconds_a_move"], row["visits_a_move"]) for row in told["players"]}
    assert costs == {"a": (1.0, 9.0), "b": (2.5, 30.0), "c": (None, None)}  # 4.0 s, 36 visits, 4 moves of a


def test_a_surprise_is_as_unlikely_as_all_results_that_are_as_strange():
    """Of the ten games that a won against c but for a draw: all their 3^10 results are gone through."""
    ends, who, records = ("first won", "draw", "second won"), ["ab", "ba", "bc", "cb"] * 150, []
    for k, (one, two) in enumerate(who):
        records.append(GameRecord(k, 0, one, two, "", f"{k}", ends[k // 4 % 3]))
    for k in range(600, 610):
        sides = (("a", "c"), ("c", "a"))[k % 2]
        records.append(GameRecord(k, 0, *sides, "", f"{k}", "draw" if k == 600 else ends[2 * (k % 2)]))
    games = as_games(records, ["a", "b", "c"])
    ratings = fit(games, 3)
    unit = np.log(10) / 400
    laws = []  # of half points of a, by who moves first
    for sign in (1, -1):
        d = (ratings.elo[0] - ratings.elo[2] + sign * ratings.first_move) * unit
        parts = np.array([np.exp(-d / 2), ratings.draw, np.exp(d / 2)])
        laws.append(parts / parts.sum())
    tail = sum(
        math.prod(laws[k % 2][half] for k, half in enumerate(results))
        for results in product(range(3), repeat=10)
        if sum(results) >= 19
    )
    (found,) = surprises(ratings, games, ["a", "b", "c"])
    assert (found["winner"], found["loser"]) == ("a", "c")
    expected = 5 * (laws[0] + laws[1]) @ [0, 0.5, 1]
    assert found["points"] == pytest.approx(9.5 - expected, abs=0.05)
    assert found["chance"] == pytest.approx(2 * tail * 3, rel=0.05)  # either way, in any of three meetings


def test_a_circle_and_surprises_are_told():
    who, records = [("rock", "scissors"), ("scissors", "paper"), ("paper", "rock")], []
    for k in range(60):
        winner, loser = who[k % 3]
        records.append(GameRecord(2 * k, 0, winner, loser, "", f"{k}", "first won"))
        records.append(GameRecord(2 * k + 1, 0, loser, winner, "", f"{k}", "second won"))
    told = standings(records, ["rock", "paper", "scissors"])
    assert len(told["cycles"]) == 1
    assert set(told["cycles"][0]["players"]) == {"rock", "paper", "scissors"}
    assert len(told["surprises"]) == 3
    assert all(row["games"] == 40 and abs(row["residual"]) == 20 for row in told["residuals"])
    assert all(abs(row["standard"]) > 3 for row in told["residuals"])
    assert all(share == pytest.approx(1 / 3, abs=1e-3) for share in told["alpha_rank"].values())


def test_overrides_and_shorthand(tmp_path):
    config, _ = load_tournament(write(tmp_path), ["pairs=3", "entrants.d=alphabeta:2"])
    assert config.pairs == 3
    assert config.entrants["d"].player == "alphabeta:2"
    assert config.entrants["d"].family == "alphabeta"
    assert load_tournament(write(tmp_path))[0].entrants["b"].budget == "uct:10"
