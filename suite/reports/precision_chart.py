"""Reports: the geometry of a precision map: the bits of every layer, in the order of the layers.

Positions are percentages of width and height, as in `study_charts.py`. Up to 8 bits the scale is even; 16 and 32 bits
stand one step further each, so that one layer in float does not press all others together.
"""

from __future__ import annotations

from dataclasses import dataclass

from suite.bits import FLOAT_BITS, BitAccount, LayerBits
from suite.reports.charts import Tick
from suite.reports.numbers import clean, number

EVEN, HALF = 8, 16
"""Bits up to which a step is a bit, and those that stand one step above."""
MARGIN = 0.6
"""Steps kept free above and below, for the cells of the widest and of no bits."""
CELL = 0.42
"""Half the height of a cell, in steps."""
MOST_COLUMNS = 48
"""Layers that share the width of the page; more of them have a width of their own, and the figure is scrolled."""
COLUMN_PIXELS = 14
MOST_LABELS = 8


@dataclass(frozen=True)
class Cell:
    """The weights of a layer that have one bit-width; the more of them, the darker."""

    y: float
    height: float
    opacity: float


@dataclass(frozen=True)
class Column:
    """One layer: a stem up to its average, and a cell for each width where widths vary."""

    x: float
    y: float
    cells: tuple[Cell, ...]
    is_float: bool
    label: str


@dataclass(frozen=True)
class PrecisionFigure:
    """One drawing. `pixels` is its width where it needs one of its own; vertical ticks use `x` for their height."""

    columns: tuple[Column, ...]
    width: float
    pixels: int | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    base: float
    average_y: float
    average_label: str
    varies: bool
    compressed: bool


def steps(bits: float) -> float:
    """How high a number of bits stands, in steps of the scale."""
    if bits <= EVEN:
        return bits
    if bits <= HALF:
        return EVEN + (bits - EVEN) / (HALF - EVEN)
    return EVEN + 1 + (bits - HALF) / (FLOAT_BITS - HALF)


def precision_figure(account: BitAccount) -> PrecisionFigure | None:
    """Draw the layers of an account; None where it has none."""
    layers = account.layers
    if not layers:
        return None
    ticks = _ticks(max(layer.widest for layer in layers))
    span = steps(ticks[-1]) + 2 * MARGIN

    def height(bits: float) -> float:
        return round(100.0 * (1.0 - (steps(bits) + MARGIN) / span), 3)

    def cell(bits: int, share: float) -> Cell:
        half = CELL * (steps(bits) - steps(bits - 1)) if bits else CELL
        return Cell(round(height(bits) - 100.0 * half / span, 3), round(200.0 * half / span, 3), _opacity(share))

    share = 100.0 / len(layers)
    columns = tuple(
        Column(
            x=round((index + 0.5) * share, 3),
            y=height(layer.bits),
            cells=tuple(cell(bits, part) for bits, part in layer.histogram.items()) if layer.varies else (),
            is_float=layer.convention is None,
            label=f"{index + 1}. {layer_name(layer)}: {bits_text(layer)}",
        )
        for index, layer in enumerate(layers)
    )
    average = account.average_weight_bits()
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, len(layers)) if len(layers) <= step * MOST_LABELS)
    shown = [index for index in range(len(layers)) if index == 0 or (index + 1) % every == 0]
    return PrecisionFigure(
        columns=columns,
        width=round(0.7 * share, 3),
        pixels=COLUMN_PIXELS * len(layers) if len(layers) > MOST_COLUMNS else None,
        x_ticks=tuple(Tick(columns[index].x, str(index + 1), "middle") for index in shown),
        y_ticks=tuple(Tick(height(bits), str(bits), "end") for bits in ticks),
        base=height(0),
        average_y=height(average),
        average_label=f"{number(average)} bits on average over all weights",
        varies=any(layer.varies for layer in layers),
        compressed=ticks[-1] > EVEN,
    )


def layer_name(layer: LayerBits) -> str:
    """A layer by its path: the role at the end of a site is the same for all of them."""
    return clean(layer.site.removesuffix(":weight"))


def bits_text(layer: LayerBits) -> str:
    """The bits of a layer in words: one number, or their average and how they are spread."""
    if layer.convention is None and not layer.varies:
        return "full precision"
    unit = "bit" if layer.bits == 1 else "bits"
    return f"{number(layer.bits)} {unit}" + (f" on average; {spread(layer)}" if layer.varies else "")


def spread(layer: LayerBits) -> str:
    """The bit-widths inside of a layer: `0: 12 %, 2: 55 %, 3: 33 %`."""
    return ", ".join(f"{bits}: {_percent(part)}" for bits, part in layer.histogram.items())


def _percent(part: float) -> str:
    return "< 1 %" if part < 0.005 else f"{100 * part:.0f} %"


def _ticks(widest: int) -> list[int]:
    """Bits with a line: every one that is even, and 16 and 32 where they are needed."""
    if widest <= EVEN:
        return list(range(max(widest, 2) + 1))
    return [*range(EVEN + 1), HALF, *([FLOAT_BITS] if widest > HALF else [])]


def _opacity(share: float) -> float:
    """Never so faint that a width which is there cannot be seen."""
    return round(0.15 + 0.85 * share, 3)
