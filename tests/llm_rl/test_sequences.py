import dataclasses

import numpy as np
import pytest

from llm_rl.sequences import FIELDS, Sequences, whole_episodes
from rollouts.rollout import Rollout, concatenate


def random_episodes(seed, n=23, group_size=1, worker=0):
    """Episodes of one to four turns; a turn reads 0 to 4 tokens and writes 1 to 5."""
    g = np.random.default_rng([seed, worker])
    episodes = []
    for i in range(n):
        turns = []
        for _ in range(g.integers(1, 5)):
            read, wrote = int(g.integers(0, 5)), int(g.integers(1, 6))
            turns.append(
                {
                    "tokens": g.integers(1, 99, read + wrote).tolist(),
                    "mask": [0] * read + [1] * wrote,
                    "log_prob": (-g.random(read + wrote)).tolist(),
                    "token_reward": g.normal(size=read + wrote).tolist(),
                    "reward": float(g.normal()),
                    "cut": g.random() < 0.1,
                }
            )
        episodes.append(
            {
                "id": i + (worker << 40),
                "group": i - i % group_size if group_size > 1 else -1,
                "seed": 1000 + i - i % group_size,
                "turns": turns,
                "success": g.random() < 0.5,
                "error": g.random() < 0.2,
                "truncated": g.random() < 0.2,
            }
        )
    return episodes


def played(episodes, slots=4, seed=0, per_token=False):
    """A rollout of them, one after another in each slot, with idle rows before, after and in between."""
    g = np.random.default_rng(seed)
    columns = [[] for _ in range(slots)]
    for episode in [episodes[i] for i in g.permutation(len(episodes))]:
        column = columns[g.integers(slots)]
        column += [None] * g.integers(0, 3)
        last = len(episode["turns"]) - 1
        column += [(episode, turn, k == 0, k == last) for k, turn in enumerate(episode["turns"])]
    t = max(len(c) for c in columns) + 1
    width = 11
    arrays = {
        name: np.zeros((t, slots), bool) for name in ("valid", "first", "terminated", "truncated", "cut")
    }
    ints = {name: np.full((t, slots), -1, np.int64) for name in ("episode", "group", "seed", "token_count")}
    floats = {name: np.zeros((t, slots), np.float32) for name in ("rewards", "success", "error")}
    tokens = {
        name: np.full((t, slots, width), 7, np.float32) for name in ("tokens", "mask", "log_prob", "gains")
    }
    obs = np.full((t + 1, slots), "", object)
    for s, column in enumerate(columns):
        for r, row in enumerate(column):
            if row is None:
                ints["token_count"][r, s] = 5  # an idle slot's numbers mean nothing
                continue
            episode, turn, begins, ends = row
            count = len(turn["tokens"])
            obs[r, s] = f"problem {episode['seed']}" if begins else f"turn {turn['tokens']}"
            arrays["valid"][r, s], arrays["first"][r, s], arrays["cut"][r, s] = True, begins, turn["cut"]
            ints["token_count"][r, s] = count
            for name, key in (("episode", "id"), ("group", "group"), ("seed", "seed")):
                ints[name][r, s] = episode[key]
            floats["rewards"][r, s] = turn["reward"]
            pairs = {"tokens": "tokens", "mask": "mask", "log_prob": "log_prob", "gains": "token_reward"}
            for name, key in pairs.items():
                tokens[name][r, s, :count] = turn[key]
                if name == "gains":
                    tokens[name][r, s, count:] = 0
            if ends:
                arrays["truncated" if episode["truncated"] else "terminated"][r, s] = True
                floats["success"][r, s], floats["error"][r, s] = episode["success"], episode["error"]
    return Rollout(
        obs=obs,
        actions=obs[:-1],
        env_rewards=floats["rewards"],
        terminated=arrays["terminated"],
        truncated=arrays["truncated"],
        valid=arrays["valid"],
        first=arrays["first"],
        sign=np.ones((t, slots), np.float32),
        episode=ints["episode"],
        group=ints["group"],
        seed=ints["seed"],
        final_obs=np.zeros(0),
        final_at=np.zeros((0, 2), np.int64),
        version=np.zeros(slots, np.int64),
        parts={"success": floats["success"], "error": floats["error"]},
        fields={
            "tokens": tokens["tokens"].astype(np.int32),
            "token_mask": tokens["mask"].astype(np.int8),
            "token_count": ints["token_count"],
            "log_prob": tokens["log_prob"],
            "cut": arrays["cut"],
        },
        ended={"slot": np.zeros(0, np.int64)},
        rewards=tokens["gains"] if per_token else floats["rewards"],
    )


def same(a, b):
    for f in dataclasses.fields(Sequences):
        np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name), f.name)


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_sequences_are_the_episodes_turn_after_turn(seed, per_token):
    episodes = random_episodes(seed)
    found = whole_episodes(played(episodes, slots=1 + seed, seed=seed, per_token=per_token))
    assert len(found) == len(episodes)
    width = max(sum(len(turn["tokens"]) for turn in e["turns"]) for e in episodes)
    assert found.tokens.shape == found.mask.shape == found.old_log_prob.shape == (len(episodes), width)
    assert [str(x.dtype) for x in (found.tokens, found.mask, found.old_log_prob)] == [
        "int32",
        "bool",
        "float32",
    ]
    for i, episode in enumerate(episodes):
        turns = episode["turns"]
        tokens = [x for turn in turns for x in turn["tokens"]]
        padding = [0] * (width - len(tokens))
        assert found.lengths[i] == len(tokens)
        assert found.tokens[i].tolist() == tokens + padding
        assert found.mask[i].tolist() == [bool(x) for turn in turns for x in turn["mask"]] + padding
        assert found.own_lengths[i] == sum(sum(turn["mask"]) for turn in turns)
        log_prob = [x * own for turn in turns for x, own in zip(turn["log_prob"], turn["mask"])]
        np.testing.assert_allclose(found.old_log_prob[i], log_prob + padding, rtol=1e-6)
        assert found.episode[i] == episode["id"]
        assert found.group[i] == -1
        assert found.valid[i] == (not episode["error"])
        assert found.success[i] == episode["success"]
        assert found.truncated[i] == (episode["truncated"] or any(turn["cut"] for turn in turns))
        gains = [x for turn in turns for x in turn["token_reward"]]
        if per_token:
            np.testing.assert_allclose(found.token_reward[i], gains + padding, rtol=1e-6)
        wanted = sum(gains) if per_token else sum(turn["reward"] for turn in turns)
        assert found.reward[i] == pytest.approx(wanted, abs=1e-5)
    assert (found.token_reward is None) == (not per_token)


def test_who_played_where_does_not_matter():
    episodes = random_episodes(1, group_size=4, n=24)
    alone = whole_episodes(played(episodes, slots=1))
    same(whole_episodes(played(episodes, slots=7, seed=3)), alone)


def test_two_workers_rollouts_are_both_in_it():
    mine, other = random_episodes(1, n=5), random_episodes(1, n=9, worker=1)
    rollout = concatenate([played(mine, 2), played(other, 3)])
    found = whole_episodes(rollout)
    assert found.episode.tolist() == [e["id"] for e in mine + other]
    same(found.take(np.arange(5)), whole_episodes(played(mine, 2)))
    same(found.take(found.episode >= 1 << 40), whole_episodes(played(other, 3)))


def test_what_has_no_notion_of_success_error_or_reward():
    rollout = played(random_episodes(2))
    rollout.parts, rollout.rewards = {}, None
    del rollout.fields["cut"]
    found = whole_episodes(rollout)
    assert found.valid.all()
    assert found.success is None
    assert not found.reward.any()
    np.testing.assert_array_equal(found.truncated, [e["truncated"] for e in random_episodes(2)])


def test_a_limit_at_a_true_end_cut_nothing():
    rollout = played([e | {"truncated": False} for e in random_episodes(2)])
    rollout.truncated[rollout.terminated] = True
    del rollout.fields["cut"]
    assert not whole_episodes(rollout).truncated.any()


def test_nothing_played_is_no_sequence():
    rollout = played(random_episodes(0))
    rollout.valid[:] = False
    found = whole_episodes(rollout)
    assert len(found) == 0
    assert found.tokens.shape == (0, 0)


@pytest.mark.parametrize("name", FIELDS)
def test_an_agent_that_writes_no_tokens_is_told(name):
    rollout = played(random_episodes(0))
    del rollout.fields[name]
    with pytest.raises(ValueError, match=f"carry no {name}"):
        whole_episodes(rollout)


def test_half_an_episode_is_refused():
    rollout = played(random_episodes(0), slots=3)
    at = tuple(np.argwhere(rollout.first & ~rollout.terminated & ~rollout.truncated)[0])
    rollout.first[at] = False
    with pytest.raises(ValueError, match=r"^1 of 23 episodes are not whole .*episodes=, not with steps="):
        whole_episodes(rollout)
    rollout.first[at] = True
    end = tuple(np.argwhere(rollout.terminated)[0])
    rollout.terminated[end] = False
    with pytest.raises(ValueError, match="1 of 23 episodes are not whole"):
        whole_episodes(rollout)


def test_a_group_must_face_one_problem():
    rollout = played(random_episodes(3, n=12, group_size=4), slots=2)
    assert (np.bincount(whole_episodes(rollout).group) == 4).sum() == 3
    at = tuple(np.argwhere(rollout.first & (rollout.group == 4))[0])
    rollout.seed[at] += 1
    with pytest.raises(ValueError, match="group 4 faced different problems"):
        whole_episodes(rollout)
    rollout.seed[at] -= 1
    rollout.obs[at] = "problem 1004, at another level"
    with pytest.raises(ValueError, match="group 4 faced different problems"):
        whole_episodes(rollout)
    rollout.obs = {"planes": np.zeros((*rollout.valid.shape, 2, 3))}
    whole_episodes(rollout)
    rollout.obs["planes"][at] = 1
    with pytest.raises(ValueError, match="group 4 faced different problems"):
        whole_episodes(rollout)
    rollout.obs = None  # not kept
    whole_episodes(rollout)
