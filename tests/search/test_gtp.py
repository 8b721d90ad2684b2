"""External engines over GTP: a fake one that does all that may go wrong, and GNU Go where it is installed."""

from __future__ import annotations

import gc
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.board import NAMES, go_text, load
from envs.board.batch import observe_states
from envs.board.game import OPEN, legal, outcome, play, to_play
from envs.board.go_board import area
from envs.board.moves import play_moves
from envs.board.spaces import observation_space
from envs.options import OptionError
from envs.rng import from_seeds
from rollouts.build import build_agent
from search.gtp import COLOURS, Engine, GtpPlayer, action_at, vertex
from search.uct import UCT

GNUGO = shutil.which("gnugo", path=os.environ.get("PATH", "") + ":/usr/games")
RULES = "--chinese-rules --positional-superko --capture-all-dead --never-resign"
needs_gnugo = pytest.mark.skipif(GNUGO is None, reason="gnugo is not installed")

FAKE = r"""
import os, subprocess, sys, time
log, faults = sys.argv[1], sys.argv[2:]

def say(text):
    print(text, end="\n\n", flush=True)

def note(text):
    with open(log, "a") as file:
        file.write(text + "\n")

for line in sys.stdin:
    note(line.strip())
    words = line.split()
    if words[0] in faults:
        say("? not I")
    elif words[0] == "clear_board":
        free = [column + row for row in "123" for column in "abc"]
        say("=")
    elif words[0] == "play":
        if words[2] in free:
            free.remove(words[2])
        say("=")
    elif words[0] == "name":
        say("= Fake")
    elif words[0] == "known_command":
        say("= true" if words[1] == "set_random_seed" and "seeded" in faults else "= false")
    elif words[0] == "genmove":
        while "rambles" in faults:
            os.write(2, b"thinking ")
            os.write(1, b"= ")
            time.sleep(0.01)
        if "hangs" in faults:
            note("child %d" % subprocess.Popen(["sleep", "60"]).pid)
            time.sleep(60)
        if "dies" in faults or "dies-once" in faults and not os.path.exists(log + ".died"):
            open(log + ".died", "w").close()
            sys.exit("out of luck")
        if "says" in faults:
            say(faults[1])
            continue
        if "floods" in faults:
            print("=" * (1 << 21), flush=True)
        if "chatters" in faults:
            sys.stderr.write("x" * (1 << 18))
        say("= " + free.pop(0).upper())
        if "stutters" in faults:
            say("=")
    else:
        say("=")
"""


@pytest.fixture
def fake(tmp_path):
    """Makes players of a fake engine; `fake.log()` is what their engines were told."""
    made, log = [], tmp_path / "log"
    (tmp_path / "fake.py").write_text(FAKE)

    def make(*faults, game="tic_tac_toe", **options):
        command = [sys.executable, "-S", str(tmp_path / "fake.py"), str(log), *faults]
        made.append(player(load(game), command, **{"seconds": 5.0, **options}))
        return made[-1]

    make.log = lambda: log.read_text().splitlines()
    yield make
    for one in made:
        one.close()


def player(game, command, **options):
    return GtpPlayer(observation_space(game), spaces.Discrete(game.actions), command=command, **options)


def obs_of(game, *games):
    """The observations after these moves, as people write them, one text a row."""
    states = np.stack([play_moves(game, moves) for moves in games])
    lines = [[game.parse_move(word) for word in moves.split()] for moves in games]
    obs = observe_states(game, states)
    obs["moves"] = np.full((len(games), max(map(len, lines))), -1, np.int16)
    for row, line in zip(obs["moves"], lines):
        row[: len(line)] = line
    return obs


def act(agent, *games, seed=0):
    """(its moves as text, "" where there is none; why there is none)."""
    n = len(games)
    rng = from_seeds(range(seed, seed + n))
    decision = agent.act(obs_of(agent.game, *games), rng=rng, first=np.ones(n, bool))
    moves = ["" if a < 0 else agent.game.move_text(int(a)) for a in decision.actions]
    return moves, decision.fields["forfeit"].tolist()


def pid_of(agent):
    return agent.engine.process.pid


def gone(pid, patience=5.0, orphan=False):
    """Whether a process ends and, but for an `orphan` that others have to bury, is no zombie either."""
    deadline, stat = time.monotonic() + patience, Path(f"/proc/{pid}/stat")
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if orphan and stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


# -- moves as text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES.values(), "swap"])
def test_moves_are_written_and_read(name):
    game = load("hex", {"swap": True}) if name == "swap" else load(name)
    words = [vertex(game, action) for action in range(game.actions)]
    assert len(set(words)) == game.actions
    for form in (str.lower, str.upper):
        assert [action_at(game, form(word)) for word in words] == list(range(game.actions))
    for word in ("", "z99", "resign", "99"):
        with pytest.raises(ValueError, match=r"is no |no move"):
            action_at(game, word)


def test_moves_are_written_as_programs_of_the_game_do():
    go, gomoku, hexagons = load("go"), load("gomoku"), load("hex", {"swap": True})
    assert vertex(go, 0) == "a9"
    assert vertex(go, 8) == "j9"
    assert vertex(go, 81) == "pass"
    assert vertex(gomoku, 8) == "j15"
    with pytest.raises(ValueError, match="no move of gomoku"):
        action_at(gomoku, "pass")
    assert vertex(hexagons, 0) == "a1"
    assert vertex(hexagons, 8) == "i1"
    assert vertex(hexagons, 121) == "swap-pieces"
    assert vertex(load("othello"), 0) == "a1"


# -- play --------------------------------------------------------------------------------------------------


def test_an_engine_is_told_only_what_is_new(fake):
    agent = fake()
    assert agent.title == "Fake"
    assert act(agent, "") == (["a1"], [""])
    assert act(agent, "a1 b2") == (["b1"], [""])
    begun = ["boardsize 3", "clear_board"]
    assert [
        line for line in fake.log() if line.split()[0] in ("boardsize", "clear_board", "play", "genmove")
    ] == [
        *begun,
        "genmove black",
        "play white b2",
        "genmove black",
    ]
    told = len(fake.log())
    assert act(agent, "a1 b2 c3", "a1", "a1 c1") == (["b1", "b1", "b1"], ["", "", ""])
    replayed = ["play black a1", "play white b2", "play black c3", "genmove white"]
    second = ["play black a1", "genmove white"]
    third = ["play black a1", "play white c1", "genmove black"]
    assert fake.log()[told:] == [*begun, *replayed, *begun, *second, *begun, *third]


def test_passes_and_komi_are_told(fake):
    agent = fake(game="go", setup=["level 3", "time_settings 0 5 1"])
    assert fake.log()[-5:] == ["level 3", "time_settings 0 5 1", "boardsize 9", "komi 7.5", "clear_board"]
    assert act(agent, "pass d4 pass") == (["a1"], [""])
    assert fake.log()[-4:] == ["play black pass", "play white d4", "play black pass", "genmove white"]


def test_a_seed_follows_from_the_rows_generator(fake):
    agent = fake("seeded")
    for games, seed in ((["", "a1"], 7), ([""], 7), (["a1"], 8)):
        act(agent, *games, seed=seed)
    seeds = [line.split()[1] for line in fake.log() if line.startswith("set_random_seed ")]
    assert seeds[0] == seeds[2] != seeds[1] == seeds[3]
    assert "clear_cache" in fake.log()
    rng = from_seeds([7])
    agent.act(obs_of(agent.game, ""), rng=rng, first=np.array([True]))
    assert rng != from_seeds([7])


def test_a_specification_builds_the_same_player(fake):
    agent = fake("seeded", seconds=3.0, setup=["level 3"])
    again = build_agent(agent.spec(), observation_space(agent.game), spaces.Discrete(9))
    assert again.spec() == agent.spec()
    assert act(again, "a1") == (["b1"], [""])
    again.close()
    assert act(again, "a1") == (["b1"], [""])  # it starts anew
    again.close()


def test_it_must_know_how_the_game_went(fake):
    obs = obs_of(load("tic_tac_toe"), "a1")
    del obs["moves"]
    with pytest.raises(ValueError, match="told a game's moves"):
        fake().act(obs, rng=from_seeds([0]), first=np.array([True]))


def test_what_goes_to_stderr_stops_nobody(fake):
    assert act(fake("chatters"), "") == (["a1"], [""])


# -- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (["hangs"], "did not answer 'genmove white' within 0.3 s"),
        (["rambles"], "did not answer 'genmove white' within 0.3 s"),
        (["dies"], "ended (exit status 1): out of luck"),
        (["says", "= a1"], "answered a1, which is not legal here"),
        (["says", "= z9"], "answered no move: 'z9' is no cell; a1 to c3 are"),
        (["says", "="], "answered no move: '' is no cell; a1 to c3 are"),
        (["says", "I think b2"], "said 'I think b2', which is no answer of GTP"),
        (["says", "? too hard"], "refused 'genmove white': too hard"),
        (["play"], "refused 'play black a1': not I"),
        (["says", "= Resign"], "resigned"),
        (["floods"], f"said '{'=' * 60}', which is no answer of GTP"),
    ],
)
def test_who_does_not_move_forfeits(fake, faults, reason):
    agent = fake(*faults, seconds=0.3 if faults[0] in ("hangs", "rambles") else 5.0)
    before = pid_of(agent)
    assert act(agent, "a1") == ([""], [reason])
    alive = reason == "resigned"
    assert (agent.engine is not None) == alive
    assert gone(before, 0.1) == (not alive)


def test_a_forfeit_is_one_rows_and_the_next_row_gets_a_fresh_engine(fake):
    agent = fake("says", "= B1", seconds=5.0)
    assert act(agent, "a1", "b1", "a1 c3") == (
        ["b1", "", "b1"],
        ["", "answered B1, which is not legal here", ""],
    )
    assert sum(line == "protocol_version" for line in fake.log()) == 2


def test_what_is_said_unasked_is_no_answer(fake):
    agent = fake("stutters")
    assert act(agent, "") == (["a1"], [""])
    time.sleep(0.1)
    assert act(agent, "a1 b2") == ([""], ["said '=' before 'play white b2'"])


def test_a_crash_is_forgiven_as_often_as_said(fake, tmp_path):
    assert act(fake("dies-once"), "a1") == (["b1"], [""])
    (tmp_path / "log.died").unlink()
    moves, (reason,) = act(fake("dies-once", retries=0), "a1")
    assert moves == [""]
    assert reason.startswith("ended")
    agent = fake()
    os.kill(pid_of(agent), signal.SIGKILL)  # while nobody asks it
    assert act(agent, "a1", "") == (["b1", "a1"], ["", ""])
    agent = fake(retries=0)
    os.kill(pid_of(agent), signal.SIGKILL)
    assert act(agent, "a1", "") == (["", "a1"], ["ended (signal 9)", ""])


def test_what_a_hanging_engine_started_ends_with_it(fake):
    agent = fake("hangs", seconds=0.3)
    act(agent, "")
    (child,) = [int(line.split()[1]) for line in fake.log() if line.startswith("child")]
    assert gone(child, orphan=True)


def test_engines_end_with_their_players(fake):
    game = load("tic_tac_toe")
    command = fake().options["command"]
    agent = player(game, command)
    first = pid_of(agent)
    with agent:
        assert not gone(first, 0.05)
    assert gone(first)
    agent = player(game, command)
    second = pid_of(agent)
    del agent
    gc.collect()
    assert gone(second)


def test_engines_end_with_the_program_which_needs_no_torch(tmp_path):
    (tmp_path / "fake.py").write_text(FAKE)
    command = [sys.executable, "-S", str(tmp_path / "fake.py"), str(tmp_path / "log")]
    code = (
        "import sys; from tests.search.test_gtp import load, player, pid_of; "
        "agent = player(load('tic_tac_toe'), sys.argv[1:]); print(pid_of(agent)); "
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    assert gone(int(done.stdout))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "no-such-program --mode gtp",
            "command 'no-such-program --mode gtp': cannot be started: No such file",
        ),
        ("", "command needs a program, such as gnugo --mode gtp"),
        ("gnugo 'x", "No closing quotation"),
        ([], "command needs a program"),
        (3, "command"),
        ("true", "command 'true': ended (exit status 0)"),
        (["sh", "-c", "echo no licence >&2; exit 3"], "ended (exit status 3): no licence"),
        (["sh", "-c", "read line; echo hello; read line"], "said 'hello', which is no answer of GTP"),
    ],
)
def test_a_command_that_is_no_engine_is_told_at_once(command, said):
    with pytest.raises(OptionError) as raised:
        player(load("tic_tac_toe"), command)
    assert said in str(raised.value)
    assert raised.value.option.startswith("command")


def test_an_engine_that_refuses_the_game_is_told_at_once(fake):
    with pytest.raises(OptionError, match="refused 'boardsize 3': not I"):
        fake("boardsize")
    with pytest.raises(OptionError, match=r"refused 'komi 7\.5': not I"):
        fake("komi", game="go")
    with pytest.raises(OptionError, match="refused 'level 3': not I"):
        fake("level", setup=["level 3"])
    with pytest.raises(OptionError, match=r"within 0\.05 s"):
        player(load("tic_tac_toe"), "sleep 9", start_seconds=0.05)
    with pytest.raises(OptionError, match="seconds must be greater than 0"):
        fake(seconds=0.0)


# -- GNU Go ------------------------------------------------------------------------------------------------


def gnugo(game, level=1):
    return player(game, f"{shlex.quote(GNUGO or '')} --mode gtp --level {level} {RULES}")


def stones(game, state):
    """The cells of each seat's stones, as the board is drawn."""
    rules = np.array(game.numbers)
    found = []
    for seat in (0, 1):
        bits = go_text.bits(state, rules, go_text.STONES + seat)
        found.append(
            {row * game.shape[0] + column for row, column in (divmod(b, game.shape[0] + 1) for b in bits)}
        )
    return found


def differences(size, games, rules):
    """Over random games: plies, and at how many of them GNU Go thinks other moves legal. Boards are equal."""
    game, rng, plies, differ = load("go", {"size": size}), np.random.default_rng(size), 0, 0
    engine = Engine([GNUGO, "--mode", "gtp", *rules.split()])
    for _ in range(games):
        for command in (f"boardsize {size}", "clear_board"):
            engine.ask(command, 5.0)
        state, mask = game.new()[0], np.zeros(game.actions, bool)
        while outcome(state) == OPEN:
            legal(game.code, state, mask)
            colour = COLOURS[to_play(state)]
            listed = [engine.ask(f"list_stones {colour}", 5.0).split() for colour in COLOURS]
            assert [{action_at(game, word) for word in words} for words in listed] == stones(game, state)
            theirs = {action_at(game, word) for word in engine.ask(f"all_legal {colour}", 5.0).split()}
            ours = set(np.flatnonzero(mask[:-1]).tolist())
            plies, differ = plies + 1, differ + (theirs != ours)
            both = sorted(ours & theirs)
            action = int(rng.choice(both)) if both and rng.random() > 0.02 else size * size
            engine.ask(f"play {colour} {vertex(game, action)}", 5.0)
            play(game.code, state, action)
    engine.close()
    return plies, differ


@needs_gnugo
def test_gnu_go_thinks_the_same_moves_legal():
    plies, differ = map(
        sum, zip(differences(9, 1, RULES), differences(5, 4, RULES), differences(3, 8, RULES))
    )
    assert plies > 300
    assert differ == 0
    assert differences(3, 8, "--chinese-rules")[1] > 0  # without superko


def contest(game, agents, seed=0):
    """(The moves of a game, its last state.) No agent forfeits."""
    state, moves, rng = game.new()[0], [], from_seeds([seed])
    while outcome(state) == OPEN:
        obs = observe_states(game, state[None]) | {"moves": np.array([moves], np.int16)}
        decision = agents[to_play(state)].act(obs, rng=rng, first=np.array([not moves]))
        assert "forfeit" not in decision.fields or decision.fields["forfeit"][0] == ""
        moves.append(int(decision.actions[0]))
        play(game.code, state, moves[-1])
    return moves, state


@needs_gnugo
@pytest.mark.parametrize("size", [5, 7])
def test_games_against_gnu_go_end_in_the_same_score(size):
    game = load("go", {"size": size, "komi": 6.5})
    uct = UCT(observation_space(game), spaces.Discrete(game.actions), simulations=50)
    with gnugo(game) as agent:
        for agents in ((agent, uct), (agent, agent)):
            _, state = contest(game, agents)
        assert agent.title == "GNU Go 3.8"
        score = area(state.copy(), game.code[1]) - 6.5
        told = agent.engine.ask("final_score", 5.0)
    assert told == f"{'B' if score > 0 else 'W'}+{abs(score)}"


@needs_gnugo
def test_gnu_gos_moves_follow_from_the_seed():
    """Whatever else it plays between them, and in whichever process."""
    game = load("go", {"size": 9})
    openings, found = ("e5", "e5 c3", "d4 pass"), set()
    with gnugo(game) as one, gnugo(game) as other:
        for seed in range(4):
            apart = [act(other, opening, seed=seed + k)[0][0] for k, opening in enumerate(openings)]
            assert act(one, *openings, seed=seed)[0] == apart
            found.add(apart[0])
    assert len(found) > 1
