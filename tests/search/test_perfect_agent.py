"""The perfect player: against alpha-beta to the end of the game, and published scores."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from agents.random import Random
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import OPEN, legal, outcome, play
from envs.board.moves import play_moves
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from rollouts.build import build_agent
from search.alphabeta import SURE, AlphaBeta
from search.match import half_points, play_pairs
from search.openings import first_position
from search.perfect.agent import Perfect
from search.perfect.connect_four import ILLEGAL, Solver
from search.perfect.notation import from_moves
from search.perfect.openings import Openings

TIC_TAC_TOE = load("tic_tac_toe")
CONNECT_FOUR = load("connect_four")
HURRIED = "4 1 4 1 4 1 7 7 2 6 3 7"
PUBLISHED = {  # AlphaZero.jl's benchmark: moves, and the score of who is to move
    "2252576253462244111563365343671351441": -1,
    "7422341735647741166133573473242566": 1,
    "23163416124767223154467471272416755633": 0,
    "243335424257": 12,
}


def make(game, kind=Perfect, **options):
    return kind(observation_space(game), spaces.Discrete(game.actions), **options)


def act(agent, obs, seed=0):
    n = len(obs["state"])
    rng = from_seeds(range(seed, seed + n))
    return agent.act(obs, rng=rng, first=np.ones(n, bool))


def all_open(game):
    """Every open position that can be reached, uint64 `[n, words]`."""
    found, layer = {}, {bytes(s): s for s in game.new()}
    while layer:
        found |= layer
        layer = {bytes(after): after for state in layer.values() for after in open_children(game, state)}
    return np.stack(list(found.values()))


def open_children(game, state):
    mask = np.zeros(game.actions, bool)
    legal(game.code, state, mask)
    for action in np.flatnonzero(mask):
        after = state.copy()
        play(game.code, after, action)
        if outcome(after) == OPEN:
            yield after


def test_it_knows_every_position_of_tic_tac_toe_and_plays_any_of_the_best_moves():
    states = all_open(TIC_TAC_TOE)
    assert len(states) == 4520
    obs = observe_states(TIC_TAC_TOE, states)
    searcher = make(TIC_TAC_TOE, AlphaBeta, depth=9)
    _, expected = searcher.search(states, from_seeds(range(len(states))))
    stones = (states[:, 0] & np.uint64(0xFFFF)).astype(int)
    left = 9 - stones - (SURE - abs(expected)) - 1  # empty cells when alpha-beta's line ends
    for hurry in (True, False):
        agent = make(TIC_TAC_TOE, hurry=hurry)
        decision = act(agent, obs)
        scores, value = decision.fields["scores"], decision.fields["value"]
        assert scores.dtype == np.int8
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, np.sign(expected))
        most = np.where(expected == 0, 0, np.sign(expected) * (1 + left)) if hurry else np.sign(expected)
        np.testing.assert_array_equal(scores.max(axis=1), most)
        np.testing.assert_array_equal(scores == ILLEGAL, ~obs["action_mask"])
        best, seen = scores == most[:, None], np.zeros(scores.shape, bool)
        for seed in range(60):
            actions = act(agent, obs, 10_000 * seed).actions
            seen[np.arange(len(states)), actions] = True
        assert not (seen & ~best).any()
        assert (seen == best).mean() > 0.9999  # of nine alike, one stays unseen in 1 of 1,000


def test_perfect_players_draw_and_never_lose():
    perfect, game = make(TIC_TAC_TOE), TIC_TAC_TOE
    openings, rng = first_position(game, 32), from_seeds(range(64))
    played = play_pairs(game, perfect, make(TIC_TAC_TOE, hurry=False), openings, rng)
    assert (half_points(played.outcomes) == 1).all()
    played = play_pairs(game, perfect, make(TIC_TAC_TOE, Random), openings, rng)
    assert half_points(played.outcomes).min() == 1
    assert half_points(played.outcomes).mean() > 1.8


def test_connect_four_as_published():
    agent = make(CONNECT_FOUR)
    states = np.stack([play_moves(CONNECT_FOUR, " ".join(moves)) for moves in PUBLISHED])
    decision = act(agent, observe_states(CONNECT_FOUR, states))
    scores = decision.fields["scores"]
    assert scores.max(axis=1).tolist() == list(PUBLISHED.values())
    assert decision.fields["value"].tolist() == [-1, 1, 0, 1]
    assert (scores[np.arange(4), decision.actions] == scores.max(axis=1)).all()


def test_in_a_hurry_or_not():
    states = np.repeat(play_moves(CONNECT_FOUR, HURRIED)[None], 100, axis=0)
    obs = observe_states(CONNECT_FOUR, states)
    quick, slow = (act(make(CONNECT_FOUR, hurry=hurry), obs) for hurry in (True, False))
    scores = quick.fields["scores"][0]
    assert scores.max() == 15  # four at once, with the 15th last stone: in column 4 or, along the row, in 5
    assert set(quick.actions) == {3, 4}
    assert set(slow.actions) == set(np.flatnonzero(scores > 0)) > {3, 4}
    np.testing.assert_array_equal(slow.fields["scores"][0], np.sign(scores))


def test_it_can_begin_to_hurry_late():
    states = np.stack([play_moves(CONNECT_FOUR, moves) for moves in (HURRIED, f"{HURRIED} 6 6")])
    scores = act(make(CONNECT_FOUR, hurry_from=14), observe_states(CONNECT_FOUR, states)).fields["scores"]
    exact = act(make(CONNECT_FOUR), observe_states(CONNECT_FOUR, states)).fields["scores"]
    np.testing.assert_array_equal(scores[0], np.where(exact[0] == ILLEGAL, ILLEGAL, np.sign(exact[0])))
    np.testing.assert_array_equal(scores[1], exact[1])
    assert exact.max() > 1


def test_it_can_be_built_again():
    agent = make(TIC_TAC_TOE, hurry=False, hurry_from=3)
    again = build_agent(agent.spec(), observation_space(TIC_TAC_TOE), spaces.Discrete(9))
    assert again.hurry is False
    assert again.hurry_from == 3


# -- openings ----------------------------------------------------------------------------------------------


class Counted(Solver):
    """Counts what it is asked; positions cost nothing."""

    asked = 0

    def scores(self, mine, mask):
        self.asked += 1
        return np.array([-1, 2, -3, 4, -5, 0, ILLEGAL], np.int8)

    def outcomes(self, mine, mask):
        scores = self.scores(mine, mask)
        return np.where(scores == ILLEGAL, ILLEGAL, np.sign(scores))


def test_the_first_move_is_known(tmp_path):
    solver = Counted(1)
    found = Openings(tmp_path / "openings.txt", solver).worth("scores", *from_moves(""))
    assert found.tolist() == [-2, -1, 0, 1, 0, -1, -2]
    found = Openings(tmp_path / "openings.txt", solver).worth("outcomes", *from_moves(""))
    assert found.tolist() == [-1, -1, 0, 1, 0, -1, -1]
    assert solver.asked == 0


def test_an_opening_is_solved_once_for_all_games_and_its_mirror_image(tmp_path):
    path, solver = tmp_path / "books" / "openings.txt", Counted(1)
    first = Openings(path, solver).worth("scores", *from_moves("1123"))
    later = Openings(path, solver)
    np.testing.assert_array_equal(later.worth("scores", *from_moves("1123")), first)
    np.testing.assert_array_equal(later.worth("scores", *from_moves("7765")), first[::-1])
    signs = np.where(first == ILLEGAL, ILLEGAL, np.sign(first))
    np.testing.assert_array_equal(later.worth("outcomes", *from_moves("1321")), signs)  # the same position
    assert solver.asked == 1
    later.worth("outcomes", *from_moves("1124"))
    Openings(path, solver).worth("outcomes", *from_moves("1124"))
    assert solver.asked == 2
    Openings(path, solver).worth("scores", *from_moves("1124"))  # outcomes do not tell scores
    assert solver.asked == 3


def test_a_torn_line_is_passed_over_and_spoils_no_other(tmp_path):
    path, solver = tmp_path / "openings.txt", Counted(1)
    Openings(path, solver).worth("scores", *from_moves("12"))
    whole = path.read_bytes()
    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        Openings(path, solver).worth("scores", *from_moves("13"))
        asked = solver.asked
        again = Openings(path, solver)
        again.worth("scores", *from_moves("13"))
        assert solver.asked == asked
        again.worth("scores", *from_moves("12"))
        assert solver.asked - asked == (end < len(whole) - 1)
    path.write_bytes(b"\xff\x00 nonsense\nscores 12 900 1 1 1 1 1 1 ;\nscores 88 1 1 1 1 1 1 1 ;\n")
    assert list(Openings(path, solver).known) == [("scores", 0)]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    found = Openings(tmp_path / "file" / "openings.txt", Counted(1)).worth("scores", *from_moves("12"))
    assert found.max() == 4


def test_perfect_keeps_the_openings_it_meets(tmp_path, monkeypatch):
    monkeypatch.setenv("MOVE37_CACHE", str(tmp_path))
    monkeypatch.setattr("search.perfect.agent.Solver", Counted)
    monkeypatch.setattr(Counted, "__init__", lambda self, book=None: None)
    states = np.stack([play_moves(CONNECT_FOUR, moves) for moves in ("", "4 4", "1")])
    scores = act(make(CONNECT_FOUR), observe_states(CONNECT_FOUR, states)).fields["scores"]
    assert scores[0].tolist() == [-2, -1, 0, 1, 0, -1, -2]
    assert scores[1].tolist() == [-1, 2, -3, 4, -5, 0, ILLEGAL]
    kept = (tmp_path / "move37" / "books" / "connect_four_openings.txt").read_text().split("\n")
    assert [line.split()[:2] for line in kept if line] == [["scores", "44"], ["scores", "1"]]


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="no board game's"):
        Perfect(spaces.Box(0, 1, (4,)), spaces.Discrete(2))
    with pytest.raises(ValueError, match="no perfect player of nim, only of tic_tac_toe and connect_four"):
        make(load("tests.envs.nim:nim"))
