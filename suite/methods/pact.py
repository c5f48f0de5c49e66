"""PACT: the value at which activations are clipped is learned; weights pass the transform of DoReFa."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.methods.api import TANH_WEIGHTS, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.step_learning import train_on_tanh_weights
from suite.methods.engines.training_options import TrainingOptions


@dataclass(frozen=True)
class PactOptions(TrainingOptions):
    """Options of `pact`."""

    clip_start: float = option(10.0, doc="where the clipping value of every activation starts", minimum=1e-6)
    clip_decay: float = option(2e-4, doc="decay of the clipping values", minimum=0.0)
    clip_rate_ratio: float = option(1.0, doc="rate of the clipping values over that of the weights", minimum=0.0)
    form: Literal["rescaled", "unit-range"] = option("rescaled", doc="of the weights, as in method dorefa")


class Pact(Method):
    """x̂ = round(clip(x, 0, α) (2ᵇ − 1) / α) α / (2ᵇ − 1), trained in α and the weights.

    dx̂/dx = 1 where 0 ≤ x ≤ α; dx̂/dα = 1 where x ≥ α and 0 elsewhere: rounding adds nothing to it. α decays, so that it
    ends where finer steps are worth what is clipped. Weights are those of `dorefa`.
    """

    id = "pact"
    title = "PACT: learned clipping of activations"
    paper = Paper(
        title="PACT: Parameterized Clipping Activation for Quantized Neural Networks",
        authors="Jungwook Choi, Zhuo Wang, Swagath Venkataramani, Pierce I-Jen Chuang, Vijayalakshmi Srinivasan, "
        "Kailash Gopalakrishnan",
        year=2018,
        url="https://arxiv.org/abs/1805.06085",
    )
    notes = (
        Note(
            about="start of the clipping values",
            ours="10; option clip_start",
            paper="large enough to clip nothing at first",
            code="10 in one repository, 6 in a benchmark",
        ),
        Note(
            about="decay of the clipping values", ours="2e-4; option clip_decay", paper="an L2 penalty on each of them"
        ),
        Note(
            about="an activation exactly at an end of the range",
            ours="its gradient passes at both ends, and at the upper one goes to the clipping value, too",
            paper="it passes below the clipping value, and from it on goes to that",
            code="like ours",
        ),
        Note(
            about="activations that can be negative",
            ours="clipped to [-α, α] on a signed grid, where the lower end gives its gradient to α with the other sign",
            paper="activations follow a ReLU",
        ),
        Note(
            about="weights",
            ours="those of dorefa, rescaled; option form",
            paper="those of DoReFa, and in a sequel a grid from two moments",
        ),
        Note(
            about="first and last layer",
            ours="full precision, with the network's input; axes first_layer_weights, last_layer_weights, "
            "last_layer_activations and network_input",
            paper="full precision",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = {**TANH_WEIGHTS, "activation_range": ("learned-min-max",)}
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_symmetry": "symmetric-without-zero",
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "activation_range": "learned-min-max",
        "gradient_mask": "clip-then-round",
        "first_layer_weights": "full-precision",
        "last_layer_weights": "full-precision",
        "last_layer_activations": "full-precision",
        "network_input": "full-precision",
        "skip_connection": "full-precision",
        "residual_connection": "full-precision",
        "batch_norm": "float",
        "examples": "full-training-set",
        "initialization_examples": 128,
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = PactOptions
    options: PactOptions

    def quantize(self, work: Workbench) -> Claims:
        chosen = self.options
        recipe = chosen.recipe(step_rate_ratio=chosen.clip_rate_ratio, step_decay=chosen.clip_decay)
        return train_on_tanh_weights(
            work, recipe, rescaled=chosen.form == "rescaled", method=self.id, clip_start=chosen.clip_start
        )


METHOD = Pact
