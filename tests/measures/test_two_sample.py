import math

import numpy as np
import pytest
import scipy.stats
import torch

from svebm_ext.errors import ConfigError, DataError
from svebm_ext.measures.two_sample import energy_distance, maximum_mean_discrepancy, modes_found, two_sample_test


def normal(n, dim, seed, shift=0.0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)) + shift


def test_energy_distance_equals_scipys_in_one_dimension():
    first, second = normal(80, 1, 0), 2 * normal(50, 1, 1, 0.4)
    expected = scipy.stats.energy_distance(first[:, 0].numpy(), second[:, 0].numpy())
    assert energy_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_energy_distance_by_hand_in_two_dimensions():
    """{(0,0)} against {(3,4), (0,0)}: 2 * 2.5 - 0 - 2.5."""
    assert energy_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(math.sqrt(2.5))
    assert energy_distance(normal(30, 2, 0), normal(30, 2, 0)) == pytest.approx(0, abs=1e-7)


def test_maximum_mean_discrepancy_by_its_definition():
    first, second = normal(12, 3, 0).numpy(), normal(9, 3, 1, 1.0).numpy()
    points = np.concatenate([first, second])
    distances = [np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i]]
    bandwidth = sorted(distances)[(len(distances) - 1) // 2]

    def kernel(xs, ys):
        return np.mean([[math.exp(-(np.linalg.norm(a - b) ** 2) / (2 * bandwidth**2)) for b in ys] for a in xs])

    expected = math.sqrt(kernel(first, first) + kernel(second, second) - 2 * kernel(first, second))
    result = maximum_mean_discrepancy(torch.from_numpy(first), torch.from_numpy(second))
    assert result == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("statistic", ["energy", "mmd"])
def test_p_values_are_uniform_for_equal_and_small_for_different_distributions(statistic):
    p_values = [
        two_sample_test(
            normal(40, 2, 2 * i), normal(40, 2, 2 * i + 1), statistic=statistic, n_permutations=99, seed=i
        ).p_value
        for i in range(60)
    ]
    assert scipy.stats.kstest(p_values, "uniform").pvalue > 1e-3
    shifted = two_sample_test(normal(100, 2, 0), normal(100, 2, 1, 1.0), statistic=statistic, n_permutations=99)
    assert shifted.p_value == pytest.approx(0.01)
    # Equal means and variances, another shape.
    ring = torch.nn.functional.normalize(normal(500, 2, 2)) * math.sqrt(2)
    assert two_sample_test(normal(500, 2, 3), ring, statistic=statistic, n_permutations=99).p_value == 0.01


def test_test_is_a_function_of_its_seed_and_limits_points():
    first, second = normal(300, 2, 0), normal(200, 2, 1)
    results = [two_sample_test(first, second, max_points=100, n_permutations=20, seed=s) for s in (0, 0, 1)]
    assert results[0] == results[1] != results[2]
    assert (results[0].n_first, results[0].n_second) == (100, 100)
    same = two_sample_test(first, second, n_permutations=20)
    assert same.statistic == pytest.approx(energy_distance(first, second))


def test_identical_sets_are_never_significant():
    assert two_sample_test(torch.ones(5, 2), torch.ones(7, 2), n_permutations=50).p_value == 1


def test_modes_found():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    samples = torch.cat(
        [
            normal(60, 2, 0) * 0.5 + centres[0],
            normal(37, 2, 1) * 0.5 + centres[1],
            centres[2].expand(1, 2),  # reached, but by too few
            torch.full((2, 2), 5.0),  # between modes
        ]
    )
    result = modes_found(samples, centres, std=0.5, radius=5.0)
    assert result.n_found == 2
    assert result.shares == pytest.approx([0.60, 0.37, 0.01, 0.0])
    assert result.share_at_modes == pytest.approx(0.98)
    assert modes_found(samples, centres, std=0.5, radius=5.0, min_share=0.04).n_found == 3
    assert modes_found(samples, centres, std=0.5, radius=5.0, min_share=0.0).n_found == 3


def test_empty_sets_are_errors():
    with pytest.raises(DataError, match="0 and 3"):
        energy_distance(torch.zeros(0, 2), torch.zeros(3, 2))
    with pytest.raises(DataError, match="modes need"):
        modes_found(torch.zeros(0, 2), torch.zeros(3, 2), std=1.0)
    with pytest.raises(ConfigError, match="n_permutations"):
        two_sample_test(torch.zeros(2, 2), torch.zeros(3, 2), n_permutations=0)


def test_modes_by_density():
    """Two normal modes on a line at 0 and 10, standard deviation 1, seen through their log densities."""
    from svebm_ext.measures.two_sample import modes_found_by_density

    def log_densities(x):
        return -0.5 * (x[:, None] - torch.tensor([0.0, 10.0])).square()

    own = log_densities(normal(20_000, 1, 3)[:, 0])[:, 0]
    # A share .05 of a standard normal lies beyond 1.96 of its standard deviations.
    samples = torch.tensor([0.0, 1.9, -1.9, 2.1, -9.0, 5.0, 10.0, 10.0, 10.0, 10.0])
    result = modes_found_by_density(log_densities(samples), own)
    assert result.shares == pytest.approx([0.3, 0.4]) and result.n_found == 2
    assert result.share_at_modes == pytest.approx(0.7)
    assert modes_found_by_density(log_densities(samples[:6]), own).n_found == 1
    assert modes_found_by_density(log_densities(samples), own, min_share=0.7).n_found == 1
    with pytest.raises(DataError, match="modes need"):
        modes_found_by_density(torch.zeros(0, 2), own)
