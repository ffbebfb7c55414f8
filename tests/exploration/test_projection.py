"""Projections beside scikit-learn's."""

import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from svebm_ext.exploration.projection import discriminants, principal_components


def groups_of_vectors(n=400, dim=6, n_groups=5):
    torch.manual_seed(1)
    group = torch.arange(n) % n_groups
    z = 3.0 * torch.randn(n_groups, dim)[group] + torch.randn(n, dim) @ (torch.eye(dim) + 0.2 * torch.randn(dim, dim))
    return z, group


def test_principal_components_are_those_of_scikit_learn():
    z, _ = groups_of_vectors()
    reference = PCA(2).fit(z.double().numpy())
    found = principal_components(z)
    signs = torch.from_numpy(reference.components_).sum(1).sign() * found.directions.sum(0).sign()
    wanted = torch.from_numpy(reference.transform(z.double().numpy())) * signs
    torch.testing.assert_close(found(z), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.tensor(found.shares), torch.tensor(reference.explained_variance_ratio_).float())
    assert bool((found.directions.gather(0, found.directions.abs().argmax(0, keepdim=True)) > 0).all())


def test_discriminants_are_those_of_scikit_learn():
    """Up to scale and sign, and to the thousandth that S_w gets: the same coordinates by correlation."""
    z, group = groups_of_vectors()
    found = discriminants(z, group)
    wanted = torch.from_numpy(LinearDiscriminantAnalysis(n_components=2).fit_transform(z.double().numpy(), group))
    for mine, theirs in zip(found(z).T, wanted.T, strict=True):
        assert abs(torch.corrcoef(torch.stack((mine, theirs)))[0, 1]) > 0.999
    within = found(z) - torch.stack([found(z)[group == k].mean(0) for k in range(5)])[group]
    torch.testing.assert_close(within.var(0, unbiased=False), torch.ones(2, dtype=torch.float64), rtol=0.02, atol=0.0)


def test_directions_that_do_not_exist_are_zero():
    line = principal_components(torch.arange(5.0)[:, None])
    assert line.directions.shape == (1, 2) and line.shares == (1.0, 0.0)
    assert bool((line(torch.ones(1, 1))[:, 1] == 0).all())
    alone = principal_components(torch.ones(1, 3))
    assert alone.shares == (0.0, 0.0) and bool(torch.isfinite(alone(torch.zeros(1, 3))).all())


def test_fewer_than_three_groups_have_no_discriminants():
    z, group = groups_of_vectors()
    assert discriminants(z, group % 2) is None
    assert discriminants(z[:, :1], group) is None
    assert discriminants(torch.cat((z, z), 1), group) is not None  # singular within groups: held by the diagonal
