"""Step sizes: what sampling of the finished prior takes, and how they follow their acceptance."""

import math

import pytest
import torch

from svebm_ext.prior import step_sizes
from svebm_ext.prior.step_sizes import falling_steps, sampling_steps


def test_falling_steps_have_equal_ratios():
    torch.testing.assert_close(falling_steps(0.16, 0.02, 4), torch.tensor([0.16, 0.08, 0.04, 0.02]))


@pytest.mark.parametrize(
    ("of_training", "first", "last"), [(0.05, 0.125, 0.005), (0.3, 0.3, 0.005), (1e-3, 0.125, 1e-3)]
)
def test_sampling_goes_beyond_the_steps_of_training(of_training, first, last):
    """As long as the first ones, then down to the finest."""
    steps = sampling_steps(of_training)
    assert len(steps) == 500 and bool((steps[:50] == torch.tensor(first)).all())
    assert bool((steps.diff() <= 0).all())
    assert [float(steps[0]), float(steps[-1])] == pytest.approx([first, last])


def test_steps_follow_their_acceptance():
    size = 0.1
    assert step_sizes.adapted_step_size(size, 0.574) == pytest.approx(size)
    assert step_sizes.adapted_step_size(size, 1.0) == pytest.approx(size * math.exp(0.1 * 0.426))
    assert step_sizes.adapted_step_size(size, 0.0) < size
    for acceptance, bound in ((0.0, step_sizes.SMALLEST_STEP), (1.0, step_sizes.LARGEST_STEP)):
        found = size
        for _ in range(1000):
            found = step_sizes.adapted_step_size(found, acceptance)
        assert found == bound
