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
from envs.rng import from_seeds, uniform
from rollouts.agent import Agent, Decision
from search.arena import LONGEST, NONE, Arena, Fixtures, Openings, play_games
from search.openings import draw_openings, first_position
from search.uct import UCT

GAME = load("connect_four")


def build(kind, game=GAME, **options):
    return kind(observation_space(game), spaces.Discrete(game.actions), **options)


def moves_of(played, k):
    return played.moves[k][played.moves[k] != NONE].tolist()


def fixtures(players, openings, seed=0):
    return Fixtures(np.array(players), openings, from_seeds(range(seed, seed + len(players))))


def after(game, moves):
    """The state, uint64 `[words]`, after some actions (ints `[plies]`, up to the first `NONE`)."""
    state = game.new()[0]
    for action in moves[moves != NONE]:
        play(game.code, state, int(action))
    return state


class Script(Agent):
    """Plays what it is told by the ply of a game, and notes what it was shown."""

    def __init__(self, act):
        self.told, self.seen = act, []

    def act(self, obs, *, rng, first, memory=None, explore=True):
        plies = (obs["state"][:, 0] & np.uint64(0xFFFF)).astype(int)
        self.seen.append((obs["state"].copy(), obs["moves"].copy(), first.copy(), explore))
        return self.told(obs, plies)


class Fussy(Agent):
    """Plays at random, after openings of one ply, and counts its moves in its memory.

    Where a game began with `hates` it fails at the fifth ply, having written into all that it was given.
    """

    def __init__(self, hates=NONE, shared=False):
        self.hates, self.shares_memory, self.asked, self.rng = hates, shared, [], None

    def act(self, obs, *, rng, first, memory=None, explore=True):
        self.asked.append(len(first))
        self.rng = rng
        plies = (obs["moves"] != NONE).sum(axis=1) - 1
        before = np.zeros(len(first), int) if memory is None else np.where(first, 0, memory["moves"])
        np.testing.assert_array_equal(before, plies if self.shares_memory else plies // 2)
        chances = uniform(rng)
        actions = [np.flatnonzero(mask)[int(x * mask.sum())] for mask, x in zip(obs["action_mask"], chances)]
        if ((obs["moves"][:, 0] == self.hates) & (plies == 3)).any():
            for array in (*obs.values(), rng, first):
                array[:] = 1
            raise ValueError("not this one")
        return Decision(np.array(actions), {"moves": before + 1})


def lowest(obs, plies):
    return Decision(obs["action_mask"].argmax(axis=1))


FIRST_MOVES = np.arange(7, dtype=np.int16)[:, None]
EACH = Openings(np.stack([after(GAME, moves) for moves in FIRST_MOVES]), FIRST_MOVES)
"""An opening of a ply in each column."""


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


def test_what_an_agent_writes_into_its_observations_changes_no_game():
    def spoil(obs, plies):
        for array in obs.values():
            array[:] = 1
        return Decision(np.zeros(len(plies), np.int64))

    agent = Script(spoil)
    agent.shares_memory = True  # so that batches are whole, and not copied for it
    played = play_games(GAME, [agent], fixtures([(0, 0)] * 2, first_position(GAME, 2)))
    assert played.outcomes.tolist() == [SECOND_WON] * 2
    assert played.why[0].startswith("illegal move: 1 (action 0) is not legal")
    assert played.moves.tolist() == [[0] * 6] * 2


def test_agents_advance_generators_but_do_not_hold_them():
    agent, games = Fussy(shared=True), fixtures([(0, 0)] * 7, EACH)
    arena = Arena(GAME, [agent], games, slots=7, explore=[False])
    assert arena.turn()
    wanted = games.rng.copy()
    uniform(wanted)
    np.testing.assert_array_equal(arena.rng, wanted)
    assert not np.shares_memory(arena.rng, agent.rng)


def test_who_does_not_move_loses_and_says_why():
    def resigns(obs, plies):
        gone = plies >= 4
        said = np.where(gone, "resigned", "")
        return Decision(np.where(gone, NONE, obs["action_mask"].argmax(axis=1)), fields={"forfeit": said})

    agents = [Script(resigns), build(Random), Script(lambda obs, plies: Decision(np.full(len(plies), NONE)))]
    played = play_games(GAME, agents, fixtures([(0, 1), (1, 2)], first_position(GAME, 2)))
    assert played.outcomes.tolist() == [SECOND_WON, FIRST_WON]
    assert played.why == ["resigned", "gave no move"]


def stop(*_):
    raise SystemExit("enough")


def tell(**fields):
    return lambda obs, plies: Decision(obs["action_mask"].argmax(axis=1), fields=fields)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda obs, plies: 1 / 0, "raised ZeroDivisionError"),
        (lambda obs, plies: Decision(np.zeros((len(plies), 2), int)), "actions must be integers"),
        (lambda obs, plies: Decision(np.zeros(len(plies))), "actions must be integers"),
        (lambda obs, plies: None, "raised AttributeError"),
        (lambda obs, plies: Decision(obs["action_mask"].argmax(axis=1), fields=None), "raised TypeError"),
        (stop, "raised SystemExit: enough"),
        (tell(visits=np.ones(1)), "visits must be counts [1, actions], not float64 [1]"),
        (tell(visits=np.ones((9, 7))), "visits must be counts [1, actions], not float64 [9, 7]"),
        (tell(visits=np.full((1, 7), np.nan)), "visits must be counts from 0"),
        (tell(nodes=[[1]]), "nodes must be counts [1], not int64 [1, 1]"),
        (tell(nodes=["many"]), "nodes must be counts [1], not <U4 [1]"),
        (tell(nodes=[-1]), "nodes must be counts from 0"),
        (tell(forfeit=[""] * 9), "forfeit must be texts [1], not <U1 [9]"),
        (tell(forfeit=[None]), "forfeit must be texts [1], not object [1]"),
    ],
)
def test_an_agent_that_fails_loses_its_games_and_the_others_go_on(answer, said):
    agents = [Script(answer), build(Random), build(Random)]
    who = [(0, 1), (1, 0), (1, 2)]
    played = play_games(GAME, agents, fixtures(who, first_position(GAME, 3)))
    assert played.outcomes[:2].tolist() == [SECOND_WON, FIRST_WON]
    for why in played.why[:2]:
        assert why.startswith(said)  # and not that the agent raised it
    assert played.why[2] == ""
    assert played.outcomes[2] in (DRAW, FIRST_WON, SECOND_WON)


@pytest.mark.parametrize("shared", [False, True])
def test_a_row_that_fails_costs_no_other_game(shared):
    agent, calm, games = Fussy(3, shared), Fussy(shared=shared), fixtures([(0, 0)] * 7, EACH)
    played, wanted = (play_games(GAME, [who], games) for who in (agent, calm))
    assert played.why == ["", "", "", "raised ValueError: not this one", "", "", ""]
    assert played.outcomes[3] == SECOND_WON  # four stones are there
    assert wanted.why == [""] * 7
    for k in (0, 1, 2, 4, 5, 6):
        assert moves_of(played, k) == moves_of(wanted, k)
    assert agent.asked[:12] == [7] * 4 + [1] * 7 + [6]


def test_an_interrupt_ends_all():
    def interrupt(obs, plies):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play_games(GAME, [Script(interrupt)], fixtures([(0, 0)], first_position(GAME)))


def test_reasons_are_short_lines_that_can_be_printed():
    text = "a\nb\ud800\x1b[31m\u2028c\x85" + "x" * 10**5

    class Mute(Exception):
        def __str__(self):
            raise ValueError

    def fail(obs, plies):
        raise ValueError(text)

    def mute(obs, plies):
        raise Mute

    def resign(obs, plies):
        return Decision(np.full(len(plies), NONE), fields={"forfeit": np.full(len(plies), text)})

    agents = [build(Random), Script(fail), Script(mute), Script(resign)]
    games = fixtures([(1, 0), (2, 0), (3, 0)], first_position(GAME, 3))
    failed, muted, resigned = play_games(GAME, agents, games).why
    assert failed.startswith("raised ValueError: a b [31m c xxx")
    assert muted == "raised Mute"
    assert resigned.startswith("a b [31m c xxx")
    assert len(failed) == len(resigned) == LONGEST


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
