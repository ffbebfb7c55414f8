import math

import numpy as np
import pytest
import sklearn.metrics
import torch

from svebm_ext.errors import DataError
from svebm_ext.measures import latent


def one_hot_log(symbols, n_categories):
    log_posterior = torch.full((len(symbols), n_categories), -math.inf)
    log_posterior[torch.arange(len(symbols)), symbols] = 0.0
    return log_posterior


def test_mutual_information_of_deterministic_uniform_symbols_is_log_k():
    log_posterior = one_hot_log(torch.arange(60) % 20, 20)
    assert latent.mutual_information(log_posterior) == pytest.approx(math.log(20))
    assert latent.marginal_entropy(log_posterior) == pytest.approx(math.log(20))


def test_mutual_information_of_a_constant_posterior_is_zero():
    log_posterior = torch.tensor([0.7, 0.2, 0.1]).log().expand(50, 3)
    assert latent.mutual_information(log_posterior) == pytest.approx(0, abs=1e-7)
    assert latent.marginal_entropy(log_posterior) == pytest.approx(
        -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)), abs=1e-6
    )


def test_mutual_information_of_a_noisy_channel():
    """Two equally frequent groups of z with p(y|z) = (1 - e, e) and (e, 1 - e): log 2 - h(e)."""
    e = 0.1
    log_posterior = torch.tensor([[1 - e, e], [e, 1 - e]], dtype=torch.double).log().repeat(5, 1)
    expected = math.log(2) + e * math.log(e) + (1 - e) * math.log(1 - e)
    assert latent.mutual_information(log_posterior) == pytest.approx(expected)


def test_mutual_information_is_of_the_whole_set_and_takes_several_samples():
    """Sorted by symbol, minibatches would each see one symbol and average to 0."""
    log_posterior = one_hot_log(torch.arange(8).repeat_interleave(10), 8)
    assert latent.mutual_information(log_posterior) == pytest.approx(math.log(8))
    assert latent.mutual_information(log_posterior.reshape(4, 20, 8)) == pytest.approx(math.log(8))


def test_homogeneity_family_equals_sklearns_on_labelled_sentences():
    generator = np.random.default_rng(0)
    symbols = generator.integers(0, 7, 300)
    labels = [f"act{(s + generator.integers(0, 3)) % 4}" for s in symbols]
    result = latent.cluster_agreement(torch.from_numpy(symbols), labels)
    assert result.homogeneity == pytest.approx(sklearn.metrics.homogeneity_score(labels, symbols))
    assert result.completeness == pytest.approx(sklearn.metrics.completeness_score(labels, symbols))
    assert result.v_measure == pytest.approx(sklearn.metrics.v_measure_score(labels, symbols))
    assert result.adjusted_mutual_information == pytest.approx(
        sklearn.metrics.adjusted_mutual_info_score(labels, symbols)
    )
    assert 0 < result.chance_homogeneity < 0.1 < result.homogeneity
    partly = ["" if i % 3 == 0 else label for i, label in enumerate(labels)]
    kept = [i for i in range(300) if i % 3]
    result = latent.cluster_agreement(torch.from_numpy(symbols), partly)
    assert result.n == len(kept)
    assert result.homogeneity == pytest.approx(
        sklearn.metrics.homogeneity_score([labels[i] for i in kept], symbols[kept])
    )


def test_homogeneity_extremes():
    labels = ["a", "b", "c", "d"] * 10
    finer = latent.cluster_agreement(torch.arange(40) % 8, labels)
    assert finer.homogeneity == pytest.approx(1) and finer.completeness == pytest.approx(2 / 3)
    coarser = latent.cluster_agreement(torch.arange(40) % 2, labels)
    assert coarser.completeness == pytest.approx(1) and coarser.homogeneity == pytest.approx(0.5)
    assert latent.cluster_agreement(torch.zeros(40, dtype=torch.long), labels).homogeneity == pytest.approx(0)


def test_homogeneity_by_hand():
    """H(label) = log 2; symbol 0 holds {a, a, a, b}, symbol 1 holds {b, b}: H(label|symbol) = 4/6 h(1/4)."""
    h = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    result = latent.cluster_agreement(torch.tensor([0, 0, 0, 0, 1, 1]), list("aaabbb"))
    assert result.homogeneity == pytest.approx(1 - 4 / 6 * h / math.log(2))


def test_few_sentences_with_many_symbols_are_no_warning():
    """scikit-learn takes them for a regression; warnings are errors here."""
    found = latent.cluster_agreement(torch.arange(24), ["a", "b"] * 12)
    assert found.homogeneity == pytest.approx(1) == found.chance_homogeneity
    assert found.adjusted_mutual_information == pytest.approx(0, abs=1e-6)


def test_random_codes_score_high_per_batch_and_nothing_over_the_corpus():
    """K = 125, batches of 30: the artefact that makes the paper's .59 / .56 on DailyDialog no target."""
    generator = np.random.default_rng(0)
    n = 7740
    # Shares like those of dialogue acts and of emotions.
    acts = [str(x) for x in generator.choice(list("idqc"), n, p=[0.45, 0.17, 0.29, 0.09])]
    shares = [0.83, 0.13, 0.016, 0.01, 0.004, 0.004, 0.006]
    emotions = [str(x) for x in generator.choice(list("nhsafdz"), n, p=shares)]
    few = torch.from_numpy(generator.integers(0, 20, n))  # as many codes as a trained model keeps in use
    for labels, expected in ((acts, 0.59), (emotions, 0.62)):
        assert latent.homogeneity_per_batch_as_published(few, labels) == pytest.approx(expected, abs=0.02)
        agreement = latent.cluster_agreement(few, labels, n_permutations=3)
        assert agreement.homogeneity < 0.02
        assert agreement.homogeneity == pytest.approx(agreement.chance_homogeneity, abs=0.006)
        assert abs(agreement.adjusted_mutual_information) < 0.01
    every = torch.from_numpy(generator.integers(0, 125, n))
    assert latent.homogeneity_per_batch_as_published(every, acts) > 0.85
    assert latent.cluster_agreement(every, acts, n_permutations=1).homogeneity < 0.04


def test_homogeneity_per_batch_is_the_mean_over_complete_batches():
    symbols = torch.tensor([0, 1, 0, 1, 0, 0, 0, 1])
    labels = list("abbaabba")
    parts = [sklearn.metrics.homogeneity_score(labels[i : i + 3], symbols[i : i + 3].numpy()) for i in (0, 3)]
    assert latent.homogeneity_per_batch_as_published(symbols, labels, 3) == pytest.approx(sum(parts) / 2)
    whole = sklearn.metrics.homogeneity_score(labels, symbols.numpy())
    assert latent.homogeneity_per_batch_as_published(symbols, labels, 30) == pytest.approx(whole)


def test_information_beyond_a_known_feature():
    """Symbols that repeat the feature tell nothing more; symbols that repeat the label tell all that is left."""
    labels, known = list("aabbccdd"), list("xxxxyyyy")
    found = latent.information_beyond(torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), labels, known)
    assert found.information == pytest.approx(0, abs=1e-12) and found.chance == pytest.approx(0, abs=1e-12)
    assert found.share == pytest.approx(0, abs=1e-12) and found.n == 8
    found = latent.information_beyond(torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), labels, known)
    assert found.information == pytest.approx(math.log(2)) and found.share == pytest.approx(1)
    assert 0 <= found.chance < found.information
    # A feature that settles the label leaves nothing to tell.
    assert latent.information_beyond(torch.arange(4), list("aabb"), list("xxyy")).share == 0.0


def test_information_beyond_by_hand():
    """Stratum x: labels and symbols agree in 3 of 4; stratum y: one label only. An unlabelled sentence is left out."""
    symbols = torch.tensor([0, 0, 1, 1, 0, 1, 5])
    labels, known = ["a", "a", "b", "a", "c", "c", ""], list("xxxxyyx")
    # I = H(label) - H(label | symbol) with shares 3/4, 1/4 and, given symbol 1, 1/2.
    inside = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) - 0.5 * math.log(2)
    found = latent.information_beyond(symbols, labels, known)
    assert found.information == pytest.approx(4 / 6 * inside) and found.n == 6
    assert found.share == pytest.approx(inside / -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


def test_information_beyond_equals_sklearns_in_each_stratum_and_chance_is_that_of_independent_symbols():
    generator = np.random.default_rng(3)
    known = generator.integers(0, 2, 4000)
    labels = (known + (generator.random(4000) < 0.3)) % 4
    # Symbols know the feature, and have a random part of 20 values: nothing beyond it but the estimate's bias.
    symbols = 20 * known + generator.integers(0, 20, 4000)
    texts, strata = [str(label) for label in labels], [str(value) for value in known]
    found = latent.information_beyond(torch.from_numpy(symbols), texts, strata, n_permutations=50)
    parts = [sklearn.metrics.mutual_info_score(labels[known == v], symbols[known == v]) for v in (0, 1)]
    expected = sum((known == v).mean() * part for v, part in enumerate(parts))
    assert found.information == pytest.approx(expected)
    bias = (20 - 1) * (2 - 1) * 2 / (2 * 4000)
    assert found.chance == pytest.approx(bias, rel=0.15) and found.information == pytest.approx(bias, rel=0.5)
    # The same symbols are informative where the feature is not held fixed.
    assert latent.cluster_agreement(torch.from_numpy(symbols), texts).homogeneity > 0.1
    # With the label in them they lie far above chance.
    informed = torch.from_numpy(symbols + 100 * labels * (generator.random(4000) < 0.5))
    found = latent.information_beyond(informed, texts, strata)
    assert found.information > 10 * found.chance


def test_wrong_labels_are_errors():
    with pytest.raises(DataError, match="1 labels and 2 symbols"):
        latent.cluster_agreement(torch.tensor([0, 1]), ["a"])
    with pytest.raises(DataError, match="none of the 2"):
        latent.cluster_agreement(torch.tensor([0, 1]), ["", ""])
    with pytest.raises(DataError, match="positive batch size"):
        latent.homogeneity_per_batch_as_published(torch.tensor([0]), ["a"], 0)


def test_kl_equals_torch_distributions():
    mean, log_variance = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0, 1)).sum(-1)
    torch.testing.assert_close(latent.kl_to_standard_normal(mean, log_variance), expected)


def test_active_units_counts_dimensions_that_vary():
    mean = torch.zeros(1000, 4)
    mean[::2, 1] = 1.0  # variance .25
    mean[::2, 2] = 0.19  # variance .009: not active
    mean[:, 3] = 7.0  # far from 0 but constant: not active
    assert latent.active_units(mean) == 1
    assert latent.active_units(mean, threshold=0.008) == 2
    with pytest.raises(DataError):
        latent.active_units(mean[:0])


def test_reconstruction_accuracy():
    target = [["a", "b", "c"], ["d"], ["e", "f"]]
    predicted = [["a", "x", "c"], ["d", "d"], ["e"]]
    result = latent.reconstruction_accuracy(predicted, target)
    assert result.token == pytest.approx((2 + 1 + 1) / 6)
    assert result.sentence == 0
    assert latent.reconstruction_accuracy(target, target) == latent.ReconstructionAccuracy(1.0, 1.0)
    with pytest.raises(DataError, match="one prediction per target"):
        latent.reconstruction_accuracy(predicted[:1], target)
    with pytest.raises(DataError, match="at least one target token"):
        latent.reconstruction_accuracy([[]], [[]])
