"""Round to nearest: every range follows from a rule over observed values; nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass

from suite.methods.api import POST_TRAINING, Method, Needs, Note, Options, Paper, Workbench, option
from suite.methods.engines.calibration import calibrate


@dataclass(frozen=True)
class RtnOptions(Options):
    """Options of `rtn`."""

    batch_size: int = option(128, doc="images in one calibration pass; ema-min-max averages over batches", minimum=1)


class RoundToNearest(Method):
    """v̂ = s (clip(round(v / s) + z, qmin, qmax) − z), with s and z from the axes' range rules."""

    id = "rtn"
    title = "Round to nearest"
    paper = Paper(
        title="Quantizing deep convolutional networks for efficient inference: A whitepaper",
        authors="Raghuraman Krishnamoorthi",
        year=2018,
        url="https://arxiv.org/abs/1806.08342",
    )
    notes = (
        Note(
            about="step of a symmetric grid over [-m, m]",
            ours="m / qmax with the lowest code left out; axes symmetric_step and signed_range",
            code="2 m / (2^b - 1) in BRECQ and QDrop, which is also PTQ4ViT's m / (2^(b-1) - 0.5)",
        ),
        Note(
            about="how batches of activations combine",
            ours="the smallest and largest value of all batches; axis activation_range has the moving average",
            code="often a moving average where the text says min and max",
        ),
    )
    needs = Needs(examples=False)  # dynamic activation ranges and weights need none; a static range says so itself
    supports = POST_TRAINING
    Options = RtnOptions
    options: RtnOptions

    def quantize(self, work: Workbench) -> None:
        calibrate(work, batch_size=self.options.batch_size)


METHOD = RoundToNearest
