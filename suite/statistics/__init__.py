"""Statistics: how sure a difference is. Over examples, over seeds, over both, and over many comparisons. No torch."""

from suite.statistics.equivalence import Equality, equivalence
from suite.statistics.hierarchical import combined_difference, combined_score
from suite.statistics.interval import Interval
from suite.statistics.multiple import IntervalAt, Side, holm, sides
from suite.statistics.paired import PairedTable, mcnemar_exact, newcombe, paired_bootstrap, paired_difference
from suite.statistics.proportions import wilson
from suite.statistics.ranks import RankRange, rank_ranges
from suite.statistics.seeds import SeedSummary, over_seeds

__all__ = [
    "Equality",
    "Interval",
    "IntervalAt",
    "PairedTable",
    "RankRange",
    "SeedSummary",
    "Side",
    "combined_difference",
    "combined_score",
    "equivalence",
    "holm",
    "mcnemar_exact",
    "newcombe",
    "over_seeds",
    "paired_bootstrap",
    "paired_difference",
    "rank_ranges",
    "sides",
    "wilson",
]
