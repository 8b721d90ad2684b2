"""`check_game` lets sound games pass, and says in a line what is wrong with each broken one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.board import NAMES, load
from envs.board.check import check_game
from envs.board.game import DRAW, FIRST_WON, ONE_PLY, pass_turn, to_play
from envs.kernels import kernel
from envs.rng import next_below
from tests.envs.nim import nim, nim_legal, nim_observe, nim_play

SMALL = {"othello": {"size": 4}, "hex": {"size": 3, "swap": True}, "gomoku": {"size": 5}, "go": {"size": 3}}


@pytest.mark.parametrize("name", NAMES.values())
def test_the_games_of_the_house_hold(name):
    check_game(load(name, SMALL.get(name, {})), games=5)


def test_a_users_game_holds():
    check_game(nim())
    check_game(nim(again=True))


# -- broken rules, each in one way -------------------------------------------------------------------------


@kernel
def start_half(state, rules):
    state[1] = rules[0]


@kernel
def start_beside(state, rules):
    state[0], state[1], state[2] = 0, rules[0], 0


@kernel
def legal_miscounted(state, rules, mask):
    nim_legal(state, rules, mask)
    return 2


@kernel
def legal_unwritten(state, rules, mask):
    for k in range(2):
        if state[1] > k:
            mask[k] = True
    return min(np.int64(state[1]), 2)


@kernel
def legal_beside(state, rules, mask):
    mask[2] = False
    return nim_legal(state, rules, mask)


@kernel
def legal_after_the_end(state, rules, mask):
    mask[0], mask[1] = True, state[1] > 1
    return 1 + np.int64(state[1] > 1)


@kernel
def legal_changing(state, rules, mask):
    state[1] ^= 1 << 40
    return nim_legal(state, rules, mask) % 3


@kernel
def play_uncounted(state, rules, action):
    nim_play(state, rules, action)
    state[0] -= ONE_PLY


@kernel
def play_endless(state, rules, action):
    state[1] -= np.uint64(action + 1)
    pass_turn(state)


@kernel
def play_by_chance(state, rules, action):
    nim_play(state, rules, action)
    if state[1] > 4:
        state[1] -= np.uint64(np.random.randint(0, 3))  # noqa: NPY002


@kernel
def play_with_a_mark(state, rules, action):
    nim_play(state, rules, action)
    state[0] |= np.uint64(1 << 30)


@kernel
def observe_unwritten(state, rules, planes):
    planes[0] = True


@kernel
def observe_next_door(state, rules, planes):
    nim_observe(state, rules, planes)
    planes[0] = (state[len(state)] & ONE_PLY) == 1


@kernel
def playout_drawn(state, rules, rng, i):
    return DRAW


@kernel
def playout_from_nowhere(state, rules, rng, i):
    mover, over = to_play(state), state[1] == 0
    next_below(rng, 0, 2)
    return FIRST_WON + (1 - mover if over else mover)


@kernel
def playout_by_chance(state, rules, rng, i):
    return FIRST_WON + np.random.randint(0, 2)  # noqa: NPY002


BROKEN_RULES = {
    ("start", start_half): "start leaves words of the state unwritten, at the start",
    ("start", start_beside): "start writes outside the state",
    ("legal", legal_miscounted): "legal counts 2 actions and marks 1, after '",
    ("legal", legal_unwritten): "legal leaves entries unwritten",
    ("legal", legal_beside): "legal writes outside its array",
    ("legal", legal_after_the_end): r"the game is over \((first|second) won\), and 1 actions are legal",
    ("legal", legal_changing): "legal changes the state",
    ("play", play_uncounted): "play moves the ply from 0 to 0",
    ("play", play_endless): "no action is legal, and the game is not over",
    ("play", play_by_chance): "play is not the same twice",
    ("play", play_with_a_mark): "the header has bits that mean nothing",
    ("observe", observe_unwritten): "observe leaves entries unwritten",
    ("observe", observe_next_door): "a batch has other planes",
    ("playout", playout_drawn): "a playout ends with 'draw', which play does not",
    ("playout", playout_from_nowhere): "a playout draws from another's generator|which play does not",
    ("playout", playout_by_chance): "playouts from the same generator end differently|which play does not",
}


@pytest.mark.parametrize(("rule", "broken"), BROKEN_RULES, ids=lambda x: getattr(x, "__name__", x))
def test_a_broken_rule_is_told(rule, broken):
    game = nim()
    with pytest.raises(AssertionError, match=BROKEN_RULES[rule, broken]) as told:
        check_game(replace(game, rules={**game.rules, rule: broken}))
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("tests.envs.nim:nim: ")


FOUR = load("connect_four")
SAME = np.tile(np.arange(7), (2, 1))
BROKEN_WORDS = {
    "it cannot be made again by its name and options: .*no named 'gone'|no .*'gone'": {"name": "gone"},
    "its name and options make another game": {"numbers": (3,)},
    "there are no rules named observes": {"rules": {**FOUR.rules, "observes": FOUR.rules["observe"]}},
    "longest is 70000, the header counts to 65535": {"longest": 70000},
    "shape, actions, words and longest count from 1": {"longest": 0},
    "the game goes on, where 6 plies are the most": {"longest": 6},
    r"action_maps is \[2, 6\], not \[2, 7\]": {"action_maps": SAME[:, :6]},
    "a row of cell_maps is no permutation": {"cell_maps": np.zeros((2, 42), int)},
    "the first row of action_maps moves something": {"action_maps": FOUR.action_maps[::-1]},
    "symmetry 1 does not map the planes": {"action_maps": SAME},
    "the actions 0 and 1 are both written '1'": {"move_text": lambda action: str(max(action, 1))},
    "action 0 is written '0', which reads as '0' is no column": {"move_text": str},
    "action 1 is written '2', which reads as 2": {"parse_move": lambda text: int(text) - (text == "1")},
    "flaw says of a position from play: a stone too many": {
        "flaw": lambda state: "a stone too many" if state[0] & 7 == 5 else ""
    },
    "board_text gives no text": {"board_text": lambda state: state},
}


@pytest.mark.parametrize("said", BROKEN_WORDS)
def test_a_broken_description_is_told(said):
    with pytest.raises(AssertionError, match=said):
        check_game(replace(FOUR, **BROKEN_WORDS[said]), games=5)


def test_a_missing_rule_is_told():
    game = nim()
    rules = {name: rule for name, rule in game.rules.items() if name != "observe"}
    with pytest.raises(AssertionError, match="the rules observe are missing"):
        check_game(replace(game, rules=rules))


def test_more_actions_than_a_search_can_number_are_refused():
    assert replace(nim(), actions=(1 << 15) - 1).actions == 32767
    with pytest.raises(ValueError, match="has 32768 actions, where 32767 are the most"):
        replace(nim(), actions=1 << 15)
