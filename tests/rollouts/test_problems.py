import numpy as np
import pytest

from rollouts.problems import Curriculum, Listed, Problem, Uniform
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
