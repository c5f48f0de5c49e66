"""Axes of the section "resource complexity": the data and the time a method may use."""

from __future__ import annotations

from suite.axes.axis import Axis, Cost, Observation, Section
from suite.axes.domains import Choice, Integer, Number

SECTION = Section.RESOURCE_COMPLEXITY

PAPER = "confounding-tradeoffs §2.4"

BEFORE_INFERENCE = Cost("None at inference: it is paid once, before the model is used.", PAPER)
METERED = Observation(how="the data meter, the only door through which a method gets data")


def _words(*words: str) -> dict[str, Cost]:
    return dict.fromkeys(words, BEFORE_INFERENCE)


AXES = (
    Axis(
        id="examples",
        section=SECTION,
        question="How many different examples may the method see?",
        domain=Integer(0, words=("full-training-set",)),
        default=1024,
        costs=_words("full-training-set"),
        other_cost=BEFORE_INFERENCE,
        observation=METERED,
    ),
    Axis(
        id="data_source",
        section=SECTION,
        question="Are the examples real or synthetic?",
        domain=Choice(("real", "synthetic")),
        default="real",
        costs=_words("real", "synthetic"),
        observation=METERED,
    ),
    Axis(
        id="labels",
        section=SECTION,
        question="Does the method see true labels, no labels, or labels given by the float model?",
        domain=Choice(("unlabeled", "labeled", "pseudo-labeled")),
        default="unlabeled",
        costs=_words("unlabeled", "labeled", "pseudo-labeled"),
        observation=METERED,
    ),
    Axis(
        id="training_transform",
        section=SECTION,
        question="Are the examples preprocessed as for testing, or augmented as for training?",
        domain=Choice(("test", "augmented")),
        default="test",
        costs=_words("test", "augmented"),
        observation=METERED,
    ),
    Axis(
        id="sampling",
        section=SECTION,
        question="Are batches drawn without or with replacement?",
        domain=Choice(("without-replacement", "with-replacement")),
        default="without-replacement",
        costs=_words("without-replacement", "with-replacement"),
        observation=METERED,
    ),
    Axis(
        id="subset",
        section=SECTION,
        question="Does every seed draw its own examples, or do all seeds share one subset?",
        domain=Choice(("per-seed", "fixed")),
        default="per-seed",
        costs=_words("per-seed", "fixed"),
        observation=METERED,
    ),
    Axis(
        id="incomplete_batches",
        section=SECTION,
        question="Is the last batch kept or dropped when the examples do not divide evenly?",
        domain=Choice(("kept", "dropped")),
        default="kept",
        costs=_words("kept", "dropped"),
        observation=METERED,
    ),
    Axis(
        id="checkpoint",
        section=SECTION,
        question="Which state of the model is reported: the last, or the best on some data?",
        domain=Choice(("last", "best-on-validation", "best-on-training", "best-on-test")),
        default="last",
        costs=_words("last", "best-on-validation", "best-on-training", "best-on-test"),
        observation=Observation(
            how="test images that enter the model contradict it; which other state was kept is the method's own word"
        ),
        describable_only=frozenset({"best-on-test"}),
    ),
    Axis(
        id="time_limit",
        section=SECTION,
        question="How long may the method take, in training epochs of the float model on the same machine?",
        domain=Number(above=0, most=1e6),
        default=1.0,
        costs={},
        other_cost=BEFORE_INFERENCE,
        observation=Observation(
            how="seconds of the method divided by the measured seconds of one float training epoch"
        ),
    ),
)
