"""Methods, reconstruction engine: its settings, shared by all methods that learn rounding, and the published presets.

They are options of every such method and stand on its card; an option left out takes the value of the preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from suite.errors import SuiteError
from suite.methods.api import Note, Options, option

Preset = Literal["brecq", "qdrop"]

# What the public code of the two frames does, as far as it is a setting of this engine.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "brecq": {
        "unit": "block",
        "unit_input": "quantized",
        "keep_quantized": 0.5,
        "loss": "plain",
        "final_activation": "inside",
        "first_layer": "nearest",
        "iterations": 20_000,
        "activation_steps": "second-stage",
        "activation_iterations": 5_000,
        "activation_learning_rate": 4e-4,
        "activation_loss": "power-2.4",
        "weight_start": "brecq",
        "activation_start": "brecq",
    },
    "qdrop": {
        "unit": "block",
        "unit_input": "mixed",
        "keep_quantized": 0.5,
        "loss": "plain",
        "final_activation": "inside",
        "first_layer": "reconstructed",
        "iterations": 20_000,
        "activation_steps": "joint",
        "activation_iterations": 5_000,
        "activation_learning_rate": 4e-5,
        "activation_loss": "plain",
        "weight_start": "qdrop",
        "activation_start": "qdrop",
    },
}

# What the exact squared error of a layer is defined for; activation steps can only be learned afterwards.
GRAM_SETTINGS: Mapping[str, str] = {
    "unit": "layer",
    "unit_input": "quantized",
    "loss": "plain",
    "final_activation": "outside",
    "activation_steps": "second-stage",
}


@dataclass(frozen=True)
class ReconstructionOptions(Options):
    """The settings of reconstruction. Methods inherit them, add their own and may change a default."""

    preset: Literal["brecq", "qdrop"] = option(
        "qdrop", doc="the published frame that decides every setting below that is not given"
    )
    learning_rate: float = option(1e-3, doc="rate of what decides the rounding", minimum=0.0)
    schedule: Literal["constant", "cosine"] = option("constant", doc="how that rate falls, to zero or not at all")
    batch_size: int = option(32, doc="examples in one iteration", minimum=1, maximum=65_536)
    iterations: int | None = option(None, doc="iterations per unit that learn the rounding", minimum=1)
    unit: Literal["block", "layer"] | None = option(None, doc="what is reconstructed at once")
    unit_input: Literal["float", "quantized", "mixed"] | None = option(
        None,
        doc="what enters a unit: from the float network, from the one quantized so far, or an element-wise mix of both",
    )
    keep_quantized: float | None = option(
        None,
        doc="probability that an element keeps its quantized value, in a mixed input and in joint activation steps",
        minimum=0.0,
        maximum=1.0,
    )
    loss: Literal["plain", "fisher", "power-2.4"] | None = option(
        None, doc="distance of outputs: squared error, the same weighted by the Fisher diagonal, or |error|^2.4"
    )
    final_activation: Literal["inside", "outside"] | None = option(
        None, doc="whether a unit includes the activation function at its end"
    )
    first_layer: Literal["reconstructed", "nearest"] | None = option(
        None, doc="whether the first layer is learned or keeps rounding to nearest; a first block is always learned"
    )
    activation_steps: Literal["second-stage", "joint"] | None = option(
        None,
        doc="second-stage: weights learn among float activations, whose steps follow; joint: among quantized ones, "
        "dropped at random, whose steps are learned at the same time; only where activation_range is learned-step",
    )
    activation_iterations: int | None = option(None, doc="iterations per unit of the second stage", minimum=1)
    activation_learning_rate: float | None = option(None, doc="first rate of activation steps, cosine", minimum=0.0)
    activation_loss: Literal["plain", "fisher", "power-2.4"] | None = option(
        None, doc="distance of outputs in the second stage"
    )
    weight_start: Literal["brecq", "qdrop", "mse", "iterative-mse", "min-max"] | None = option(
        None, doc="the rule that sets weight scales before rounding is learned"
    )
    activation_start: Literal["brecq", "qdrop", "mse", "iterative-mse", "min-max", "percentile", "lsq"] | None = option(
        None, doc="the rule that sets activation scales before they are learned"
    )
    solver: Literal["sampled", "gram"] = option(
        "sampled",
        doc="sampled: batches through the unit; gram: the exact squared error of a layer over all examples at once, "
        "in front of its activation function",
    )
    compile: Literal["auto", "never", "always"] = option(
        "auto", doc="compile an iteration; auto: where it gains, and eagerly where it fails; always: or fail"
    )
    memory_mebibytes: int = option(
        4096, doc="memory for cached inputs and outputs of units; more lies in temporary files", minimum=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver == "gram":
            self._take_the_form_of_a_layer()
        for name, value in PRESETS[self.preset].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _take_the_form_of_a_layer(self) -> None:
        """The exact error exists for single layers in front of their activation functions, and for nothing else."""
        for name, value in GRAM_SETTINGS.items():
            given = getattr(self, name)
            if given is None:
                object.__setattr__(self, name, value)
            elif given != value and not (name == "unit_input" and given == "float"):
                raise SuiteError(
                    f"solver=gram computes the exact error of a layer and cannot have {name}={given}",
                    hint=f"leave {name} out, which makes it {value}, or choose solver=sampled",
                )

    @classmethod
    def quick(cls) -> Self:
        return cls(iterations=6, activation_iterations=3, batch_size=16, compile="never")


FRAME_NOTES = (
    Note(
        about="sampling of one iteration's examples",
        ours="the axis sampling decides, without replacement on a new card",
        code="BRECQ without, QDrop with replacement",
    ),
    Note(
        about="examples that activation scales start on",
        ours="256, the axis initialization_examples",
        code="64 in BRECQ, 256 in QDrop, which starts weights on 2",
    ),
    Note(
        about="gradient of activation steps",
        ours="divided by sqrt(n qmax) on a new card, the axis step_gradient_scale; Adam hardly sees it",
        code="QDrop divides, BRECQ does not",
    ),
    Note(
        about="rate of activation steps",
        ours="0.0004 in preset brecq, 0.00004 in qdrop; option activation_learning_rate",
        code="BRECQ's command line says 0.0004, its function 0.00004 like QDrop",
    ),
    Note(
        about="bits of the last layer's input",
        ours="8, the axis last_layer_activations",
        paper="8",
        code="BRECQ means 8, but sets a quantizer that is off inside residual blocks; QDrop 8",
    ),
    Note(
        about="the part of the network that a unit is",
        ours="a repeated part around residual connections, such as a transformer layer; else a layer; option unit",
        paper="a residual block, with its last activation function",
    ),
)
"""Where the frames of the presets and their papers differ; every method that learns rounding shows them."""


@dataclass(frozen=True)
class Regularizer:
    """What pushes a soft rounding to a decision: `factor` times the penalty, from the end of the warm-up on."""

    factor: float
    warmup: float
    start: float
    end: float
    schedule: Literal["linear", "cosine"] = "linear"
