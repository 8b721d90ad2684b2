"""The bonus for what few tries of a group said, against counting by hand."""

from collections import defaultdict

import numpy as np
import pytest

import envs
from envs.options import OptionError
from llm_rl.novelty import Novelty, idea
from rollouts.agent import Agent, Decision
from rollouts.reward import Reward
from rollouts.rollout import concatenate
from rollouts.sampler import Sampler


class Says(Agent):
    """Draws one of some texts, evenly, by a row's own generator."""

    def __init__(self, *texts):
        self.texts = texts

    def act(self, obs, *, rng, first, memory=None, explore=True):
        drawn = [int(np.random.default_rng(int(state)).integers(len(self.texts))) for state in rng]
        rng += np.uint64(1)
        return Decision(np.array([self.texts[k] for k in drawn], object), memory=memory)


def played(id, texts, episodes=48, group_size=8, **options):
    env = envs.make(id, 6, **options)
    return Sampler(env, seed=3).collect(Says(*texts), episodes=episodes, group_size=group_size)


def episodes_of(rollout):
    """(rows, texts) of each episode, row by row."""
    rows = defaultdict(list)
    for t, i in np.argwhere(rollout.valid).tolist():
        rows[int(rollout.episode[t, i])].append((t, i))
    return [(at, [rollout.actions[t][i] for t, i in at]) for at in rows.values()]


ANSWERS = [
    "<answer>1</answer>",
    "<answer> 1.0</answer>",
    "<answer>2</answer>",
    "<think>a</think><answer>2</answer>",
]


def test_every_different_answer_of_a_group_is_worth_one():
    rollout = played("text/Parity-v0", [*ANSWERS, "no answer", "<answer>1</answer><answer>2</answer>"])
    found = Novelty(only_right=False)(rollout)
    assert found.dtype == np.float32
    said = {"1": (0, 1), "2": (2, 3)}
    texts = [*ANSWERS]
    for group in np.unique(rollout.group[rollout.valid]):
        mine = [(at[-1], words[0]) for at, words in episodes_of(rollout) if rollout.group[at[0]] == group]
        assert len(mine) == 8
        for which in said.values():
            same = [row for row, word in mine if word in [texts[k] for k in which]]
            for row in same:
                assert found[row] == np.float32(1 / len(same))
        for row, word in mine:
            assert (found[row] > 0) == (word in texts)


def test_only_what_is_right_shares_it():
    rollout = played("text/Parity-v0", ["<answer>0</answer>", "<answer>1</answer>", "<answer>x</answer>"])
    found, success = Novelty()(rollout), rollout.parts["success"]
    assert 0 < success.sum() < rollout.valid.sum()
    assert ((found > 0) == (success > 0)).all()
    totals = [found[rollout.group == group].sum() for group in np.unique(rollout.group)]
    solved = [success[rollout.group == group].any() for group in np.unique(rollout.group)]
    np.testing.assert_allclose(totals, np.array(solved, float), rtol=1e-6)  # there is one right answer


def test_ways_to_the_same_answer_are_told_apart_by_their_steps():
    texts = [
        "<think>a b</think><answer>1</answer>",
        "<think>ab</think><answer>2</answer>",
        "<answer>1</answer>",
    ]
    rollout = played("text/Parity-v0", texts)
    found = Novelty("steps", only_right=False)(rollout)
    for group in np.unique(rollout.group):
        mine = [(at[-1], words[0]) for at, words in episodes_of(rollout) if rollout.group[at[0]] == group]
        thought = [row for row, word in mine if word != texts[2]]
        direct = [row for row, word in mine if word == texts[2]]
        for rows in (thought, direct):
            assert all(found[row] == np.float32(1 / len(rows)) for row in rows)


def test_a_dialogue_is_compared_as_a_whole_at_its_end():
    rollout = played("text/GuessNumber-v0", [f"<answer>{k}</answer>" for k in range(1, 11)], level=1)
    found = Novelty("steps", only_right=False)(rollout)
    counts = defaultdict(list)
    for at, words in episodes_of(rollout):
        assert not any(found[row] for row in at[:-1])
        counts[int(rollout.group[at[0]]), tuple(words[:-1])].append(found[at[-1]])
    assert max(len(words) for _, words in episodes_of(rollout)) > 1
    for bonuses in counts.values():
        assert bonuses == [np.float32(1 / len(bonuses))] * len(bonuses)


def test_a_failed_verifier_gives_no_bonus_and_takes_none():
    rollout = played("text/Parity-v0", ANSWERS)
    clean = Novelty(only_right=False)(rollout)
    t, i = np.argwhere(rollout.valid)[0]
    rollout.parts["error"][t, i] = 1.0
    found = Novelty(only_right=False)(rollout)
    assert found[t, i] == 0
    alike = (rollout.group == rollout.group[t, i]) & (clean == clean[t, i])
    alike[t, i] = False
    share = round(1 / clean[t, i])
    assert share > 1
    assert found[alike].max() == np.float32(1 / (share - 1))


def test_workers_side_by_side_are_compared_by_their_groups_alone():
    rollouts = [
        Sampler(envs.make("text/Parity-v0", 4), seed=1, worker=w).collect(
            Says(*ANSWERS), episodes=16, group_size=8
        )
        for w in range(2)
    ]
    both = Novelty(only_right=False)(concatenate(rollouts))
    apart = [Novelty(only_right=False)(rollout) for rollout in rollouts]
    np.testing.assert_array_equal(both, np.concatenate(apart, axis=1))


@pytest.mark.parametrize(
    ("texts", "answer", "steps"),
    [
        (["<answer>1,234</answer>"], "1234", ""),
        (["<answer>−7</answer>"], "-7", ""),
        (["<answer>6/8</answer>"], "3/4", ""),
        (["<think>x <answer>1</answer></think><answer>(3 + 5)*2</answer>"], "(3+5)*2", None),
        (["<tool>3+4</tool>", "<answer>7</answer>"], "7", "<tool>3+4</tool>"),
        (["<answer>7</answer>", "nothing"], None, None),
    ],
)
def test_what_was_said_has_one_form(texts, answer, steps):
    assert idea(texts, "answer") == answer
    if answer is None:
        assert idea(texts, "steps") is None
    elif steps is not None:
        assert idea(texts, "steps") == steps


def test_it_is_a_term_by_its_import_path():
    rollout = played("text/Parity-v0", ANSWERS)
    settings = {"weight": 0.5, "of": "answer", "only_right": False}
    reward = Reward({"success": 1.0, "llm_rl.novelty:Novelty": settings}, tuple(rollout.parts))
    reward(rollout)
    wanted = rollout.parts["success"] + 0.5 * Novelty(only_right=False)(rollout)
    np.testing.assert_allclose(rollout.rewards, wanted, rtol=1e-6)


def test_what_does_not_fit_is_told():
    with pytest.raises(OptionError, match="novelty is of answer or of steps, not 'answers'"):
        Novelty("answers")
    with pytest.raises(ValueError, match="needs groups of them"):
        Novelty()(played("text/Parity-v0", ANSWERS, group_size=1))
    rollout = played("text/Parity-v0", ANSWERS)
    rollout.parts = {}
    with pytest.raises(ValueError, match="set only_right: false"):
        Novelty()(rollout)
