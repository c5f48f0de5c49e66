"""Learned bit-widths: mixed precision after training, with bits per layer that follow the loss under an average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.methods.api import POST_TRAINING, Claims, Method, Needs, Note, Options, Paper, Refusal, Workbench, option
from suite.methods.engines.bit_learning import BitRecipe, learn_bits
from suite.methods.engines.bit_learning.asymmetry import bits_saved_by_asymmetry
from suite.methods.engines.bit_learning.grids import noting_ranges
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.recipe import Compilation
from suite.plan import quantizers_of
from suite.quantizers import RangeRule
from suite.quantizers.learned_bits import BitForm

# Rules that search for a range with the number of levels in hand; the engine's RANGE_RULES are the others.
SEARCHED = ("mse", "iterative-mse")


@dataclass(frozen=True)
class LearnedBitsOptions(Options):
    """Options of `learned_bits`. Targets and the widths to choose from are axes, not options."""

    form: Literal["log2", "linear"] = option("log2", doc="what is learned: u with b = 2^u bits, or b itself")
    steps: int = option(1500, doc="steps of learning", minimum=1, maximum=10_000_000)
    batch_size: int = option(32, doc="examples in one step", minimum=1, maximum=65_536)
    learning_rate: float = option(0.01, doc="rate of the bit-widths, with Adam", minimum=0.0)
    range_rate: float = option(0.01, doc="rate of learned ranges of activations, with Adam", minimum=0.0)
    penalty: float = option(2.0, doc="factor on every bit by which an average exceeds its target", minimum=0.0)
    start_bits: float = option(8.0, doc="where every bit-width starts", minimum=1.0, maximum=16.0)
    memory: float = option(
        0.9, doc="share of earlier batches in the moving accuracy that picks the state", minimum=0.0, maximum=0.9999
    )
    calibration_batch: int = option(
        128, doc="images in one calibration pass; ema-min-max averages over batches", minimum=1, maximum=65_536
    )
    compile: Literal["auto", "never", "always"] = option(
        "auto", doc="compile the step; auto: where it gains, and eagerly where it fails; always: or fail"
    )

    @classmethod
    def quick(cls) -> LearnedBitsOptions:
        return cls(steps=12, batch_size=16, learning_rate=0.2)


class LearnedBitWidths(Method):
    """min over B of E[-log p(y | x; B)] + λ max(avg(B_w) - target_w, 0) + λ max(avg(B_a) - target_a, 0).

    The weights are frozen. Every tensor of mixed precision has a continuous bit-width b, rounded to a width that its
    grid can have; its step is s = (high - low) / (2^b - 1), and v̂ = s round(clip(v, low, high) / s), with gradients
    passed straight through both roundings. Averages count every weight, and every value of all feature maps of one
    example, as often as there are elements. The state that is left never exceeds a target.
    """

    id = "learned_bits"
    title = "Learned bit-widths"
    paper = Paper(
        title="Confounding Tradeoffs for Neural Network Quantization",
        authors="Sahaj Garg, Anirudh Jain, Joe Lou, Mitchell Nahmias",
        year=2021,
        url="https://arxiv.org/abs/2102.06366",
    )
    needs = Needs(gradients=True, labels=True)
    notes = (
        Note(
            about="what is learned",
            ours="the logarithm: b = 2^u (option form; linear learns b itself)",
            paper="the number of bits",
            code="the logarithm of the number of bits, starting at 3",
        ),
        Note(
            about="factor of the penalty",
            ours="2 (option penalty)",
            code="2, and 10 where asymmetric and symmetric weights are compared",
        ),
        Note(
            about="weights of fully connected layers",
            ours="as the axis weight_granularity says, like all others",
            paper="scales per channel",
            code="one scale for the tensor",
        ),
        Note(
            about="range of activations",
            ours="as the axis activation_range says: learned-min-max trains it with the bits",
            paper="trained where weights and activations are learned together",
            code="trained for all four rows of its table of bits, not for its figures",
        ),
        Note(
            about="which state is reported",
            ours="as the axis checkpoint says, among the states within all targets; where there is none, the last one "
            "is narrowed: first the tensor whose continuous width is nearest to its next narrower one",
            paper="the highest moving average of training accuracy among the states within the targets",
            code="the same; the last state where there is none, which exceeds a target",
        ),
        Note(
            about="what an average counts",
            ours="all weights and feature maps on a grid, the network's input and others of fixed bits included; a "
            "feature map counts once and has one bit-width for all its readers",
            paper="weights and activation maps of all layers by their sizes, the first and the last layer included",
        ),
        Note(
            about="widths to choose from",
            ours="1 to 8 and 16 bits, or the axis allowed_bit_widths: nearest member, ties to the smaller",
            paper="any integer, or 2, 4 and 8",
            code="any integer, with 0 bits for a layer that is pruned",
        ),
        Note(
            about="gradient of a value exactly at an end of its range",
            ours="half to the value, half to the end",
            code="the same, from the derivative of minimum and maximum",
        ),
    )
    supports: ClassVar = {
        **POST_TRAINING,
        "weight_granularity": ("per-channel", "per-tensor", "per-group"),
        "activation_granularity": ("per-tensor", "per-channel", "per-token"),
        "activation_range": (*POST_TRAINING["activation_range"], "learned-min-max"),
        "gradient_mask": ("not-applicable", "clip-then-round"),
        "weight_precision": ("mixed", "fixed"),
        "activation_precision": ("mixed", "fixed"),
        "bit_width_granularity": ("per-layer",),
        "activation_constraint": ("none", "average-feature-map"),
        "labels": ("labeled", "pseudo-labeled"),
        "checkpoint": ("best-on-training", "last"),
    }
    refuses = (
        Refusal(
            {"weight_precision": ("fixed",), "activation_precision": ("fixed",)},
            why="it has no bits to learn",
            hint="set one of them to mixed, or use rtn",
        ),
        Refusal(
            {"weight_range": SEARCHED, "weight_precision": ("mixed",)},
            why="its range would change with the bits",
            hint="supported with mixed precision: min-max, ema-min-max, percentile",
        ),
        Refusal(
            {"activation_range": SEARCHED, "activation_precision": ("mixed",)},
            why="its range would change with the bits",
            hint="supported with mixed precision: min-max, ema-min-max, percentile, learned-min-max",
        ),
        Refusal(
            {"activation_parameters": ("dynamic",), "activation_precision": ("mixed",)},
            why="it learns on static ranges",
            hint="use activation_parameters=static, or activation_precision=fixed",
        ),
    )
    recommended: ClassVar = {
        "weight_symmetry": "asymmetric",
        "activation_range": "learned-min-max",
        "gradient_mask": "clip-then-round",
        "first_layer_weights": "same",
        "last_layer_weights": "same",
        "last_layer_activations": "same",
        "weight_precision": "mixed",
        "weight_bits": 4,
        "activation_precision": "mixed",
        "activation_bits": 4,
        "labels": "labeled",
        "checkpoint": "best-on-training",
        "time_limit": 300.0,
    }
    Options = LearnedBitsOptions
    options: LearnedBitsOptions

    def quantize(self, work: Workbench) -> Claims:
        chosen = self.options
        with noting_ranges(work.model) as ranges:
            calibrate(work, batch_size=chosen.calibration_batch)
        trained = {
            name
            for name, quantizer in quantizers_of(work.model).items()
            if quantizer.spec.range_rule is RangeRule.LEARNED_MIN_MAX
        }
        found = learn_bits(work, self.recipe(keep_best=work.setting["checkpoint"] != "last"), ranges, trained)
        return Claims(
            average_weight_bits=found.plan.average_bits(weights=True, floats=True),
            average_activation_bits=found.plan.average_bits(weights=False, floats=True),
            figures={
                "bits_saved_by_asymmetric_weights": bits_saved_by_asymmetry(ranges, work.plan),
                "kept_step": found.kept_step,
                "steps_within_targets": found.steps_within,
                "narrowed_after_learning": list(found.narrowed),
                "average_bits": found.averages,
                "loss": found.losses,
            },
        )

    def recipe(self, *, keep_best: bool) -> BitRecipe:
        """The recipe that the options describe."""
        chosen = self.options
        return BitRecipe(
            steps=chosen.steps,
            batch_size=chosen.batch_size,
            learning_rate=chosen.learning_rate,
            range_rate=chosen.range_rate,
            penalty=chosen.penalty,
            form=BitForm(chosen.form),
            start_bits=chosen.start_bits,
            memory=chosen.memory,
            keep_best=keep_best,
            compilation=Compilation(chosen.compile),
        )


METHOD = LearnedBitWidths
