import numpy as np
import pytest
from scipy import stats

from agents.legal import legal_mask, random_choices


def test_random_choices_are_legal_and_alike_likely():
    mask = np.array([[1, 0, 1, 1, 1, 1], [0, 1, 0, 0, 0, 1], [1, 1, 1, 1, 1, 0]], bool)
    rng = np.random.default_rng(0)
    draws = np.stack([random_choices(rng.random((3, 2)), [4, 2], mask) for _ in range(3000)])
    for row in range(3):
        for choice, part in enumerate((mask[row, :4], mask[row, 4:])):
            counts = np.bincount(draws[:, row, choice], minlength=len(part))
            assert (counts[~part] == 0).all()
            assert stats.chisquare(counts[part]).pvalue > 1e-3 or part.sum() == 1


def test_without_a_mask_all_is_legal():
    assert legal_mask(None, [3]) is None
    u = np.array([[0.0, 0.0], [0.5, 0.5], [0.999, 0.999]])
    assert random_choices(u, [4, 2], None).tolist() == [[0, 0], [2, 1], [3, 1]]
    np.testing.assert_array_equal(
        random_choices(u, [4, 2], np.ones((3, 6), bool)), random_choices(u, [4, 2], None)
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [([0, 0, 0, 1, 1], "row 1 has no legal action in choice 0"), ([1, 0, 0, 0, 0], "row 1 .* choice 1")],
)
def test_a_choice_without_anything_legal_is_refused(row, said):
    mask = np.array([[1, 0, 0, 0, 1], row], np.int8)
    with pytest.raises(ValueError, match=said):
        legal_mask(mask, [3, 2])
    if not any(row[:3]):
        assert legal_mask(mask, [5]).dtype == bool
