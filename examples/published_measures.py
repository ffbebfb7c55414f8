"""Measures whose published variants mislead, on problems with known answers: python examples/published_measures.py

1. NLL of a linear-Gaussian model with 40 latent dimensions, whose likelihood is known exactly.
2. Homogeneity of random codes with the labels of a corpus: there is nothing to find.
3. Mutual information of codes that determine the sentence, averaged over minibatches: capped by log of their size.
"""

import math

import torch

from svebm_ext.densities import diagonal_gaussian_log_density, standard_normal_log_density
from svebm_ext.measures import latent
from svebm_ext.models import likelihood

generator = torch.Generator().manual_seed(0)


def randn(*shape: int) -> torch.Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


# 1. x = W z + e with z ~ N(0, I) and e ~ N(0, I): log p(x) and p(z|x) are Gaussian and known.
D, P, M, n = 40, 200, 500, 100
scale = torch.linspace(2, 6, D, dtype=torch.float64)
weight = torch.linalg.qr(randn(P, D)).Q * scale
x = randn(n, D) @ weight.T + randn(n, P)
covariance = weight @ weight.T + torch.eye(P, dtype=torch.float64)
truth = torch.distributions.MultivariateNormal(torch.zeros(P, dtype=torch.float64), covariance).log_prob(x)

# q(z|x): the posterior, shifted by a tenth of its deviation and 5 % wider, as a trained encoder might be.
log_variance = (0.1 - torch.log(1 + scale.square())).expand(n, D)
deviation = torch.exp(0.5 * log_variance)
mean = x @ weight / (1 + scale.square()) + 0.1 * deviation * randn(n, D)
z = mean + deviation * randn(M, n, D)
log_likelihood = -0.5 * ((x - z @ weight.T).square().sum(-1) + P * math.log(2 * math.pi))
correct = likelihood.importance_weighted_log_likelihood(
    log_likelihood,
    standard_normal_log_density(z),
    diagonal_gaussian_log_density(z, mean, log_variance),
)
published = likelihood.nll_as_published(log_likelihood, torch.zeros(M, n), z, mean, log_variance)
found = (float(values.mean()) for values in (truth, correct, -published))
print("log p(x): exact {:.1f}, importance sampling {:.1f}, as published {:.1f}".format(*found))

# 2. Codes drawn at random for 6,000 sentences with four labels of unequal size.
labels = [("inform", "question", "directive", "commissive")[i] for i in torch.multinomial(
    torch.tensor([0.46, 0.29, 0.16, 0.09]), 6000, replacement=True, generator=generator
)]  # fmt: skip
for K in (20, 125):
    codes = torch.randint(K, (len(labels),), generator=generator)
    whole = latent.cluster_agreement(codes, labels)
    per_batch = latent.homogeneity_per_batch_as_published(codes, labels)
    print(
        f"random codes, {K} in use: homogeneity of the whole set {whole.homogeneity:.3f} "
        f"(chance {whole.chance_homogeneity:.3f}), averaged over batches of 30 {per_batch:.2f}"
    )

# 3. 125 equally frequent codes, each sentence's certain: I(z, y) = log 125.
codes = torch.arange(6000) % 125
certain = torch.log(torch.nn.functional.one_hot(codes, 125).double().clamp_min(1e-300))
shuffled = certain[torch.randperm(6000, generator=generator)]
batches = [latent.mutual_information(part) for part in shuffled.split(30)]
print(
    f"I(z, y) of certain codes: whole set {latent.mutual_information(certain):.2f} = log 125, "
    f"averaged over batches of 30 {sum(batches) / len(batches):.2f} (at most log 30 = {math.log(30):.2f})"
)
