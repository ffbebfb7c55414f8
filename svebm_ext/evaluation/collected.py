"""What an evaluation collects until its report is written."""

from dataclasses import dataclass, field

from svebm_ext.files import JsonObject
from svebm_ext.measures.classification import ReliabilityBin


@dataclass
class Evaluation:
    """What is being collected: measures by documented key, reasons for missing ones, counts, warnings, texts.

    `summary` are the sentences that say what was found; lines that are indented belong to the one before. `pages` are
    further files of the run's folder, by name.
    """

    metrics: JsonObject = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    reliability: list[ReliabilityBin] = field(default_factory=list)
