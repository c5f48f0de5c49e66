"""BSQ: weights are trained as planes of bits, and a group lasso empties whole planes until they are dropped."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from suite.bits import Convention, average
from suite.errors import SuiteError
from suite.methods.api import HALF_RANGE, LEARNED_STEPS, Claims, Method, Needs, Note, Paper, Workbench, option
from suite.methods.engines.bit_sparsity import Sparsified, SparsityRecipe, sparsify_bits
from suite.methods.engines.step_learning import training_figures
from suite.methods.engines.training_options import TrainingOptions
from suite.methods.engines.trajectories import evenly_spread, points_of_each, rounded
from suite.plan import CountedTensor, Plan

if TYPE_CHECKING:
    from suite.methods.engines.recipe import Recipe

log = logging.getLogger("suite.bsq")

MOST_PLANES = 7
"""With the sign 8 bits; the next grid there is has 16."""
POINTS_OF_ONE = 100


@dataclass(frozen=True)
class BsqOptions(TrainingOptions):
    """Options of `bsq`; those of every training are about the first phase, which empties planes."""

    penalty: float = option(1.0, doc="factor of the group lasso: the larger, the fewer bits are left", minimum=0.0)
    start_planes: int = option(
        MOST_PLANES,
        doc="planes of bits that every weight starts with, and never exceeds",
        minimum=1,
        maximum=MOST_PLANES,
    )
    adjust_every: int = option(
        5, doc="passes from one adjustment of precisions to the next; steps, where steps are given", minimum=1
    )
    adjust_at_start: bool = option(True, doc="drop planes that are empty before training, too")
    reweigh: bool = option(True, doc="let the norms of a weight's planes count by its bits, as large weights cost more")
    activations: Literal["throughout", "fine-tuning"] = option(
        "throughout", doc="when activations are on their grids: in both phases, or in the second only"
    )
    fine_tuning_epochs: int = option(
        15, doc="passes of the second phase, at precisions that stay; 0 leaves it out", minimum=0, maximum=100_000
    )
    fine_tuning_steps: int | None = option(
        None, doc="steps of the second phase, which replace its passes", minimum=1, maximum=100_000_000
    )
    fine_tuning_rate: float = option(0.01, doc="rate of the first step of the second phase", minimum=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        phase, unit = (self.epochs, "passes") if self.steps is None else (self.steps, "steps")
        if self.adjust_every > phase:
            raise SuiteError(
                f"option 'adjust_every' is {self.adjust_every}, but the first phase has {phase} {unit}",
                hint=f"use at most {phase}, so that precisions are adjusted before it ends",
            )

    @classmethod
    def quick(cls) -> Self:
        return cls(steps=6, batch_size=32, adjust_every=2, fine_tuning_steps=4, start_planes=1)

    def sparsity(self) -> SparsityRecipe:
        """The recipe of both phases."""
        planes = self.recipe()
        return SparsityRecipe(
            planes=planes,
            fine_tuning=self._fine_tuning(planes),
            penalty=self.penalty,
            interval=self.adjust_every,
            start_planes=self.start_planes,
            reweigh=self.reweigh,
            adjust_at_start=self.adjust_at_start,
            late_activations=self.activations == "fine-tuning",
        )

    def _fine_tuning(self, planes: Recipe) -> Recipe | None:
        if self.fine_tuning_steps is None and self.fine_tuning_epochs == 0:
            return None
        return dataclasses.replace(
            planes,
            epochs=self.fine_tuning_epochs if self.fine_tuning_steps is None else None,
            steps=self.fine_tuning_steps,
            learning_rate=self.fine_tuning_rate,
        )


class BitLevelSparsity(Method):
    """ŵ = S Q(Σⱼ (pⱼ − nⱼ) 2ⁿ⁻¹⁻ʲ / (2ⁿ − 1)), trained in S and in planes pⱼ, nⱼ ∈ [0, 2], j = 0 … n − 1.

    Q rounds to n bits and a sign, and passes gradients as they are. The loss gains α Σ_l (N_l n_l / N) GL_l, with the
    group lasso GL = Σⱼ √(10⁻⁸ + ‖pⱼ‖² + ‖nⱼ‖²) of layer l, its N_l weights in n_l planes, and N weights in all. Now and
    then planes are made binary again and empty ones dropped, from the top and from the bottom. Then v ∈ [−1, 1] is
    trained in ŵ = S Q(v), with bits that stay. What is left is the narrow symmetric grid of n + 1 bits.
    """

    id = "bsq"
    title = "Bit-level sparsity quantization"
    paper = Paper(
        title="BSQ: Exploring Bit-Level Sparsity for Mixed-Precision Neural Network Quantization",
        authors="Huanrui Yang, Lin Duan, Yiran Chen, Hai Li",
        year=2021,
        url="https://arxiv.org/abs/2102.10462",
    )
    notes = (
        Note(
            about="planes at the start",
            ours="7, because the sign makes them the 8 bits of a grid; option start_planes",
            paper="8",
            code="8, which are 9 bits with the sign",
        ),
        Note(
            about="how bits are counted",
            ours="n planes and a sign have 2^(n+1) - 1 levels and count n + 1 bits; the record's figures also say n, "
            "as average_planes",
            paper="n",
            code="n; others who compare with it add the sign",
        ),
        Note(
            about="weights without a bit left",
            ours="zero altogether, 0 bits; until the first phase ends one empty plane stays, and may fill again",
            code="one plane stays and counts 1 bit",
        ),
        Note(
            about="passes between two adjustments",
            ours="a sixth of the first phase; option adjust_every. The last one ends the phase",
            code="50 of 350, with 100 suggested in one version, and once before training (option adjust_at_start)",
        ),
        Note(
            about="the size of a layer in the penalty",
            ours="its share of all weights times its planes as they are now; option reweigh leaves it out",
            paper="the same, and compares both",
            code="the same for weights; the biases of convolutions lack it",
        ),
        Note(
            about="biases",
            ours="in float, as everywhere in the suite",
            code="planes of their own in linear layers",
        ),
        Note(
            about="what is limited after an update",
            ours="planes to [0, 2], in the second phase values to [-1, 1]; a scale that crossed zero is turned back",
            paper="planes to [0, 2]",
            code="in the first phase everything but scales and normalizations of one name, also shortcut convolutions, "
            "which become non-negative; a mistake that is not repeated",
        ),
        Note(
            about="shortcut convolutions",
            ours="like all layers; axis shortcut_weights",
            code="not counted",
        ),
        Note(
            about="what decays",
            ours="planes, and in the second phase values; never scales, biases and normalization",
            code="everything that is trained",
        ),
        Note(
            about="activations",
            ours="as the axes say, in networks as they are, without ReLU6. Recommended are learned steps, as in lsq, "
            "since ranges shrink with the planes; activation_parameters set to dynamic is the code's",
            paper="ReLU6, and PACT at 3 bits and fewer",
            code="ReLU6, then the largest value of each batch, in training and in the test; 8 bits behind the first "
            "layer, float for the network's input, the residual branch and the last layer",
        ),
        Note(
            about="how strong the penalty is",
            ours="1, for 30 passes of the digits. It acts through the sum of all rates, and against the number of "
            "weights in a plane: a shorter training or a larger layer needs more; option penalty",
            code="0.01, for 350 passes of CIFAR-10 at ten times the rate",
        ),
        Note(
            about="which state of the second phase is kept",
            ours="the last",
            code="the best on the test examples",
        ),
        Note(
            about="a bound on the average",
            ours="weight_bits declares it, and the penalty has to keep it: an average above is reported by the method "
            "and contradicted by the audit",
            paper="none: the penalty is swept",
        ),
    )
    needs = Needs(gradients=True, labels=True)
    supports: ClassVar = {
        **LEARNED_STEPS,
        "weight_symmetry": ("symmetric",),
        "weight_granularity": ("per-tensor",),
        "weight_range": ("learned-min-max",),
        "activation_range": ("min-max", "percentile", "learned-step", HALF_RANGE),
        "activation_granularity": ("per-tensor", "per-channel", "per-token"),
        "activation_parameters": ("dynamic", "static"),
        "step_gradient_scale": ("not-applicable", "features", "all-elements", "elements-per-channel", "none"),
        "signed_range": ("narrow",),
        "symmetric_step": ("max-over-qmax",),
        "weight_precision": ("mixed",),
        "allowed_bit_widths": ("any-integer",),
        "bit_width_granularity": ("per-layer",),
        "checkpoint": ("last",),
    }
    recommended: ClassVar = {
        "weight_granularity": "per-tensor",
        "weight_range": "learned-min-max",
        "weight_precision": "mixed",
        "weight_bits": 4,
        "first_layer_weights": "same",
        "last_layer_weights": "same",
        "activation_symmetry": "symmetric",
        "activation_range": "learned-step",
        "activation_bits": 4,
        "gradient_mask": "clip-then-round",
        "step_gradient_scale": "features",
        "initialization_examples": 128,
        "batch_norm": "float",
        "examples": "full-training-set",
        "labels": "labeled",
        "time_limit": 300.0,
    }
    Options = BsqOptions
    options: BsqOptions

    def quantize(self, work: Workbench) -> Claims:
        found = sparsify_bits(work, self.options.sparsity())
        target = float(str(work.setting["weight_bits"]))
        mean = average_bits(found.plan, found.planes)
        if mean > target:
            log.warning(
                "penalty %g left %.3f bits on average, above the declared %g: raise it, or train longer",
                self.options.penalty, mean, target,
            )  # fmt: skip
        return Claims(
            average_weight_bits=average_bits(found.plan, found.planes, floats=True),
            figures={
                "average_bits": rounded(mean),
                "average_planes": rounded(average_bits(found.plan, found.planes, Convention.IMPLICIT_SIGN)),
                "within_bound": mean <= target,
                "precision": precision_figures(found),
                "training": training_figures(found.training),
                **({} if found.fine_tuning is None else {"fine_tuning": training_figures(found.fine_tuning)}),
            },
        )


def average_bits(
    plan: Plan, planes: Mapping[str, int], convention: Convention = Convention.SIGNED, *, floats: bool = False
) -> float:
    """Bits of a weight over all weights on grids, or with `floats` over all weights; `planes` by quantizers' names.

    A weight of n planes and a sign counts n + 1 bits, one without planes none; those that `planes` does not name count
    the bits of the plan.
    """

    def bits_of(tensor: CountedTensor) -> int:
        names = [quantizer.name for quantizer in plan.quantizers_on(tensor) if quantizer.name in planes]
        code = Convention.IMPLICIT_SIGN.with_sign(planes[names[0]]) if names else plan.bits_on(tensor)
        return convention.of_code(code, signed=True)

    counted = [one for one in plan.counted if one.is_weight and (floats or plan.quantizers_on(one))]
    return average((tensor.elements, bits_of(tensor)) for tensor in counted)


def precision_figures(found: Sparsified) -> dict[str, object]:
    """Planes of every weight after each adjustment, and the averages with signs and without, thinned and rounded."""
    taken = found.precisions
    shown = evenly_spread(len(taken.after), points_of_each(len(found.planes), POINTS_OF_ONE))
    at = [taken.planes[place] for place in shown]
    return {
        "after": [taken.after[place] for place in shown],
        "planes": {name: [planes[name] for planes in at] for name in found.planes},
        "average_bits": [rounded(average_bits(found.plan, planes)) for planes in at],
        "average_planes": [rounded(average_bits(found.plan, planes, Convention.IMPLICIT_SIGN)) for planes in at],
    }


METHOD = BitLevelSparsity
