"""What an evaluation collects until its report is written."""

from dataclasses import dataclass, field

from svebm_ext.files import JsonObject
from svebm_ext.measures.classification import ReliabilityBin


@dataclass
class Evaluation:
    """What is being collected: measures by documented key, reasons for missing ones, counts, warnings, texts.

    `summary` are the sentences that say what was found. `topics` are the symbols as entries of metrics.json, found on
    the texts that `topics_of` names, and `groups` those of symbols in two levels. `remarks` say by the key of a measure
    how it is to be read. `first` are texts that the report shows before the measures. `pages` are further files of the
    run's folder, by name.
    """

    metrics: JsonObject = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)
    topics: list[JsonObject] = field(default_factory=list)
    topics_of: str = ""
    groups: list[JsonObject] = field(default_factory=list)
    first: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    reliability: list[ReliabilityBin] = field(default_factory=list)
