"""Maximum feature map: activation bits that fill the memory of the largest feature map in every layer, unlearned."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from suite.errors import Unsupported
from suite.methods.api import POST_TRAINING, Claims, Method, Note, Options, Paper, Workbench, option
from suite.methods.engines.bit_learning.widths import allowed_widths
from suite.methods.engines.calibration import calibrate
from suite.plan import choose_bits

if TYPE_CHECKING:
    from suite.axes import Setting
    from suite.plan import CountedTensor, Plan


@dataclass(frozen=True)
class MaxFeatureMapOptions(Options):
    """Options of `max_feature_map`. The bound and the widths to choose from are axes, not options."""

    batch_size: int = option(
        128, doc="images in one calibration pass; ema-min-max averages over batches", minimum=1, maximum=65_536
    )


class MaximumFeatureMap(Method):
    """bits_l = the widest allowed width of at most M / elements_l, with M = max over l of elements_l x activation_bits.

    M bits hold every feature map of one example: the largest gets `activation_bits`, a map of half its values twice as
    many. Ranges follow from a rule over observed values, as in `rtn`; weights have the bits of their axes.
    """

    id = "max_feature_map"
    title = "Bits by maximum feature map"
    paper = Paper(
        title="Confounding Tradeoffs for Neural Network Quantization",
        authors="Sahaj Garg, Anirudh Jain, Joe Lou, Mitchell Nahmias",
        year=2021,
        url="https://arxiv.org/abs/2102.06366",
    )
    notes = (
        Note(
            about="the most bits of a feature map",
            ours="16, and none between 8 and 16: what a grid of the suite can have, or the axis allowed_bit_widths",
            paper="32",
        ),
        Note(
            about="first and last layer",
            ours="as the axes of the network's ends say; by default the input of the last layer has 8 bits, and the "
            "output of the first as many as fit",
            paper="the last layer at 8 bits, the first low, because its output is the largest feature map",
        ),
    )
    supports: ClassVar = {
        **POST_TRAINING,
        "skip_connection": ("quantized",),
        "residual_connection": ("quantized",),
        "first_layer_activations": ("same",),
        "activation_precision": ("mixed",),
        "activation_constraint": ("maximum-feature-map",),
    }
    recommended: ClassVar = {
        "weight_symmetry": "asymmetric",
        "activation_range": "percentile",
        "activation_precision": "mixed",
        "activation_bits": 4,
        "activation_constraint": "maximum-feature-map",
        "examples": 320,
        "time_limit": 10.0,
    }
    Options = MaxFeatureMapOptions
    options: MaxFeatureMapOptions

    def quantize(self, work: Workbench) -> Claims:
        bits = feature_map_bits(work.plan, work.setting)
        # Ranges are found for the grids that they are meant for: where a rule is a search, it depends on the bits.
        plan = choose_bits(work.model, work.plan, bits)
        calibrate(work, batch_size=self.options.batch_size)
        return Claims(
            average_weight_bits=plan.average_bits(weights=True, floats=True),
            average_activation_bits=plan.average_bits(weights=False, floats=True),
            figures={"feature_map_bits": {one.name: plan.bits_on(one) for one in plan.counted if not one.is_weight}},
        )


def feature_map_bits(plan: Plan, setting: Setting) -> dict[str, int]:
    """Name of quantizer -> bits, for all feature maps whose bits are the method's choice. Exact: no division rounds."""
    maps = [one for one in plan.counted if not one.is_weight]
    room = max((one.elements for one in maps), default=0) * Fraction(str(setting["activation_bits"]))
    for one in maps:
        _refuse_too_large(plan, one, room)
    bits: dict[str, int] = {}
    for choice in plan.choices():
        quantizers = [plan.quantizer(name) for name in choice.quantizers]
        elements = max(one.elements for one in choice.tensors)
        fitting = [width for width in allowed_widths(setting, quantizers) if width * elements <= room]
        if not fitting:
            raise Unsupported(
                f"allowed_bit_widths: no width that the grid of {choice.name} can have fits into "
                f"{float(room):,.0f} bits for {elements:,} values",
                hint="raise activation_bits, or allow narrower widths",
            )
        bits.update(dict.fromkeys(choice.quantizers, max(fitting)))
    return bits


def _refuse_too_large(plan: Plan, one: CountedTensor, room: Fraction) -> None:
    """A feature map whose bits other axes fix must fit as well."""
    fixed = [
        row for row in map(plan.row, one.sites) if row.quantizer is None or not plan.quantizer(row.quantizer).mixed
    ]
    largest = max(fixed, key=lambda row: row.bits, default=None)
    if largest is not None and largest.bits * one.elements > room:
        raise Unsupported(
            f"{largest.reason}: {one.name} then needs {largest.bits * one.elements:,} bits, and activation_bits = "
            f"{float(room / max(1, one.elements)):g} of it leave room for {float(room):,.0f}",
            hint="raise activation_bits, or change the axis named first",
        )


METHOD = MaximumFeatureMap
