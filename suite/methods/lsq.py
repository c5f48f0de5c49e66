"""LSQ, learned step size quantization: weights and quantization steps are trained together on the task's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.errors import Unsupported
from suite.methods.api import LEARNED_STEPS, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.methods.engines.recipe import Compilation, Optimizer, Recipe, Schedule
from suite.methods.engines.training import parted_doors, train
from suite.plan import quantizers_of
from suite.quantizers import RangeRule
from suite.quantizers.ranges import Rule


@dataclass(frozen=True)
class LsqOptions(Options):
    """Options of `lsq`. The order of clipping and rounding and the gradient scale are axes, not options."""

    initialization: Literal["lsq", "mse"] = option(
        "lsq",
        doc="where steps start: lsq is 2 mean|v| / sqrt(qmax), mse the least squared error",
    )
    epochs: int = option(30, doc="passes over the training examples", minimum=1, maximum=100_000)
    steps: int | None = option(None, doc="training steps, which replace epochs", minimum=1, maximum=100_000_000)
    batch_size: int = option(64, doc="examples in one training step", minimum=1, maximum=65_536)
    learning_rate: float = option(0.05, doc="rate of the first step", minimum=0.0)
    schedule: Literal["cosine", "constant", "step"] = option("cosine", doc="how the rate falls")
    optimizer: Literal["sgd", "adam", "adamw"] = option("sgd", doc="update rule; sgd is with Nesterov momentum")
    momentum: float = option(0.9, doc="momentum of sgd, first-moment decay of adam", minimum=0.0, maximum=0.9999)
    weight_decay: float = option(1e-4, doc="decay of weights; steps, biases and normalization never decay", minimum=0.0)
    step_rate_ratio: float = option(
        1.0, doc="rate of the steps over the rate of the weights; 0 freezes them", minimum=0.0
    )
    compile: Literal["auto", "never", "always"] = option(
        "auto", doc="compile the training step; auto: where it gains, and eagerly where it fails; always: or fail"
    )

    @classmethod
    def quick(cls) -> LsqOptions:
        return cls(steps=6, batch_size=32)


class LearnedStepSize(Method):
    """v̂ = s round(clip(v / s, qmin, qmax)), trained in v and s.

    The gradient of the step is round(v/s) − v/s inside the limits and the limit outside, times g = 1/√(N qmax); N and
    the order of clip and round are the axes `step_gradient_scale` and `gradient_mask`.
    """

    id = "lsq"
    title = "Learned step size quantization"
    paper = Paper(
        title="Learned Step Size Quantization",
        authors="Steven K. Esser, Jeffrey L. McKinstry, Deepika Bablani, Rathinakumar Appuswamy, Dharmendra S. Modha",
        year=2020,
        url="https://arxiv.org/abs/1902.08153",
    )
    notes = (
        Note(
            about="the count N in the gradient scale 1 / sqrt(N qmax)",
            ours="weights that share a step, features of one example; axis step_gradient_scale",
            paper="weights of the layer, features of the layer",
            code="one repository counts the whole tensor with the batch, others divide that by the channels",
        ),
        Note(
            about="where steps start",
            ours="2 mean|v| / sqrt(qmax), activations from the first examples; option initialization has the least "
            "squared error, which is far better at 6 bits and more",
            paper="2 mean|v| / sqrt(qmax), activations from the first batch",
            code="one repository leaves activation steps at 1",
        ),
        Note(
            about="a value exactly on a limit",
            ours="inside: its step gradient is zero; axis gradient_mask decides about half a step beyond",
            paper="outside, by its strict inequality",
            code="inside",
        ),
        Note(about="a step that crosses zero", ours="replaced by its absolute value, with a floor", code="the same"),
        Note(
            about="first and last layer",
            ours="8 bits; axes first_layer_weights and last_layer_weights",
            paper="8 bits",
            code="one repository leaves their weights at full precision, and quantizes the network's input",
        ),
        Note(
            about="one bit",
            ours="the two levels {-s, +s}: signed limits at one bit would leave {-s, 0}",
        ),
        Note(about="weight decay of the steps", ours="none"),
    )
    needs = Needs(gradients=True, labels=True)
    supports = LEARNED_STEPS
    recommended: ClassVar = {
        "weight_bits": 4,
        "activation_bits": 4,
        "weight_granularity": "per-tensor",
        "activation_symmetry": "symmetric",
        "weight_range": "learned-step",
        "activation_range": "learned-step",
        "gradient_mask": "clip-then-round",
        "step_gradient_scale": "features",
        "batch_norm": "float",
        "examples": "full-training-set",
        "initialization_examples": 128,
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = LsqOptions
    options: LsqOptions

    def quantize(self, work: Workbench) -> None:
        start: Rule = RangeRule.ITERATIVE_MSE if self.options.initialization == "mse" else "lsq"
        recipe = self.recipe()
        quantizers = quantizers_of(work.model).values()
        if not quantizers:
            raise Unsupported(
                "lsq has no step to learn: this setting puts no grid on any weight or activation",
                hint="lower weight_bits or activation_bits, or the bits of the first and last layer",
            )
        # From the training examples alone: validation examples that had set ranges could not choose the checkpoint.
        examples, _ = parted_doors(work, recipe)
        calibrate(work, weight_start=start, activation_start=start, data=examples)
        for quantizer in quantizers:
            quantizer.learn_step()
        train(work, recipe)

    def recipe(self) -> Recipe:
        """The training recipe that the options describe."""
        chosen = self.options
        return Recipe(
            epochs=chosen.epochs if chosen.steps is None else None,
            steps=chosen.steps,
            batch_size=chosen.batch_size,
            optimizer=Optimizer(chosen.optimizer),
            learning_rate=chosen.learning_rate,
            momentum=chosen.momentum,
            weight_decay=chosen.weight_decay,
            schedule=Schedule(chosen.schedule),
            step_rate_ratio=chosen.step_rate_ratio,
            compilation=Compilation(chosen.compile),
        )


METHOD = LearnedStepSize
