"""Long texts of one's own, as bags of words."""

from __future__ import annotations

from dataclasses import replace

from svebm_ext.config import BagModel
from svebm_ext.presets.agnews import AGNEWS
from svebm_ext.presets.assistant import LINES
from svebm_ext.presets.schemes import Preset

# The networks of AG News by words (experiments.agnews), with the guides of preset lines: symbols, or classes of a
# few labels, come from the words, and f learns them. Counts have no order, so that nothing is cut and nothing is
# written. A text of thousands of words would pull z and F as far out as all others together: it counts as 200.
DOCUMENTS = replace(
    AGNEWS,
    preset="documents",
    data=replace(LINES.data, vocabulary_size=30_000, remove_stop_words=True),
    model=BagModel(
        latent_dim=16, n_categories=0, n_groups=0, prior_activation="leaky_relu", document_hidden=100,
        document_layers=0, document_words=200, class_words=True, word_dropout=0.3, sentence_features="words",
    ),
    objective=replace(
        AGNEWS.objective, mutual_information=10.0, energy_penalty=0.0, label_weight=0.0, labelled_bound=True,
        pseudo_label_weight=20.0, pseudo_labels="words",
    ),
    optimiser=replace(AGNEWS.optimiser, learning_rate=2e-3, schedule="cosine"),
    training=replace(
        AGNEWS.training, batch_size=100, labelled_batch_size=0, max_steps=1000, validate_every=125, select="bound"
    ),
)  # fmt: skip
DOCUMENTS_LABELLED = replace(
    DOCUMENTS,
    preset="documents-labelled",
    model=replace(DOCUMENTS.model, n_groups=1),  # symbols are the classes
    objective=replace(DOCUMENTS.objective, label_weight=20.0),
)

PRESETS: dict[str, Preset] = {
    "documents": ("SVEBM-IB on long texts of your own, as bags of words (--data.train FILE or folder)", DOCUMENTS),
    "documents-labelled": (
        "Classifier of your own long texts from a few labels (--data.train FILE --data.labelled FILE)",
        DOCUMENTS_LABELLED,
    ),
}
