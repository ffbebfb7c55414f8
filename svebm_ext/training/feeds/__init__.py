"""Training data by iteration: a batch is a pure function of (configuration, step), so resuming needs the step alone."""

from svebm_ext.training.feeds.base import Feed, TextFeed
from svebm_ext.training.feeds.documents import DocumentFeed, start_words
from svebm_ext.training.feeds.labels import class_ids, training_label
from svebm_ext.training.feeds.points import PointFeed
from svebm_ext.training.feeds.sentences import DialogFeed, SentenceFeed
from svebm_ext.training.feeds.share import LabelledOrder, Share

__all__ = [
    "FEEDS",
    "DialogFeed",
    "DocumentFeed",
    "Feed",
    "LabelledOrder",
    "PointFeed",
    "SentenceFeed",
    "Share",
    "TextFeed",
    "class_ids",
    "start_words",
    "training_label",
]

#: Feeds of texts by the name of the kind.
FEEDS: dict[str, type[TextFeed]] = {
    "sentences": SentenceFeed,
    "dialogs": DialogFeed,
    "documents-bow": DocumentFeed,
    "documents-gru": SentenceFeed,
}
