"""Models: the largest network that fits into a memory budget, at given bits, by scaling width alone or width and depth.

With alpha the factor by which parameters grow, P ~ d w²: scaling by width has w = alpha^(1/2), compound scaling has
w = d = alpha^(1/3) (edge-tradeoff, section 3). Channels and blocks are whole numbers, so what fits is decided by
networks that were really built: compound scaling finds the largest common multiplier whose network fits, keeps its
depth, and widens that as far as it fits still. Every step is a thousandth, finer than one channel of any layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from suite.errors import Unsupported
from suite.models.footprint import Dimensions, dimensions_of
from suite.models.scaling import NARROWEST, ONE, WIDEST, Scale

FLOAT_BITS = 32
_FIRST_STEP = 8  # thousandths: about half a channel of a layer of 64


class Scaling(StrEnum):
    """What grows: the width of every layer, or width and depth by the same factor."""

    WIDTH = "width"
    COMPOUND = "compound"

    def scale(self, thousandths: int) -> Scale:
        return Scale(thousandths, thousandths if self is Scaling.COMPOUND else ONE)


@dataclass(frozen=True)
class Network:
    """A scalable architecture on a task: its name, and the shapes that its size depends on."""

    base: str
    classes: int
    input_shape: tuple[int, ...]

    def dimensions(self, scale: Scale) -> Dimensions:
        return dimensions_of(scale.name(self.base), self.classes, self.input_shape)


@dataclass(frozen=True)
class Fit:
    """The largest network under a budget."""

    network: Network
    scaling: Scaling
    scale: Scale
    weight_bits: int
    activation_bits: int
    budget_bytes: Fraction

    @property
    def name(self) -> str:
        """The model id under which it can be trained and quantized."""
        return self.scale.name(self.network.base)

    @property
    def dimensions(self) -> Dimensions:
        return self.network.dimensions(self.scale)

    @property
    def footprint_bytes(self) -> int:
        return self.dimensions.footprint_bytes(self.weight_bits, self.activation_bits)

    @property
    def unused(self) -> float:
        """The part of the budget that is left: 1 - footprint / budget."""
        bits = self.dimensions.footprint_bits(self.weight_bits, self.activation_bits)
        return float(1 - Fraction(bits, 8) / self.budget_bytes)

    @property
    def alpha(self) -> float:
        """The factor by which parameters really grew."""
        return self.dimensions.parameters / self.network.dimensions(Scale()).parameters

    @property
    def compression(self) -> float:
        """Footprint of the unscaled float network over this one's."""
        return float_footprint(self.network) / self.footprint_bytes

    @property
    def compression_by_bits(self) -> float:
        """Footprint of this very network in float over its footprint at these bits."""
        return self.dimensions.footprint_bytes(FLOAT_BITS, FLOAT_BITS) / self.footprint_bytes


def activation_bits_for(weight_bits: int, k: int) -> int:
    """b_a = b_p + k; what is not quantized stays so."""
    return FLOAT_BITS if weight_bits == FLOAT_BITS else weight_bits + k


def float_footprint(network: Network) -> int:
    """Bytes of the unscaled network in float: what compression is measured against."""
    return network.dimensions(Scale()).footprint_bytes(FLOAT_BITS, FLOAT_BITS)


def fit(network: Network, scaling: Scaling, weight_bits: int, activation_bits: int, budget_bytes: Fraction) -> Fit:
    """The largest `network` by `scaling` whose footprint is at most the budget."""

    def fits(scale: Scale) -> bool:
        if not scale.allowed:
            return False
        return network.dimensions(scale).footprint_bits(weight_bits, activation_bits) <= 8 * budget_bytes

    guess = _nominal(network, scaling, weight_bits, activation_bits, 8 * budget_bytes)
    common = _largest(lambda value: fits(scaling.scale(value)), guess)
    what = f"{network.base} by {scaling} with {weight_bits} bits for weights and {activation_bits} for activations"
    if common is None:
        least = network.dimensions(scaling.scale(NARROWEST)).footprint_bytes(weight_bits, activation_bits)
        raise Unsupported(
            f"no {what} fits into {float(budget_bytes):,.0f} bytes: the smallest needs {least:,}",
            hint="raise the budget, or lower the bits",
        )
    found = scaling.scale(common)
    if scaling is Scaling.COMPOUND:
        widest = _largest(lambda width: fits(Scale(width, common)), common)
        found = Scale(widest or common, common)
        if network.dimensions(Scale(found.width)) == network.dimensions(found):
            found = Scale(found.width)  # every stage has the blocks of the base: no network goes by two names
    if not Scale(found.width + 1, found.depth).allowed:
        raise Unsupported(
            f"{float(budget_bytes):,.0f} bytes are more than the largest {what} takes",
            hint="lower the budget",
        )
    return Fit(network, scaling, found, weight_bits, activation_bits, budget_bytes)


def _nominal(network: Network, scaling: Scaling, weight_bits: int, activation_bits: int, budget_bits: Fraction) -> int:
    """Where the search begins: the multiplier at which P alpha b_p + A w b_a would be the budget, by bisection."""
    base = network.dimensions(Scale())
    low, high = NARROWEST, WIDEST
    while low < high:
        middle = (low + high + 1) // 2
        scale, width = scaling.scale(middle), middle / ONE
        nominal = base.parameters * scale.nominal * weight_bits + base.largest_activation * width * activation_bits
        low, high = (middle, high) if nominal <= budget_bits else (low, middle - 1)
    return low


def _largest(fits: Callable[[int], bool], guess: int) -> int | None:
    """The largest multiplier that fits; what fits ends somewhere, and is looked for from `guess` in growing steps."""
    step = _FIRST_STEP
    if fits(guess):
        good = guess
        while good < WIDEST and fits(min(good + step, WIDEST)):
            good, step = min(good + step, WIDEST), 2 * step
        bad = min(good + step, WIDEST + 1)
    else:
        bad = guess
        while bad > NARROWEST and not fits(max(bad - step, NARROWEST)):
            bad, step = max(bad - step, NARROWEST), 2 * step
        if bad == NARROWEST:
            return None
        good = max(bad - step, NARROWEST)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
