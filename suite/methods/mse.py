"""Mean squared error: every range, of weights and activations, is the one whose grid loses least, found by search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.errors import Unsupported
from suite.methods.api import POST_TRAINING, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.quantizers.ranges import Rule

RULES: dict[str, Rule] = {"omse": "omse", "brecq": "brecq", "qdrop": "qdrop"}


@dataclass(frozen=True)
class MseOptions(Options):
    """Options of `mse`."""

    search: Literal["squared-error", "omse", "brecq", "qdrop"] = option(
        "squared-error",
        doc="candidates and score: 100 shrink factors and the square; FQ-ViT's 90 factors and the square; BRECQ's 80 "
        "factors and the exponent 2.4; QDrop's 100 widths with every zero point and the exponent 2.4",
    )
    batch_size: int = option(128, doc="examples in one calibration pass", minimum=1, maximum=65_536)


class MeanSquaredError(Method):
    """[low, high] times the factor f with the least Σ|v − v̂|², f among 1.00, 0.99 … 0.01, one search a scale.

    Weights are searched whole, activations on a sample of 10⁶ of the observed values.
    """

    id = "mse"
    title = "Ranges of least squared error"
    paper = Paper(
        title="Low-bit Quantization of Neural Networks for Efficient Inference",
        authors="Yoni Choukroun, Eli Kravchik, Fan Yang, Pavel Kisilev",
        year=2019,
        url="https://arxiv.org/abs/1902.06822",
    )
    notes = (
        Note(
            about="candidates",
            ours="100 factors from 1.00 to 0.01; option search chooses others",
            code="FQ-ViT 1.00 to 0.11, BRECQ 1.00 to 0.21, QDrop 100 widths times all zero points",
        ),
        Note(
            about="exponent of the error",
            ours="2; option search = brecq or qdrop uses 2.4",
            paper="2",
            code="2 in FQ-ViT, 2.4 in BRECQ and QDrop",
        ),
        Note(
            about="rows that lie on one side of zero",
            ours="the range is extended to zero, which stays on the grid",
            code="BRECQ puts the whole grid beside zero, with a zero point outside the codes",
        ),
    )
    needs = Needs(examples=False)
    supports: ClassVar = {**POST_TRAINING, "weight_range": ("mse",), "activation_range": ("mse",)}
    recommended: ClassVar = {
        "weight_range": "mse",
        "activation_range": "mse",
        "weight_bits": 4,
        "activation_bits": 4,
        "time_limit": 30.0,
    }
    Options = MseOptions
    options: MseOptions

    def quantize(self, work: Workbench) -> None:
        rule = RULES.get(self.options.search)
        if rule is not None and work.setting["activation_parameters"] == "dynamic":
            raise Unsupported(
                f"search = {self.options.search} is a calibration and not made for every input anew",
                hint="use search = squared-error, or activation_parameters = static",
            )
        calibrate(work, weight_start=rule, activation_start=rule, batch_size=self.options.batch_size)


METHOD = MeanSquaredError
