"""Axes of the section "quantization method": grids, scales, ranges, and how they are learned."""

from __future__ import annotations

from suite.axes.axis import Axis, Cost, Observation, Section
from suite.axes.domains import Choice, Integer, Number

SECTION = Section.QUANTIZATION_METHOD

PAPER = "confounding-tradeoffs §2.1"
ARITHMETIC = "general knowledge of integer arithmetic"
DEFINITION = "by definition: only the numbers differ, not the operations"

SAME_OPERATIONS = Cost("None: the rule only decides the numbers stored as scale and zero point.", DEFINITION)
TRAINING_ONLY = Cost("None: it acts on the backward pass, and inference runs the forward pass.", DEFINITION)

STATISTICS_COST = Cost("None: a channel is moved and scaled by two constants, whatever they are.", ARITHMETIC)

RANGES = (
    "min-max",
    "ema-min-max",
    "percentile",
    "mse",
    "iterative-mse",
    "output-similarity",  # searched for what the layer that reads the tensor gives, not for the tensor itself
    "learned-step",
    "learned-min-max",
)
GIVEN_RANGES = ("unit", "three")
"""Whatever passes: [0, 1] and [0, 3], or [-1, 1] and [-3, 3] where values are negative."""
RANGE_COSTS = dict.fromkeys(RANGES, SAME_OPERATIONS)
RANGE_UNSEEN = Observation(
    why_not="a scale does not tell by which rule it was found; the audit only tests min-max, whose range is the data's"
)
MASK_UNSEEN = Observation(why_not="it shapes gradients during training and leaves no trace in the quantized model")

AXES = (
    Axis(
        id="grid",
        section=SECTION,
        question="Are the values of a tensor placed on evenly spaced levels?",
        domain=Choice(("uniform", "non-uniform")),
        default="uniform",
        costs={
            "uniform": Cost("Products and sums run directly on the integer codes.", ARITHMETIC),
            "non-uniform": Cost(
                "Codes must be decoded by a table or by shifts before they can be multiplied; not every chip can.",
                "confounding-tradeoffs §2",
            ),
        },
        observation=Observation(
            how="distances between the distinct values of each scale group are multiples of one step"
        ),
        describable_only=frozenset({"non-uniform"}),
    ),
    Axis(
        id="weight_symmetry",
        section=SECTION,
        question="Are the weight grids centred on zero (no zero point)?",
        domain=Choice(("symmetric", "asymmetric", "symmetric-without-zero")),
        default="symmetric",
        costs={
            "symmetric": Cost("No correction term: the zero point of the weights is 0.", PAPER),
            "asymmetric": Cost(
                "Every product needs the zero point times the sum of its inputs, which is only known at run time.",
                PAPER,
            ),
            "symmetric-without-zero": Cost(
                "No correction term, but no weight is zero; codes are odd numbers, one bit wider in a product.",
                ARITHMETIC,
            ),
        },
        observation=Observation(
            how="the integer codes of each weight, relative to the level that is zero, use symmetric limits"
        ),
    ),
    Axis(
        id="activation_symmetry",
        section=SECTION,
        question="Are the activation grids centred on zero (no zero point)?",
        domain=Choice(("asymmetric", "symmetric")),
        default="asymmetric",
        costs={
            "symmetric": Cost(
                "No correction term; after a ReLU the sign bit is lost unless the grid is unsigned.", PAPER
            ),
            "asymmetric": Cost(
                "Every product needs the zero point times the sum of its weights, which can be computed beforehand.",
                PAPER,
            ),
        },
        observation=Observation(
            how="levels seen at each site over several batches, their lowest, highest and zero level"
        ),
    ),
    Axis(
        id="weight_granularity",
        section=SECTION,
        question="Which weights share one scale?",
        domain=Choice(("per-channel", "per-tensor", "per-group", "per-weight")),
        default="per-channel",
        costs={
            "per-channel": Cost("One requantization factor per output channel instead of one per layer.", PAPER),
            "per-tensor": Cost("One requantization factor per layer: the least work.", PAPER),
            "per-group": Cost(
                "Partial sums are rescaled once per group inside every dot product, and a scale is stored per group.",
                ARITHMETIC,
            ),
            "per-weight": Cost(
                "Every product is rescaled on its own, so integer accumulation saves nothing.", ARITHMETIC
            ),
        },
        observation=Observation(how="the step found separately in every tensor, channel and group of the weights"),
    ),
    Axis(
        id="weight_group_size",
        section=SECTION,
        question="How many inputs of one output channel share a scale (only with per-group weights)?",
        domain=Integer(1, words=("none",)),
        default="none",
        costs={"none": Cost("None: there are no groups.", DEFINITION)},
        other_cost=Cost(
            "One scale to store and one rescaling per group; smaller groups mean more of both.", ARITHMETIC
        ),
        observation=Observation(how="the step is constant inside each group of that size and differs between groups"),
    ),
    Axis(
        id="activation_granularity",
        section=SECTION,
        question="Which activations share one scale?",
        domain=Choice(("per-tensor", "per-channel", "per-token")),
        default="per-tensor",
        costs={
            "per-tensor": Cost("One factor for all products of a layer: the least work.", PAPER),
            "per-channel": Cost(
                "Terms of one dot product carry different scales, so they cannot be summed as plain integers.", PAPER
            ),
            "per-token": Cost("One rescaling per row of the result.", ARITHMETIC),
        },
        observation=Observation(
            how="the step found separately in every channel and token of each quantized activation"
        ),
    ),
    Axis(
        id="activation_parameters",
        section=SECTION,
        question="Are activation scales fixed beforehand or computed from each input?",
        domain=Choice(("static", "dynamic")),
        default="static",
        costs={
            "static": Cost("None at run time: scales are constants.", ARITHMETIC),
            "dynamic": Cost("A pass over every activation to find its range before it can be quantized.", ARITHMETIC),
        },
        observation=Observation(how="steps of one site compared between batches of different magnitude"),
    ),
    Axis(
        id="weight_range",
        section=SECTION,
        of_method=True,
        question="How is the range (or rounding) of the weights chosen?",
        domain=Choice((*RANGES, "learned-rounding")),
        default="min-max",
        costs={**RANGE_COSTS, "learned-rounding": SAME_OPERATIONS},
        observation=RANGE_UNSEEN,
    ),
    Axis(
        id="activation_range",
        section=SECTION,
        of_method=True,
        question="How is the range of the activations chosen?",
        domain=Choice((*RANGES, *GIVEN_RANGES)),
        default="min-max",
        costs={**RANGE_COSTS, **dict.fromkeys(GIVEN_RANGES, SAME_OPERATIONS)},
        observation=RANGE_UNSEEN,
    ),
    Axis(
        id="percentile",
        section=SECTION,
        of_method=True,
        question="At which percentile are values clipped, where a range is a percentile?",
        domain=Number(above=50, most=100),
        default=99.99,
        costs={},
        other_cost=SAME_OPERATIONS,
        observation=RANGE_UNSEEN,
    ),
    Axis(
        id="symmetric_step",
        section=SECTION,
        question="What is the step of a symmetric grid over [-m, m]: m / qmax, or 2m / (2^b - 1)?",
        domain=Choice(("max-over-qmax", "two-max-over-levels")),
        default="max-over-qmax",
        costs=dict.fromkeys(("max-over-qmax", "two-max-over-levels"), SAME_OPERATIONS),
        observation=Observation(
            why_not="both rules give a legal step; only with min-max ranges could they be told apart"
        ),
    ),
    Axis(
        id="signed_range",
        section=SECTION,
        question="Do signed codes leave out the lowest one (narrow), or use all 2^b codes (full)?",
        domain=Choice(("narrow", "full")),
        default="narrow",
        costs={
            "narrow": Cost(
                "None; leaving out -2^(b-1) even lets two products be added in a narrower accumulator.", ARITHMETIC
            ),
            "full": Cost("None beyond the product of the two lowest codes needing one more bit.", ARITHMETIC),
        },
        observation=Observation(how="the lowest code seen on every signed grid"),
    ),
    Axis(
        id="extra_level",
        section=SECTION,
        question="Does rounding at the end of a symmetric grid emit 2^b + 1 levels?",
        domain=Choice(("absent", "present")),
        default="absent",
        costs={
            "absent": Cost("None: b bits hold every code.", ARITHMETIC),
            "present": Cost(
                "b bits cannot hold 2^b + 1 codes: hardware needs another bit or another result.", ARITHMETIC
            ),
        },
        observation=Observation(how="number of levels between the lowest and the highest code of every grid"),
    ),
    Axis(
        id="unsigned_activations",
        section=SECTION,
        question="Does a symmetric activation grid drop its sign bit where no value is negative (after ReLU, softmax)?",
        domain=Choice(("where-non-negative", "never")),
        default="where-non-negative",
        costs={
            "where-non-negative": Cost(
                "Signed weights times unsigned activations: a mixed-sign multiplier.", ARITHMETIC
            ),
            "never": Cost("After a ReLU half of the codes are never used: one bit is carried for nothing.", PAPER),
        },
        observation=Observation(how="the highest code at sites whose values are never negative"),
    ),
    Axis(
        id="gradient_mask",
        section=SECTION,
        of_method=True,
        question="Where do gradients pass: within the clipping range before rounding, or after it (half a step wider)?",
        domain=Choice(("not-applicable", "clip-then-round", "round-then-clip")),
        default="not-applicable",
        costs=dict.fromkeys(("not-applicable", "clip-then-round", "round-then-clip"), TRAINING_ONLY),
        observation=MASK_UNSEEN,
    ),
    Axis(
        id="step_gradient_scale",
        section=SECTION,
        of_method=True,
        question="By which count N is the gradient of a learned step scaled, g = 1 / sqrt(N qmax)?",
        domain=Choice(("not-applicable", "features", "all-elements", "elements-per-channel", "none")),
        default="not-applicable",
        costs=dict.fromkeys(
            ("not-applicable", "features", "all-elements", "elements-per-channel", "none"), TRAINING_ONLY
        ),
        observation=MASK_UNSEEN,
    ),
    Axis(
        id="batch_norm_statistics",
        section=SECTION,
        question="Do batch-norm statistics follow the training batches, rest, or get computed anew when training ends?",
        domain=Choice(("running", "frozen", "re-estimated")),
        default="running",
        costs=dict.fromkeys(("running", "frozen", "re-estimated"), STATISTICS_COST),
        observation=Observation(
            how="mean and variance that really normalize, compared with those of the float model: equal or not"
        ),
        before="running",
    ),
    Axis(
        id="initialization_examples",
        section=SECTION,
        question="From how many examples do activation ranges get their first value?",
        domain=Integer(1, words=("all",)),
        default="all",
        costs={"all": SAME_OPERATIONS},
        other_cost=SAME_OPERATIONS,
        observation=Observation(why_not="the data meter counts all examples together, not those of one stage"),
    ),
)
