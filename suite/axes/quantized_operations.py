"""Axes of the section "quantized operations": which parts of the network are on a grid at all."""

from __future__ import annotations

from suite.axes.axis import Axis, Cost, Observation, Section
from suite.axes.domains import Choice

SECTION = Section.QUANTIZED_OPERATIONS

PAPER = "confounding-tradeoffs §2.2"
ARITHMETIC = "general knowledge of integer arithmetic"
HARDWARE = "general knowledge of accelerators"

SAME_BITS = Cost("None beyond the rest of the network: one number format throughout.", ARITHMETIC)
EIGHT_BITS_WEIGHTS = Cost(
    "More memory where the rest is below 8 bits (first and last layer of ResNet-50 at 3 bits: 13 % more).",
    PAPER,
)
EIGHT_BITS_ACTIVATIONS = Cost("A second operand width for this layer, and more memory traffic around it.", HARDWARE)
FLOAT_WEIGHTS = Cost("This layer is stored with 32 bits per weight and needs floating-point products.", HARDWARE)
FLOAT_TENSOR = Cost("The tensor is stored and moved with 32 bits per value, and is converted at the border.", HARDWARE)
FLOAT_OPERATION = Cost("Floating-point hardware beside the integer units, and conversions on both sides.", PAPER)
INTEGER_OPERATION = Cost("Integer polynomials and shifts only, at the price of an approximation.", PAPER)
REQUANTIZED_OPERATION = Cost("Computed in floating point, but its result is stored and read at low precision.", PAPER)

LEVELS = Observation(how="levels and step of the tensor that really flows there")


def _layer(id: str, question: str, default: str, eight: Cost, full: Cost) -> Axis:
    """The four axes of the first and the last layer differ only in what they speak of."""
    words = (default, *(word for word in ("8-bit", "same", "full-precision") if word != default))
    return Axis(
        id=id,
        section=SECTION,
        question=question,
        domain=Choice(words),
        default=default,
        costs={"same": SAME_BITS, "8-bit": eight, "full-precision": full},
        observation=LEVELS,
    )


def _operation(id: str, question: str) -> Axis:
    """Softmax, normalization and activation functions: float, requantized, or integer only."""
    return Axis(
        id=id,
        section=SECTION,
        question=question,
        domain=Choice(("full-precision", "quantized", "integer-approximation")),
        default="full-precision",
        costs={
            "full-precision": FLOAT_OPERATION,
            "quantized": REQUANTIZED_OPERATION,
            "integer-approximation": INTEGER_OPERATION,
        },
        observation=Observation(how="levels and step of the output of every such operation"),
        describable_only=frozenset({"integer-approximation"}),
    )


AXES = (
    Axis(
        id="skip_connection",
        section=SECTION,
        question="Is the tensor that a skip path carries around a block on a grid?",
        domain=Choice(("quantized", "full-precision")),
        default="quantized",
        costs={
            "quantized": Cost("The carried tensor is small: low-bit codes wait in memory until the addition.", PAPER),
            "full-precision": Cost(
                "A wide tensor stays alive across the whole block and may spill from the cache to main memory.", PAPER
            ),
        },
        observation=Observation(how="levels of the skip operand of every residual addition"),
    ),
    Axis(
        id="residual_connection",
        section=SECTION,
        question="Are the result of the residual branch and the sum on a grid?",
        domain=Choice(("quantized", "full-precision")),
        default="quantized",
        costs={
            "quantized": Cost(
                "Both operands and the sum are low-bit codes: an integer addition with rescaling.", PAPER
            ),
            "full-precision": Cost(
                "The addition runs on wide accumulators, whose results must be kept until then.", PAPER
            ),
        },
        observation=Observation(how="levels of the branch operand and of the sum of every residual addition"),
    ),
    _layer(
        "first_layer_weights",
        "How precise are the weights of the first layer?",
        "8-bit",
        EIGHT_BITS_WEIGHTS,
        FLOAT_WEIGHTS,
    ),
    _layer(
        "last_layer_weights",
        "How precise are the weights of the last layer?",
        "8-bit",
        EIGHT_BITS_WEIGHTS,
        FLOAT_WEIGHTS,
    ),
    _layer(
        "first_layer_activations",
        "How precise is the output of the first layer?",
        "same",
        EIGHT_BITS_ACTIVATIONS,
        FLOAT_TENSOR,
    ),
    _layer(
        "last_layer_activations",
        "How precise is the input of the last layer?",
        "8-bit",
        EIGHT_BITS_ACTIVATIONS,
        FLOAT_TENSOR,
    ),
    Axis(
        id="network_input",
        section=SECTION,
        question="How precise is the input of the network as the first layer reads it?",
        domain=Choice(("8-bit", "full-precision", "same")),
        default="8-bit",
        costs={
            "8-bit": Cost("None for images, which arrive as 8-bit integers.", HARDWARE),
            "full-precision": Cost("The first layer multiplies floating-point inputs.", HARDWARE),
            "same": SAME_BITS,
        },
        observation=LEVELS,
    ),
    Axis(
        id="network_output",
        section=SECTION,
        question="Is the output of the network on a grid?",
        domain=Choice(("full-precision", "8-bit", "same")),
        default="full-precision",
        costs={
            "full-precision": Cost("The few results are read from the wide accumulator and scaled once.", HARDWARE),
            "8-bit": Cost("One requantization of the few results.", ARITHMETIC),
            "same": Cost("One requantization of the few results.", ARITHMETIC),
        },
        observation=LEVELS,
    ),
    Axis(
        id="shortcut_weights",
        section=SECTION,
        question="Are the 1x1 convolutions on skip paths quantized like the other layers?",
        domain=Choice(("same", "full-precision")),
        default="same",
        costs={"same": SAME_BITS, "full-precision": FLOAT_WEIGHTS},
        observation=Observation(how="levels and step of the weights of every convolution on a skip path"),
    ),
    Axis(
        id="pooling",
        section=SECTION,
        question="At which precision is average pooling computed, and is its result on a grid?",
        domain=Choice(("requantized", "full-precision", "low-precision-integer")),
        default="requantized",
        costs={
            "requantized": Cost("A wide accumulator for the mean, then one requantization of its result.", PAPER),
            "full-precision": Cost("The result travels on as a wide value.", PAPER),
            "low-precision-integer": Cost("Integer arithmetic only: the cheapest, and it loses information.", PAPER),
        },
        observation=Observation(how="levels and step of the input and the output of every average pooling"),
    ),
    Axis(
        id="elementwise_product",
        section=SECTION,
        question="Are the operands of elementwise products (squeeze-and-excitation gates and the like) on a grid?",
        domain=Choice(("quantized", "full-precision")),
        default="quantized",
        costs={
            "quantized": Cost("One integer product and one rescaling per element.", ARITHMETIC),
            "full-precision": FLOAT_OPERATION,
        },
        observation=Observation(how="levels and step of both operands of every elementwise product"),
    ),
    _operation("softmax", "How is softmax computed, and is its result on a grid?"),
    _operation("normalization", "How is normalization at run time (LayerNorm and the like) computed?"),
    _operation("activation_function", "How are smooth activation functions (GELU, SiLU and the like) computed?"),
    Axis(
        id="batch_norm",
        section=SECTION,
        question="Is batch normalization folded into the weights before they are quantized?",
        domain=Choice(("folded", "float")),
        default="folded",
        costs={
            "folded": Cost("None: it has become part of weights and bias.", ARITHMETIC),
            "float": Cost(
                "One multiplication and addition per output channel, unless merged into the requantization factor.",
                ARITHMETIC,
            ),
        },
        observation=Observation(how="batch normalization modules that are still called, and whether they still scale"),
    ),
)
