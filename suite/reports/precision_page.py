"""Reports: what the page of a run says about bits: its precision map, its layers, and what each sum counts."""

from __future__ import annotations

from dataclasses import dataclass

from suite.bits import BitAccount, Convention, FeatureMap, LayerBits
from suite.reports import numbers
from suite.reports.precision_chart import PrecisionFigure, layer_name, precision_figure, spread

BLOCKS = " ▏▎▍▌▋▊▉█"
"""Eighths of a character's width."""
WIDEST_BAR = 8


@dataclass(frozen=True)
class LayerLine:
    """One layer, with what is told of it in words."""

    index: int
    name: str
    layer: LayerBits
    bar: str
    spread: str
    levels: str
    scales: str


@dataclass(frozen=True)
class Count:
    """One sum, and what it counts."""

    amount: float | int
    what: str


@dataclass(frozen=True)
class PrecisionPage:
    """Everything the templates and the command line print of an account."""

    account: BitAccount
    figure: PrecisionFigure | None
    layers: tuple[LayerLine, ...]
    averages: tuple[Count, ...]
    sizes: tuple[Count, ...]

    @property
    def varies(self) -> bool:
        return self.figure is not None and self.figure.varies

    @property
    def largest_map(self) -> FeatureMap | None:
        return max(self.account.feature_maps, key=lambda one: one.bytes, default=None)


def precision_page(account: BitAccount, *, scales_counted: bool) -> PrecisionPage:
    """Gather the part of a page that an account fills."""
    return PrecisionPage(
        account=account,
        figure=precision_figure(account),
        layers=tuple(_layer_line(index, layer) for index, layer in enumerate(account.layers, start=1)),
        averages=_averages(account),
        sizes=_sizes(account, scales_counted=scales_counted),
    )


def _averages(account: BitAccount) -> tuple[Count, ...]:
    """Bits of a weight under each convention, and with all that the weights take."""
    return (
        Count(account.average_weight_bits(), "signed, or unsigned with a sign bit: every sign counts"),
        Count(account.average_weight_bits(Convention.IMPLICIT_SIGN), "implicit sign: only magnitudes count"),
        Count(account.stored_weight_bits, "signed, with scales, zero points and map of the weights"),
    )


def _sizes(account: BitAccount, *, scales_counted: bool) -> tuple[Count, ...]:
    """Bytes, part by part, with and without scales; the sum that the card declares says so."""
    told = {True: "model, with scales and zero points", False: "model, without scales and zero points"}
    return (
        Count(account.weight_bytes, "weights, packed, without entropy coding"),
        Count(account.map_bytes, "map of the precisions inside of layers"),
        Count(account.scale_bytes, "scales and zero points"),
        Count(account.other_bytes, "other numbers in float: biases, normalization"),
        *(
            Count(account.model_bytes(scales=counted), what + ", as the card counts" * (counted is scales_counted))
            for counted, what in told.items()
        ),
        Count(account.float_bytes, "the same numbers in float"),
    )


def levels_text(layer: LayerBits) -> str:
    """Levels that were seen, of those that the bits hold."""
    if layer.levels is None or layer.convention is None:
        return numbers.NOTHING
    seen = numbers.number(layer.levels)
    return seen if layer.varies else f"{seen} of {numbers.number(layer.convention.levels(layer.widest))}"


def bar(bits: float) -> str:
    """Bits as a bar of blocks, for pages without drawings: one block a bit, and an arrow beyond eight."""
    eighths = round(8 * min(bits, WIDEST_BAR))
    return "█" * (eighths // 8) + BLOCKS[eighths % 8].strip() + "→" * (bits > WIDEST_BAR)


def scales_text(layer: LayerBits) -> str:
    """How many scales, and beside them how many zero points where there are any."""
    scales = numbers.number(layer.scales)
    return f"{scales} + {numbers.number(layer.zero_points)}" if layer.zero_points else scales


def _layer_line(index: int, layer: LayerBits) -> LayerLine:
    return LayerLine(
        index=index,
        name=layer_name(layer),
        layer=layer,
        bar=bar(layer.bits),
        spread=spread(layer) if layer.varies else "",
        levels=levels_text(layer),
        scales=scales_text(layer),
    )
