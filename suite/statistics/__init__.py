"""Statistics: how sure a difference is. Paired intervals, McNemar's exact test, means over seeds. No torch."""

from suite.statistics.interval import Interval
from suite.statistics.paired import PairedTable, mcnemar_exact, newcombe, paired_bootstrap, paired_difference
from suite.statistics.proportions import wilson
from suite.statistics.seeds import SeedSummary, over_seeds

__all__ = [
    "Interval",
    "PairedTable",
    "SeedSummary",
    "mcnemar_exact",
    "newcombe",
    "over_seeds",
    "paired_bootstrap",
    "paired_difference",
    "wilson",
]
