from types import SimpleNamespace

import numpy as np
import pytest

from rollouts.problems import Curriculum, Listed, Problem, Seeking, Uniform
from rollouts.sampler import Sampler
from tests.toys import Echo, Speller


def test_uniform_depends_on_seed_and_place_only():
    a, b = Uniform(3), Uniform(3)
    whole = a.take(10)
    assert b.take(4) + b.take(6) == whole
    assert len({p.seed for p in whole}) == 10
    assert Uniform(4).take(10) != whole
    again = Uniform(3)
    again.set_state({"taken": 7})
    assert again.take(3) == whole[7:]


def test_listed_gives_each_once_a_pass():
    problems = [Problem(i) for i in range(7)]
    stream = Listed(problems, seed=1)
    passes = [stream.take(3) + stream.take(4) for _ in range(3)]
    for turn in passes:
        assert sorted(p.seed for p in turn) == list(range(7))
    assert passes[0] != passes[1]
    plain = [
        problems[np.random.default_rng([1, turn]).permutation(7)[i]].seed
        for turn in range(3)
        for i in range(7)
    ]
    assert [p.seed for turn in passes for p in turn] == plain
    assert [p.seed for p in Listed(problems, seed=1).take(21)] == plain
    with pytest.raises(ValueError, match="at least one"):
        Listed([])


def test_a_long_list_is_shuffled_once_a_take(monkeypatch):
    stream, shuffles = Listed([Problem(i) for i in range(1000)]), []
    make = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: shuffles.append(seed) or make(seed))
    assert len({p.seed for p in stream.take(600)}) == 600
    assert shuffles == [[0, 0]]
    stream.take(600)
    assert shuffles[1:] == [[0, 0], [0, 1]]


@pytest.mark.parametrize(("error", "level"), [(0.0, 2), (1.0, 0)])
def test_a_curriculum_rises_with_success_only(error, level):
    levels = [{"word": "go"}, {"word": "hex"}, {"word": "reward"}]
    stream = Curriculum(levels, seed=0, bar=0.9, episodes=16)
    sampler = Sampler(Echo(8), problems=stream)
    seen = set()
    for _ in range(12):
        r = sampler.collect(Speller(error=error), episodes=16)
        seen |= set(np.unique(r.ended["length"]))
    assert stream.level == level
    assert seen == {len(o["word"]) for o in levels[: level + 1]}
    again = Curriculum(levels, seed=0, bar=0.9, episodes=16)
    assert [p.options for p in again.take(20)] == [levels[0]] * 20
    again = Curriculum(levels, seed=0, bar=0.9, episodes=16)
    again.set_state(stream.get_state())
    assert again.take(5) == stream.take(5)


def test_half_of_a_curriculum_is_of_its_highest_open_level():
    stream = Curriculum([{"level": i} for i in range(4)], seed=1)
    stream.set_state({"taken": 0, "level": 2, "tried": 0, "solved": 0.0})
    shares = np.bincount([p.options["level"] for p in stream.take(4000)], minlength=4) / 4000
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.5, 0.0], atol=0.03)


# -- seeking what can be learned -----------------------------------------------------------------------------

LEVELS = [{"family": "Sums", "level": level} for level in (1, 2, 3)]


def answers(taken, solved, tries=8, seed=0):
    """What came of problems, each tried `tries` times, in groups; `solved` are the levels' chances."""
    rng = np.random.default_rng(seed)
    chances = np.repeat([solved[p.options["level"] - 1] for p in taken], tries)
    group = np.repeat(np.arange(len(taken)), tries) if tries > 1 else np.full(len(taken), -1)
    ended = {"seed": np.repeat([p.seed for p in taken], tries), "group": group}
    return ended | {"success": (rng.random(len(chances)) < chances).astype(np.float32)}


def played(stream, solved, problems=16, tries=8, seed=0, **more):
    """Play `problems` of a stream, and let it learn from what came of them."""
    named, taken = [seed, stream.taken], stream.take(problems)
    told = stream.learn(SimpleNamespace(ended={**answers(taken, solved, tries, named), **more}))
    return [p.options["level"] for p in taken], told


@pytest.mark.parametrize("tries", [1, 8])
def test_it_goes_where_success_is_neither_sure_nor_hopeless(tries):
    stream = Seeking(LEVELS, seed=0, floor=0.15, memory=8)
    np.testing.assert_allclose(stream.weights(), 1 / 3)
    for _ in range(120):
        _, told = played(stream, (1.0, 0.5, 0.0), tries=tries)
    np.testing.assert_allclose(stream.weights(), [0.05, 0.9, 0.05], atol=0.02)
    assert told == dict(zip(["problems/Sums-1", "problems/Sums-2", "problems/Sums-3"], stream.weights()))
    shares = np.bincount([p.options["level"] for p in stream.take(3000)], minlength=4)[1:] / 3000
    np.testing.assert_allclose(shares, stream.weights(), atol=0.03)


def test_it_follows_a_learner_that_gets_better():
    stream = Seeking(LEVELS, seed=1, memory=8)
    tops = []
    for solved in ((0.5, 0.0, 0.0), (1.0, 0.5, 0.0), (1.0, 1.0, 0.5)):
        for _ in range(30):
            played(stream, solved)
        tops.append(stream.weights())
    assert [int(np.argmax(top)) for top in tops] == [0, 1, 2]
    assert min(top.max() for top in tops) > 0.75
    assert min(top.min() for top in tops) > 0.06  # all are still tried


def test_a_level_of_easy_and_hopeless_problems_is_worth_nothing():
    """Half of its tries succeed, and yet there is no group to learn from."""
    stream = Seeking(LEVELS[:2], seed=0, memory=8)
    for _ in range(20):
        taken = stream.take(16)
        sure = np.array([p.options["level"] == 1 for p in taken])
        success = np.where(sure[:, None], (np.arange(16) % 2)[:, None], np.arange(8) % 2)
        ended = {"seed": np.repeat([p.seed for p in taken], 8), "group": np.repeat(np.arange(16), 8)}
        stream.learn(SimpleNamespace(ended={**ended, "success": success.ravel()}))
    np.testing.assert_allclose(stream.weights(), [0.1, 0.9], atol=0.01)


def test_tries_whose_verifier_failed_say_nothing():
    stream = Seeking(LEVELS, seed=0)
    played(stream, (0.5, 0.5, 0.5), error=np.ones(16 * 8))
    np.testing.assert_array_equal(stream.worth, 0.25)


def test_where_nothing_can_be_learned_all_are_tried_evenly():
    stream = Seeking(LEVELS, seed=0, floor=0.0, memory=1)
    played(stream, (0.0, 1.0, 0.0), problems=64)
    np.testing.assert_array_equal(stream.weights(), np.full(3, 1 / 3))


def test_a_seeking_stream_goes_on_from_where_it_was():
    stream, again = Seeking(LEVELS, seed=3), Seeking(LEVELS, seed=3)
    for _ in range(5):
        played(stream, (1.0, 0.5, 0.0))
    again.set_state(stream.get_state())
    for _ in range(3):
        assert played(again, (1.0, 0.5, 0.0)) == played(stream, (1.0, 0.5, 0.0))
    with pytest.raises(ValueError, match="3 choices of problems were saved, not 2"):
        Seeking(LEVELS[:2]).set_state(stream.get_state())
    with pytest.raises(ValueError, match="at least one choice"):
        Seeking([])


def test_problems_that_were_dealt_out_before_are_judged_by_their_choice():
    stream, again = Seeking(LEVELS, seed=3, floor=0.0), Seeking(LEVELS, seed=3, floor=0.0)
    asked = stream.take(64)
    again.set_state(stream.get_state())
    for one in (stream, again):
        one.learn(SimpleNamespace(ended=answers(asked, (0.0, 1.0, 0.5))))
    np.testing.assert_array_equal(again.worth, stream.worth)
    assert again.worth[2] > 0.25 > again.worth[0]


def test_it_learns_from_what_the_sampler_played():
    """A speller that errs at every other letter gets one right now and then, and six hardly ever."""
    words = [{"word": "a"}, {"word": "reward"}]
    sampler = Sampler(Echo(8), problems=Seeking(words, seed=0, memory=8))
    assert sampler.told == {}
    for _ in range(12):
        sampler.collect(Speller(error=0.5), episodes=32, group_size=4)
    assert sampler.told["problems/a"] > 0.75
    assert sampler.told["problems/a"] + sampler.told["problems/reward"] == pytest.approx(1)
