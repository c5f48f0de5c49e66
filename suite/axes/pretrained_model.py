"""Axes of the section "pretrained model": what was quantized."""

from __future__ import annotations

from suite.axes.axis import NOT_REPORTED, Axis, Cost, Observation, Section
from suite.axes.domains import Choice, Number, Text

SECTION = Section.PRETRAINED_MODEL

SAME_MODEL = Cost("None: the architecture, and so the work, is the same.", "confounding-tradeoffs §2.5")
INPUT_SIZE = Cost("None beyond the preprocessing itself: the network sees images of one size.", "by definition")

AXES = (
    Axis(
        id="baseline_weights",
        section=SECTION,
        question="Where do the float weights come from?",
        domain=Text(
            words=("task-default", "untrained"),
            refused=(NOT_REPORTED,),
            says="a text that names the source of the weights",
        ),
        default="task-default",
        costs={},
        other_cost=SAME_MODEL,
        observation=Observation(
            why_not="weights do not tell where they come from; their hash is part of a run's identity"
        ),
    ),
    Axis(
        id="baseline_accuracy",
        section=SECTION,
        question="What does the float model score?",
        domain=Number(words=("measured",), least=0, most=1),
        default="measured",
        costs={},
        other_cost=SAME_MODEL,
        observation=Observation(how="the float model is evaluated on the same test examples"),
    ),
    Axis(
        id="preprocessing",
        section=SECTION,
        question="How are inputs prepared: as the task says, or with the shorter side or both sides resized?",
        domain=Choice(("task-default", "shorter-side", "both-sides")),
        default="task-default",
        costs=dict.fromkeys(("task-default", "shorter-side", "both-sides"), INPUT_SIZE),
        observation=Observation(
            why_not="images arrive prepared; how is part of the task, and its hash part of a run's identity"
        ),
        describable_only=frozenset({"shorter-side", "both-sides"}),
    ),
)
