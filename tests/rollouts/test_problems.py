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
    with pytest.raises(ValueError, match="at least one"):
        Listed([])


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
    again.set_state(stream.get_state())
    assert again.take(5) == stream.take(5)
