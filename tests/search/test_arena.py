"""Games between agents: what is asked of whom, what is kept, and what ends a game that nobody can play on."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from agents.random import Random
from envs.board import load
from envs.board.batch import observe_states
from envs.board.game import DRAW, FIRST_WON, OPEN, SECOND_WON, outcome, play, to_play
from envs.board.spaces import observation_space
from envs.rng import from_seeds
from rollouts.agent import Agent, Decision
from search.arena import NONE, Fixtures, Openings, play_games
from search.openings import after, draw_openings, first_position
from search.uct import UCT

GAME = load("connect_four")


def build(kind, game=GAME, **options):
    return kind(observation_space(game), spaces.Discrete(game.actions), **options)


def fixtures(players, openings, seed=0):
    return Fixtures(np.array(players), openings, from_seeds(range(seed, seed + len(players))))


class Script(Agent):
    """Plays what it is told by the ply of a game, and notes what it was shown."""

    def __init__(self, act):
        self.told, self.seen = act, []

    def act(self, obs, *, rng, first, memory=None, explore=True):
        plies = (obs["state"][:, 0] & np.uint64(0xFFFF)).astype(int)
        self.seen.append((obs["state"].copy(), obs["moves"].copy(), first.copy(), explore))
        return self.told(obs, plies)


def lowest(obs, plies):
    return Decision(obs["action_mask"].argmax(axis=1))


def test_a_game_is_what_its_moves_say():
    openings = draw_openings(GAME, 40, (0, 7), seed=3)
    players = [build(Random), build(UCT, simulations=30)]
    played = play_games(GAME, players, fixtures([(k % 2, 1 - k % 2) for k in range(40)], openings))
    for k in range(40):
        state = after(GAME, openings.moves[k])
        np.testing.assert_array_equal(state, openings.states[k])
        line, nodes = played.moves[k][played.moves[k] != NONE], [0, 0]
        for action in line:
            assert outcome(state) == OPEN
            mover = to_play(state)
            nodes[mover] += 30 * (mover == 1 - k % 2)
            play(GAME.code, state, int(action))
        assert outcome(state) == played.outcomes[k] != OPEN
        assert played.nodes[k].tolist() == nodes
        assert (played.seconds[k] >= 0).all()
    assert played.why == [""] * 40


@pytest.mark.parametrize("slots", [1, 3, 40])
def test_games_do_not_depend_on_how_many_are_played_at_once(slots):
    openings = draw_openings(GAME, 30, (2, 5), seed=1)
    players = [build(UCT, simulations=20), build(Random), build(UCT, simulations=5)]
    who = [(k % 3, (k + 1) % 3) for k in range(30)]
    one, other = (play_games(GAME, players, fixtures(who, openings), slots=n) for n in (slots, 17))
    np.testing.assert_array_equal(one.moves, other.moves)
    np.testing.assert_array_equal(one.outcomes, other.outcomes)


def test_agents_are_shown_how_the_game_came_there():
    openings, shown = draw_openings(GAME, 8, (0, 4), seed=2), Script(lowest)
    play_games(GAME, [shown, build(Random)], fixtures([(0, 1)] * 8, openings), slots=5, explore=[True, False])
    begun = 0
    for states, moves, first, explore in shown.seen:
        assert moves.dtype == np.int16
        assert explore
        begun += first.sum()
        for state, line in zip(states, moves):
            np.testing.assert_array_equal(after(GAME, line), state)
    assert begun == 8


def test_what_is_not_legal_loses():
    full = Script(lambda obs, plies: Decision(np.zeros(len(plies), np.int64)))  # column 1, which fills up
    played = play_games(GAME, [full, full], fixtures([(0, 1)] * 2, first_position(GAME, 2)))
    assert played.outcomes.tolist() == [SECOND_WON] * 2  # six stones, then the first player cannot
    assert played.why[0].startswith("illegal move: 1 (action 0) is not legal; legal are 2 3 4 5 6 7")
    assert (played.moves[0] != NONE).sum() == 6
    for action in (-7, 7, 1000):
        wrong = Script(lambda obs, plies, a=action: Decision(np.full(len(plies), a)))
        played = play_games(GAME, [build(Random), wrong], fixtures([(0, 1)], first_position(GAME)))
        assert played.outcomes.tolist() == [FIRST_WON]
        assert "there is no action" in played.why[0]


def test_who_does_not_move_loses_and_says_why():
    def resigns(obs, plies):
        gone = plies >= 4
        said = np.where(gone, "resigned", "")
        return Decision(np.where(gone, NONE, obs["action_mask"].argmax(axis=1)), fields={"forfeit": said})

    agents = [Script(resigns), build(Random), Script(lambda obs, plies: Decision(np.full(len(plies), NONE)))]
    played = play_games(GAME, agents, fixtures([(0, 1), (1, 2)], first_position(GAME, 2)))
    assert played.outcomes.tolist() == [SECOND_WON, FIRST_WON]
    assert played.why == ["resigned", "gave no move"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda obs, plies: 1 / 0, "raised ZeroDivisionError"),
        (lambda obs, plies: Decision(np.zeros((len(plies), 2), int)), "actions must be integers"),
        (lambda obs, plies: Decision(np.zeros(len(plies))), "actions must be integers"),
    ],
)
def test_an_agent_that_fails_loses_its_games_and_the_others_go_on(answer, said):
    agents = [Script(answer), build(Random), build(Random)]
    who = [(0, 1), (1, 0), (1, 2)]
    played = play_games(GAME, agents, fixtures(who, first_position(GAME, 3)))
    assert played.outcomes[:2].tolist() == [SECOND_WON, FIRST_WON]
    assert said in played.why[0]
    assert said in played.why[1]
    assert played.why[2] == ""
    assert played.outcomes[2] in (DRAW, FIRST_WON, SECOND_WON)


def test_progress_is_told():
    told = []
    openings = draw_openings(GAME, 20, (2, 2), seed=0)
    play_games(GAME, [build(Random), build(Random)], fixtures([(0, 1)] * 20, openings), report=told.append)
    assert told == sorted(set(told))
    assert told[-1] <= 20


# -- openings ----------------------------------------------------------------------------------------------


def test_openings_are_those_that_a_batch_begins_with():
    import envs
    from search.openings import drawn_by

    for plies in ((3, 3), (0, 6)):
        env = envs.make("board/Othello-v0", 50, size=6, random_plies=list(plies))
        obs, _ = env.reset(seed=list(range(50)))
        game = load("othello", {"size": 6})
        drawn = drawn_by(game, plies, np.arange(50))
        np.testing.assert_array_equal(drawn.states, obs["state"])
        for state, line in zip(drawn.states, drawn.moves):
            np.testing.assert_array_equal(after(game, line), state)


def test_more_openings_begin_with_the_same_ones():
    few, many = (draw_openings(GAME, n, (4, 4), seed=9) for n in (7, 300))
    np.testing.assert_array_equal(few.states, many.states[:7])
    assert len({bytes(s) for s in many.states}) == 300


def test_only_what_is_kept_is_an_opening():
    even = draw_openings(GAME, 20, (4, 4), seed=0, keep=lambda states: states[:, 1] % np.uint64(2) == 0)
    assert len(even) == 20
    assert (even.states[:, 1] % np.uint64(2) == 0).all()
    assert len(draw_openings(GAME, 20, (4, 4), seed=0, keep=lambda states: np.zeros(len(states), bool))) == 0


def test_a_judge_keeps_what_is_balanced():
    from search.openings import balanced
    from search.perfect.agent import Perfect

    game = load("tic_tac_toe")
    judge = build(Perfect, game)
    found = draw_openings(game, 500, (3, 3), seed=0, keep=balanced(judge, game, 0.5))
    value = judge.act(
        observe_states(game, found.states), rng=from_seeds(range(len(found))), first=np.ones(len(found), bool)
    ).fields["value"]
    assert (value == 0).all()
    assert 0 < len(found) < len(draw_openings(game, 500, (3, 3), seed=0)) == 38
    with pytest.raises(ValueError, match="tells no values"):
        draw_openings(game, 5, (3, 3), seed=0, keep=balanced(build(Random, game), game, 0.5))


def test_openings_are_read_and_what_is_wrong_is_told_with_its_line(tmp_path):
    from search.openings import read_openings

    file = tmp_path / "openings.txt"
    file.write_text("# mine\n4 4\n\n4, 3  # another\n1 2 3\n")
    found = read_openings(file, GAME)
    assert isinstance(found, Openings)
    assert found.moves.tolist() == [[3, 3, NONE], [3, 2, NONE], [0, 1, 2]]
    for text, said in [
        ("4 4\n4 9", "line 2: move 2"),
        ("4 3\n4 5\n", "line 2: the same position as in line 1, or its mirror image"),
        ("1 2 1 2 1 2 1", "line 1: the game is over there"),
        ("# nothing\n", "holds no openings"),
    ]:
        file.write_text(text)
        with pytest.raises(ValueError, match=said):
            read_openings(file, GAME)
