"""Board games in words: a text holds the whole position, a move comes back, and what is none is told."""

import re

import numpy as np
import pytest

import envs
from envs.base import FORFEIT
from envs.board import NAMES, load
from envs.board.batch import observe_states
from envs.board.game import OPEN, outcome, play, to_play
from envs.board.spaces import observation_space
from envs.board.wording import of_game, wording_of
from rollouts.sampler import Sampler
from tests.envs.board_twins import random_states
from tests.envs.nim import nim

GAMES = [
    ("tic_tac_toe", {}),
    ("connect_four", {}),
    ("hex", {"size": 4}),
    ("hex", {"size": 3, "swap": True}),
    ("hex", {"size": 11}),
    ("othello", {"size": 6}),
    ("gomoku", {"size": 5}),
    ("breakthrough", {"size": 5}),
]
IDS = [f"{name}-{options.get('size', '')}{options.get('swap', '')}" for name, options in GAMES]
CLASSIC = {
    "pettingzoo/classic/tictactoe_v3": "board/TicTacToe-v0",
    "pettingzoo/classic/connect_four_v3": "board/ConnectFour-v0",
}


def written(game, state):
    """The same by hand, from how the game draws itself: its men, without labels and spaces."""
    rows, columns = game.shape
    lines = [re.findall(r"(?<!\S)[.xo](?!\S)", line) for line in game.board_text(state).splitlines()]
    board = ["".join(line[-columns:]) for line in lines if len(line) >= columns][:rows]
    return f"{'xo'[to_play(state)]}:\n" + "\n".join(board) + "\n"


def open_states(game, games, seed=0):
    states = random_states(game, games, seed)
    return states[[outcome(state) == OPEN for state in states]]


@pytest.mark.parametrize(("name", "options"), GAMES, ids=IDS)
def test_every_position_is_told_as_the_game_draws_it_and_every_legal_move_comes_back(name, options):
    game = load(name, options)
    words, states = of_game(game), open_states(game, 20)
    obs = observe_states(game, states)
    texts, masks = words.positions(obs), obs["action_mask"]
    assert texts == tuple(written(game, state) for state in states)
    rows, actions = np.nonzero(masks)
    said = words.moves(actions)
    assert said == tuple(f"<answer>{game.move_text(int(action))}</answer>" for action in actions)
    read, why = words.read(said, masks[rows])
    np.testing.assert_array_equal(read, actions)
    assert not any(why)
    assert {*"".join(texts), *"".join(said)} <= {*words.alphabet, *"<answer>/"}
    assert {len(text) for text in texts} == {len(words.empty)}


@pytest.mark.parametrize(("name", "options"), GAMES, ids=IDS)
def test_no_two_positions_are_told_alike(name, options):
    """What may be played from a text, and what comes of it, follows from the text: nothing is left out."""
    game = load(name, options)
    words, told = of_game(game), {}
    for state in open_states(game, 60, seed=1)[:600]:
        obs = observe_states(game, state[None])
        mask = obs["action_mask"][0]
        after = []
        for action in np.flatnonzero(mask)[:8].tolist():
            then = state.copy()
            play(game.code, then, action)
            after.append((*(int(word) for word in then[1:]), int(outcome(then))))
        known = told.setdefault(words.positions(obs)[0], (mask.tobytes(), after))
        assert known == (mask.tobytes(), after)
    assert len(told) > 50


def test_the_words_of_a_position_that_one_can_check_by_eye():
    env = envs.make("board/TicTacToe-v0", 3)
    obs, _ = env.reset(options={"slots": [{"moves": "b3 a2"}, {"moves": "b3 a2 c1"}, None]})
    words = wording_of(env.single_observation_space, env.single_action_space)
    empty = "x:\n...\n...\n...\n"
    assert words.positions(obs) == ("x:\n.x.\no..\n...\n", "o:\n.x.\no..\n..x\n", empty)
    assert words.moves([0, 5]) == ("<answer>a3</answer>", "<answer>c2</answer>")


def test_what_is_no_move_and_what_is_illegal_are_told_apart():
    env = envs.make("board/TicTacToe-v0", 1)
    obs, _ = env.reset(options={"slots": [{"moves": "b2"}]})
    words = wording_of(env.single_observation_space, env.single_action_space)
    no_move = "no move: "
    for said, action, why in [
        ("<answer>a1</answer>", 6, ""),
        ("<think>corner</think><answer> A1 </answer>", 6, ""),
        ("<answer>b2</answer>", FORFEIT, "illegal move: b2"),
        ("<answer>d2</answer>", FORFEIT, no_move + "'d2' is none of tic-tac-toe"),
        ("<answer>4</answer>", FORFEIT, no_move + "'4' is none of tic-tac-toe"),
        ("a1", FORFEIT, no_move + "no <answer>…</answer>"),
        ("", FORFEIT, no_move + "no <answer>…</answer>"),
        ("<answer>a1", FORFEIT, no_move + "no <answer>…</answer>"),
        ("<answer>a1</answer><answer>a2</answer>", FORFEIT, no_move + "several different answers"),
        ("<think><answer>a1</answer></think>", FORFEIT, no_move + "no <answer>…</answer>"),
        ("<answer>" + "9" * 5000 + "</answer>", FORFEIT, no_move + "an answer of 4097 characters"),
    ]:
        found, told = words.read([said], obs["action_mask"])
        assert (found[0], told[0]) == (action, why), said


def test_garbage_never_raises():
    rng = np.random.default_rng(0)
    pieces = [
        "<answer>",
        "</answer>",
        "<think>",
        "</think>",
        "b2",
        "-1",
        "9" * 4000,
        "\x00",
        "é",
        "٣",
        "²",
        "a",
    ]
    said = ["".join(rng.choice(pieces, size=rng.integers(8))) for _ in range(2_000)]
    for name, options in GAMES:
        game = load(name, options)
        masks = np.repeat(observe_states(game, game.new())["action_mask"], len(said), axis=0)
        actions, why = of_game(game).read(said, masks)
        assert ((actions == FORFEIT) == np.array([bool(reason) for reason in why])).all()
        legal = actions != FORFEIT
        assert masks[legal, actions[legal]].all()


def test_games_that_a_text_of_stones_does_not_hold_are_refused():
    for game in (load("go", {"size": 5}), nim()):
        with pytest.raises(ValueError, match=r"cannot be told in words: its planes are .*(last move|left)"):
            of_game(game)
    assert {name for name in NAMES.values() if name != "go"} == {name for name, _ in GAMES}
    env = envs.make("arcade/Breakout-v0", 1)
    with pytest.raises(ValueError, match="only games of two in turn are told in words, not Box"):
        wording_of(env.single_observation_space, env.single_action_space)


# -- games of PettingZoo -----------------------------------------------------------------------------------


@pytest.mark.parametrize("id", CLASSIC)
@pytest.mark.filterwarnings("ignore::UserWarning:pettingzoo")
def test_pettingzoos_games_are_told_as_ours(id):
    """The same moves make the same texts, so a model that learned the one can play the other."""
    theirs, ours, rng = envs.make(id, 4, 0), envs.make(CLASSIC[id], 4, 0), np.random.default_rng(0)
    words = [wording_of(env.single_observation_space, env.single_action_space) for env in (theirs, ours)]
    seen = [env.reset(seed=0)[0] for env in (theirs, ours)]
    for _ in range(200):
        texts = [w.positions(obs) for w, obs in zip(words, seen)]
        assert texts[0] == texts[1]
        np.testing.assert_array_equal(seen[0]["action_mask"], seen[1]["action_mask"])
        actions = (seen[1]["action_mask"] * rng.uniform(0.5, 1, seen[1]["action_mask"].shape)).argmax(1)
        assert words[0].moves(actions) == words[1].moves(actions)
        seen = [env.step(actions)[0] for env in (theirs, ours)]


@pytest.mark.parametrize(
    ("shape", "actions", "seats"),
    [((3, 3, 3), 9, 2), ((3, 3, 2), 8, 2), ((3, 3, 2), 9, 3), ((18,), 9, 2)],
)
def test_other_spaces_are_refused_in_a_line(shape, actions, seats):
    from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

    spaces = Dict(planes=Box(0, 1, shape, np.int8), action_mask=MultiBinary(actions), to_play=Discrete(seats))
    with pytest.raises(ValueError, match=r"^this game cannot be told in words: .*$") as told:
        wording_of(spaces, Discrete(actions))
    assert "\n" not in str(told.value)


# -- giving up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["board/TicTacToe-v0", "board/Hex-v0", *CLASSIC])
@pytest.mark.filterwarnings("ignore::UserWarning:pettingzoo")
def test_who_gives_up_has_lost_and_the_others_play_on(id):
    env = envs.make(id, 3, 0)
    obs, _ = env.reset(seed=0)
    first = obs["action_mask"].argmax(1)
    obs, *_ = env.step(first)
    after, rewards, terminated, truncated, info = env.step(
        np.array([FORFEIT, *obs["action_mask"][1:].argmax(1)])
    )
    assert (rewards.tolist(), terminated.tolist()) == ([-1, 0, 0], [True, False, False])
    assert not truncated.any()
    np.testing.assert_array_equal(info["seat_rewards"], [[1, -1], [0, 0], [0, 0]])  # the second gave up
    np.testing.assert_array_equal(info["final_obs"]["planes"][0], obs["planes"][0])
    assert not after["planes"][0, ..., :2].any()
    assert after["planes"][1:, ..., :2].any()
    if "first_wins" in info["parts"]:
        assert info["parts"]["first_wins"].tolist() == [1, 0, 0]
    env.step(after["action_mask"].argmax(1))  # it goes on


class Quitter:
    """Gives every game up."""

    shares_memory = False

    def act(self, obs, *, rng, first, memory=None, explore=True):
        from rollouts.agent import Decision

        return Decision(np.full(len(rng), FORFEIT))


def test_an_opponent_that_gives_up_has_lost():
    from agents.random import Random

    env = envs.make("board/TicTacToe-v0", 4)
    learner = Random(env.single_observation_space, env.single_action_space)
    rollout = Sampler(env, seed=0).collect(learner, episodes=8, opponents=[Quitter()])  # type: ignore[list-item]
    np.testing.assert_array_equal(rollout.ended["return"], 1)
    rollout = Sampler(env, seed=0).collect(Quitter(), episodes=8, opponents=[learner])  # type: ignore[arg-type]
    np.testing.assert_array_equal(rollout.ended["return"], -1)
    assert (rollout.actions[rollout.valid] == FORFEIT).all()


def test_the_space_of_a_game_has_its_words():
    game = load("connect_four")
    words = wording_of(observation_space(game), envs.make("board/ConnectFour-v0", 1).single_action_space)
    assert words.empty == "x:\n" + ".......\n" * 6
    assert words.alphabet == "\n.1234567:ox"
