"""Percentile clipping: activations keep all but the rarest values at both ends, weights keep their whole range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from suite.errors import Unsupported
from suite.methods.api import POST_TRAINING, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate
from suite.quantizers.ranges import Rule

RULES: dict[str, Rule] = {"moving-average": "percentile-moving-average", "extremes": "percentile-extremes"}


@dataclass(frozen=True)
class PercentileOptions(Options):
    """Options of `percentile`. The percentile itself is an axis."""

    batches: Literal["pooled", "moving-average", "extremes"] = option(
        "pooled",
        doc="how batches combine: the percentile of all their values, or that of each batch, joined by a moving "
        "average (factor 0.01) or by their extremes",
    )
    batch_size: int = option(32, doc="examples in one calibration pass", minimum=1, maximum=65_536)


class Percentile(Method):
    """Range [P(100 − p), P(p)] of the observed values with zero kept inside, P interpolated linearly.

    A step and a zero point follow from the range as in rounding to nearest. A pool of more than 10⁷ values is sampled.
    """

    id = "percentile"
    title = "Percentile clipping of activations"
    paper = Paper(
        title="Fully Quantized Network for Object Detection",
        authors="Rundong Li, Yan Wang, Feng Liang, Hongwei Qin, Junjie Yan, Rui Fan",
        year=2019,
        url="https://openaccess.thecvf.com/content_CVPR_2019/html/Li_Fully_Quantized_Network_for_Object_Detection_CVPR_2019_paper.html",
    )
    notes = (
        Note(
            about="how batches combine",
            ours="one pool of all values; option batches chooses the others",
            code="one pool in low_precision_nn, a moving average over batches in FQ-ViT; the observer that "
            "low_precision_nn names a moving average keeps the extremes of its batches",
        ),
        Note(
            about="which percentile",
            ours="99.99 at both ends; axis percentile",
            paper="99.99 in confounding-tradeoffs",
            code="99.999 in FQ-ViT",
        ),
        Note(about="range of the weights", ours="their whole range; axis weight_range also takes percentile"),
    )
    needs = Needs(examples=False)
    supports: ClassVar = {
        **POST_TRAINING,
        "weight_range": ("min-max", "percentile"),
        "activation_range": ("percentile",),
    }
    recommended: ClassVar = {
        "activation_range": "percentile",
        "weight_symmetry": "asymmetric",
        "activation_bits": 4,
        "examples": 320,
        "time_limit": 10.0,
    }
    Options = PercentileOptions
    options: PercentileOptions

    def quantize(self, work: Workbench) -> None:
        rule = RULES.get(self.options.batches)
        if rule is not None and work.setting["activation_parameters"] == "dynamic":
            raise Unsupported(
                f"batches = {self.options.batches} joins several batches, and dynamic ranges come from one input",
                hint="use batches = pooled, or activation_parameters = static",
            )
        calibrate(work, activation_start=rule, batch_size=self.options.batch_size)


METHOD = Percentile
