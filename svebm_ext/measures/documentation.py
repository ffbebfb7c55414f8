"""Every measure that an evaluation may report: its key, unit, meaning and source."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from svebm_ext.files import JsonMapping


class MetricDocumentation(NamedTuple):
    """Unit of a measure, its meaning in a line, and where it is defined."""

    unit: str
    meaning: str
    source: str


#: Every key that metrics.json can have, in the order of the report. A key missing here is refused.
METRIC_DOCUMENTATION: dict[str, MetricDocumentation] = {
    "nll": MetricDocumentation(
        "nats/sentence",
        "-log p(x) by importance sampling from q(z|x), widened, with log_z_upper",
        "Burda et al. 2016; Eq. 4-6",
    ),
    "nll_proposal_scale": MetricDocumentation(
        "ratio", "standard deviations of the samples behind nll, in those of q(z|x)", "models.proposal"
    ),
    "ppl": MetricDocumentation("per token", "perplexity exp(NLL / tokens), ends of sentences counted", "of nll"),
    "bits_per_byte": MetricDocumentation(
        "bits",
        "NLL per UTF-8 byte of the text, ends not counted: compares tokenizations where unknown_share is 0; an unknown "
        "word counts as one symbol, so that it is too low elsewhere",
        "of nll",
    ),
    "unknown_share": MetricDocumentation("share", "words of the test split that the vocabulary lacks", "data.coverage"),
    "elbo": MetricDocumentation("nats/sentence", "lower bound of log p(x), with log_z_upper", "Eq. 10"),
    "entropy": MetricDocumentation(
        "nats/sentence", "entropy of the grammar that wrote the corpus: no model's NLL is below it", "data.grammar"
    ),
    "reconstruction_nll": MetricDocumentation("nats/sentence", "-log p(x|z) at z from q(z|x)", "Eq. 6, 10"),
    "reconstruction_nll_shuffled": MetricDocumentation(
        "nats/sentence",
        "-log p(x|z) at the z of another sentence of similar length: what z is worth",
        "evaluation.evaluator",
    ),
    "kl": MetricDocumentation(
        "nats/sentence", "KL(q(z|x) || N(0, I)); of discrete variables and mixtures, KL to their prior", "Eq. 10"
    ),
    "log_z_lower": MetricDocumentation(
        "nats", "log Z of the prior: lower end, annealed importance sampling from p0", "Neal 2001"
    ),
    "log_z_upper": MetricDocumentation(
        "nats", "log Z of the prior: upper end, annealing back from long chains of the prior", "Grosse et al. 2015"
    ),
    "log_z_ess_lower": MetricDocumentation("chains", "effective sample size behind log_z_lower", "Kong et al. 1994"),
    "log_z_ess_upper": MetricDocumentation("chains", "effective sample size behind log_z_upper", "Kong et al. 1994"),
    "chains_r_hat": MetricDocumentation(
        "ratio", "convergence of the chains behind log_z_upper: 1 is converged", "Vehtari et al. 2021"
    ),
    "nll_ess": MetricDocumentation("samples", "median effective sample size behind nll", "Kong et al. 1994"),
    "nll_annealed": MetricDocumentation(
        "nats/sentence",
        "NLL of some sentences by annealed importance sampling from q(z|x) to p(x, z)",
        "Wu et al. 2017",
    ),
    "nll_of_annealed": MetricDocumentation(
        "nats/sentence", "the estimate that nll is, of the same sentences", "of nll"
    ),
    "nll_as_published": MetricDocumentation(
        "nats/sentence", "the released program's estimate, which is no likelihood; for comparison only", "bpucla/ibebm"
    ),
    "bleu": MetricDocumentation("0-100", "corpus BLEU-4 of greedy reconstructions from mu(x)", "Papineni et al. 2002"),
    "bleu_signature": MetricDocumentation("text", "how BLEU was computed", "Post 2018 (sacrebleu)"),
    "bleu_without_speakers": MetricDocumentation("0-100", "bleu with speaker marks left out of both sides", "of bleu"),
    "reconstruction_average": MetricDocumentation(
        "0-100", "100 x cosine of mean word vectors, reconstructions and originals", "Mitchell & Lapata 2008"
    ),
    "reconstruction_extrema": MetricDocumentation(
        "0-100", "100 x cosine of each dimension's most extreme value over the words", "Forgues et al. 2014"
    ),
    "reconstruction_greedy": MetricDocumentation(
        "0-100", "100 x mean best cosine of each word with the other side's words, both ways", "Rus & Lintean 2012"
    ),
    "response_bleu": MetricDocumentation(
        "0-100",
        "corpus BLEU-4 of greedy responses at a z from the prior p(z|c), speaker marks as words",
        "Papineni et al. 2002; Table 3 of the paper",
    ),
    "response_bleu_without_speakers": MetricDocumentation(
        "0-100", "response_bleu with speaker marks left out of both sides", "of response_bleu"
    ),
    "response_average": MetricDocumentation("0-100", "as reconstruction_average, of responses", "Table 3 of the paper"),
    "response_extrema": MetricDocumentation("0-100", "as reconstruction_extrema, of responses", "Table 3 of the paper"),
    "response_greedy": MetricDocumentation("0-100", "as reconstruction_greedy, of responses", "Table 3 of the paper"),
    "consensus_bleu": MetricDocumentation(
        "0-100",
        "as response_bleu, of the greedy response that is most like those at other z from p(z|c)",
        "Kumar & Byrne 2004; models.consensus",
    ),
    "consensus_bleu_without_speakers": MetricDocumentation(
        "0-100", "consensus_bleu with speaker marks left out of both sides", "of consensus_bleu"
    ),
    "consensus_average": MetricDocumentation("0-100", "as reconstruction_average, of these responses", "of Table 3"),
    "consensus_extrema": MetricDocumentation("0-100", "as reconstruction_extrema, of these responses", "of Table 3"),
    "consensus_greedy": MetricDocumentation("0-100", "as reconstruction_greedy, of these responses", "of Table 3"),
    "reconstruction_accuracy": MetricDocumentation(
        "share", "tokens that the greedy reconstruction has at the same position", "measures.latent"
    ),
    "reconstruction_exact": MetricDocumentation("share", "sentences reconstructed exactly", "measures.latent"),
    "wkl": MetricDocumentation(
        "nats", "KL(word frequencies of samples || of the training set)", "Table 1 of the paper"
    ),
    "wkl_skipped": MetricDocumentation("words", "sample words that the training set lacks, left out of wkl", "of wkl"),
    "wkl_ancestral": MetricDocumentation(
        "nats", "the same of samples whose words are sampled from p(x|z), not the most probable ones", "of wkl"
    ),
    "rppl": MetricDocumentation(
        "per token", "perplexity of the test set under a language model trained on greedy samples", "Zhao et al. 2018"
    ),
    "rppl_as_published": MetricDocumentation(
        "per token",
        "rppl with the words of the test set that no sample has counted as unknown ones; for comparison only",
        "program of Zhao et al. 2018",
    ),
    "rppl_ancestral": MetricDocumentation(
        "per token", "the same of samples whose words are sampled from p(x|z)", "of rppl"
    ),
    "wkl_aggregate": MetricDocumentation(
        "nats",
        "wkl of greedy samples at z of the aggregate posterior: of a prior equal to it",
        "Tomczak & Welling 2018",
    ),
    "rppl_aggregate": MetricDocumentation("per token", "rppl of the same samples", "Tomczak & Welling 2018"),
    "grammar_accept": MetricDocumentation("share", "samples that the corpus's grammar accepts", "data.grammar"),
    "mi": MetricDocumentation(
        "nats",
        "I(z, y) over the whole set; at most log K; of several discrete variables the sum of each one's",
        "Eq. 21",
    ),
    "marginal_entropy": MetricDocumentation(
        "nats", "entropy of q(y) over the whole set; at most log K; of several variables the sum", "Eq. 21"
    ),
    "symbols_used": MetricDocumentation("symbols", "symbols that are most probable for some sentence", "of Eq. 3"),
    "active_units": MetricDocumentation(
        "dimensions", "dimensions of z whose posterior mean varies by more than 0.01", "Burda et al. 2016"
    ),
    "homogeneity": MetricDocumentation(
        "0-1", "1 - H(label|symbol) / H(label) over the whole set", "Rosenberg & Hirschberg 2007"
    ),
    "homogeneity_chance": MetricDocumentation(
        "0-1", "homogeneity of the same symbols, permuted at random", "measures.latent"
    ),
    "completeness": MetricDocumentation("0-1", "1 - H(symbol|label) / H(symbol)", "Rosenberg & Hirschberg 2007"),
    "v_measure": MetricDocumentation(
        "0-1", "harmonic mean of homogeneity and completeness", "Rosenberg & Hirschberg 2007"
    ),
    "adjusted_mutual_information": MetricDocumentation(
        "0-1", "mutual information of symbols and labels, 0 at chance level", "Vinh et al. 2010"
    ),
    "adjusted_mutual_information_tfidf": MetricDocumentation(
        "0-1",
        "the same of k-means of TF-IDF vectors, as many clusters as the model has symbols: the plain way",
        "judges.plain",
    ),
    "groups_used": MetricDocumentation("groups", "groups of symbols that some sentence's symbol is of", "prior.groups"),
    "mi_groups": MetricDocumentation("nats", "I(z, c) of the groups c of symbols over the whole set", "Eq. 21"),
    "homogeneity_groups": MetricDocumentation(
        "0-1", "homogeneity of the groups of the symbols", "Rosenberg & Hirschberg 2007"
    ),
    "homogeneity_groups_chance": MetricDocumentation(
        "0-1", "homogeneity of the same groups, permuted at random", "measures.latent"
    ),
    "adjusted_mutual_information_groups": MetricDocumentation(
        "0-1", "mutual information of groups and labels, 0 at chance level", "Vinh et al. 2010"
    ),
    "adjusted_mutual_information_groups_tfidf": MetricDocumentation(
        "0-1",
        "the same of k-means of TF-IDF vectors, as many clusters as there are groups: the plain way",
        "judges.plain",
    ),
    "information_beyond_question_mark": MetricDocumentation(
        "nats", "I(symbol; label | whether the sentence has a ?): what symbols tell beyond it", "measures.latent"
    ),
    "information_beyond_question_mark_chance": MetricDocumentation(
        "nats", "the same of symbols permuted among sentences with, and among those without", "measures.latent"
    ),
    "information_beyond_question_mark_share": MetricDocumentation(
        "0-1", "the information divided by H(label | whether the sentence has a ?)", "measures.latent"
    ),
    "homogeneity_per_batch_as_published": MetricDocumentation(
        "0-1", "mean over batches of 30: random codes score 0.6 and more; for comparison only", "bpucla/ibebm"
    ),
    "accuracy": MetricDocumentation("share", "sentences or documents classified correctly", "p(y|x), Eq. 3"),
    "accuracy_interval": MetricDocumentation(
        "share", "95 % interval of accuracy: lower and upper end; of fewer than 100 labelled examples", "Wilson 1927"
    ),
    "accuracy_tfidf": MetricDocumentation(
        "share",
        "accuracy of logistic regression of TF-IDF vectors, learnt from the same labelled texts: the plain way",
        "judges.plain",
    ),
    "calibration_error": MetricDocumentation("0-1", "expected calibration error, 15 bins", "Guo et al. 2017"),
    "modes_found": MetricDocumentation("modes", "modes of the known density that samples reach", "two_sample"),
    "share_at_modes": MetricDocumentation("share", "samples that lie at some mode", "two_sample"),
    "energy_distance": MetricDocumentation(
        "length^(1/2)", "energy distance of samples and data", "Szekely & Rizzo 2013"
    ),
    "energy_distance_p_value": MetricDocumentation(
        "0-1", "permutation test of samples and data being equally distributed", "Szekely & Rizzo 2013"
    ),
    "mmd": MetricDocumentation(
        "0-1.42", "maximum mean discrepancy of samples and data, Gaussian kernel", "Gretton et al. 2012"
    ),
    "true_nll": MetricDocumentation(
        "nats/point", "-log of the known density at generated points, mean; its entropy for perfect samples", "data"
    ),
    "true_entropy": MetricDocumentation("nats/point", "-log of the known density at its own points, mean", "data"),
}

#: Keys that metrics.json always has; null, with a reason, where they were not or could not be computed.
CORE_METRICS = (
    "nll", "ppl", "elbo", "log_z_lower", "log_z_upper", "bleu", "wkl", "mi", "kl", "active_units", "homogeneity",
)  # fmt: skip


def documented(document: JsonMapping) -> Iterator[tuple[str, object, str]]:
    """Measures of a metrics.json in their order: name, value and unit; `homogeneity.act` for the label act."""
    for key, value in document.items():
        if key in METRIC_DOCUMENTATION:
            unit = METRIC_DOCUMENTATION[key].unit
            if isinstance(value, Mapping):
                yield from ((f"{key}.{label}", item, unit) for label, item in value.items())
            else:
                yield key, value, unit


def value_text(value: object) -> str:
    """Value of a measure for people: four digits, both ends of an interval, a dash where there is none."""
    if isinstance(value, (list, tuple)):
        return " to ".join(map(value_text, value))
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
