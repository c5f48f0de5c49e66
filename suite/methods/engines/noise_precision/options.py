"""Methods, engine of precisions learned by noise: the options that its methods share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from suite.methods.api import option
from suite.methods.engines.training_options import TrainingOptions

if TYPE_CHECKING:
    from suite.methods.engines.noise_precision.learning import PrecisionRecipe
    from suite.methods.engines.recipe import Recipe

MOST_PRECISION = 8.0


@dataclass(frozen=True)
class NoiseOptions(TrainingOptions):
    """Options of methods with a precision phase, which those of every training are about, and a second phase."""

    penalty: float = option(
        1e-6, doc="factor λ of the bits above one, summed over all weights: the larger, the fewer bits", minimum=0.0
    )
    start_precision: float = option(
        MOST_PRECISION, doc="bits that every weight starts with", minimum=1.01, maximum=MOST_PRECISION
    )
    precision_learning_rate: float = option(
        1e-3, doc="constant rate of what decides the precisions, in an Adam of its own", minimum=0.0
    )
    rounding: Literal["nearest", "ceil"] = option(
        "nearest", doc="how learned precisions become whole: nearest (halves go down), or never fewer bits"
    )
    span: Literal["two", "unit"] = option(
        "two", doc="what the grids span in units of the scale: [-2, 2], as the bits' values have it, or [-1, 1]"
    )
    fine_tuning_epochs: int = option(
        25, doc="passes of the second phase, at precisions that stay; 0 leaves it out", minimum=0, maximum=100_000
    )
    fine_tuning_steps: int | None = option(
        None, doc="steps of the second phase, which replace its passes", minimum=1, maximum=100_000_000
    )
    fine_tuning_rate: float = option(0.01, doc="rate of the first step of the second phase", minimum=0.0)

    @classmethod
    def quick(cls) -> Self:
        # Noise at two bits is loud: with the statistics of the float model a large rate ends nowhere.
        return cls(
            steps=6, batch_size=32, learning_rate=1e-3, fine_tuning_steps=4, fine_tuning_rate=1e-3, start_precision=2.0
        )

    def precision_phase(self, *, per_layer: bool, allocate_zero: bool = False) -> PrecisionRecipe:
        """The recipe of the first phase."""
        from suite.methods.engines.noise_precision.learning import PrecisionRecipe
        from suite.quantizers.noise_precision import PrecisionRounding, Span

        return PrecisionRecipe(
            training=self.recipe(),
            penalty=self.penalty,
            learning_rate=self.precision_learning_rate,
            start=self.start_precision,
            rounding=PrecisionRounding(self.rounding),
            span=Span(self.span),
            per_layer=per_layer,
            allocate_zero=allocate_zero,
        )

    def fine_tuning(self) -> Recipe | None:
        """The recipe of the second phase, if there is one."""
        if self.fine_tuning_steps is None and self.fine_tuning_epochs == 0:
            return None
        return dataclasses.replace(
            self.recipe(),
            epochs=self.fine_tuning_epochs if self.fine_tuning_steps is None else None,
            steps=self.fine_tuning_steps,
            learning_rate=self.fine_tuning_rate,
        )


@dataclass(frozen=True)
class SmolOptions(NoiseOptions):
    """Options of methods with a precision for each weight, which may be none at all."""

    allocate_zero: bool = option(
        False, doc="remove weights that would get one bit and whose noise reaches zero: no bits, and the value 0"
    )
