"""Methods, bit-learning engine: the bit-widths of all tensors of mixed precision as one vector, and their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan import CountedTensor, Plan, PlannedQuantizer
from suite.quantizers.learned_bits import (
    BitForm,
    average_bits,
    bits_of,
    excess_penalty,
    learned_of,
    nearest_width,
)
from suite.quantizers.spec import BIT_WIDTHS

FLOAT_BITS = 32


@dataclass(frozen=True)
class Bound:
    """One average that must not exceed its target: of all weights, or of all values of feature maps.

    `elements` [n] counts the tensors whose widths are learned, with zeros for those that the bound does not concern;
    `fixed_bits` is the sum of elements x bits of the others, `fixed_elements` that of their elements. All sums are
    exact: doubles that hold integers.
    """

    what: str
    target: float
    elements: Tensor
    fixed_bits: float
    fixed_elements: float

    def average(self, widths: Tensor) -> Tensor:
        """Bits on average; float64, with the gradient that leads to the widths."""
        return average_bits(
            widths.double(), self.elements, fixed_bits=self.fixed_bits, fixed_elements=self.fixed_elements
        )

    def met(self, widths: Tensor) -> Tensor:
        """Whether the average is at most the target: a truth value on the device."""
        room = self.target * (self.elements.sum() + self.fixed_elements)
        return (widths.double() * self.elements).sum() + self.fixed_bits <= room


class WidthChoice:
    """A continuous bit-width for every tensor of mixed precision, rounded to a width that its grid can have.

    A tensor that several quantizers put on grids has one width for all of them: its widest reader decides what it
    costs. Where one of them has fixed bits, no fewer are counted.
    """

    def __init__(self, plan: Plan, setting: Setting, *, form: BitForm, start_bits: float, device: torch.device) -> None:
        self.form = form
        self.tensors: tuple[CountedTensor, ...] = tuple(one for one in plan.counted if _chosen(plan, one))
        self.quantizers: tuple[tuple[str, ...], ...] = tuple(
            tuple(quantizer.name for quantizer in _chosen(plan, one)) for one in self.tensors
        )
        offered = [allowed_widths(setting, _chosen(plan, one)) for one in self.tensors]
        longest = max(map(len, offered), default=0)
        padded = [[*widths, *[widths[-1]] * (longest - len(widths))] for widths in offered]
        self.table = torch.tensor(padded, dtype=torch.float32, device=device).reshape(len(offered), longest)
        fixed = [max((one.spec.bits for one in _fixed(plan, tensor)), default=0) for tensor in self.tensors]
        self.floor = torch.tensor(fixed, dtype=torch.float32, device=device)
        self.bounds = tuple(
            bound
            for what in ("weight", "activation")
            if setting[f"{what}_precision"] == "mixed"
            for bound in [self._bound(plan, setting, what, device)]
            if bool(bound.elements.any())
        )
        start = torch.full((len(offered),), start_bits, device=device)
        self.learned = nn.Parameter(learned_of(start, form))
        self.keep_valid()
        self._refuse_the_impossible()

    def _bound(self, plan: Plan, setting: Setting, what: str, device: torch.device) -> Bound:
        is_weight = what == "weight"
        # A bound on the traffic of all feature maps counts those in float as well.
        floats = not is_weight and setting["activation_constraint"] == "average-feature-map"
        elements = [one.elements if one.is_weight is is_weight else 0 for one in self.tensors]
        others = [
            one
            for one in plan.counted
            if one.is_weight is is_weight and one not in self.tensors and (floats or plan.quantizers_on(one))
        ]
        return Bound(
            what,
            float(str(setting[f"{what}_bits"])),
            torch.tensor(elements, dtype=torch.float64, device=device),
            fixed_bits=float(sum(one.elements * plan.bits_on(one) for one in others)),
            fixed_elements=float(sum(one.elements for one in others)),
        )

    def _refuse_the_impossible(self) -> None:
        for bound in self.bounds:
            least = self.counted(self.table[:, 0])
            if not bool(bound.met(least)):
                raise Unsupported(
                    f"{bound.what}_bits: no allowed widths bring the average to {bound.target:g}; with the tensors "
                    f"whose bits other axes fix it is {float(bound.average(least)):.3f} at the least",
                    hint=f"raise {bound.what}_bits, allow fewer bits, or set the axes of the first and last layer",
                )

    def counted(self, widths: Tensor) -> Tensor:
        """The bits that each tensor counts, when its learned quantizers have these widths."""
        return torch.maximum(widths, self.floor)

    def widths(self) -> Tensor:
        """The widths now, rounded; the gradient passes straight through to what is learned."""
        return nearest_width(bits_of(self.learned, self.form), self.table)

    def met(self, widths: Tensor) -> Tensor:
        """Whether all averages are within their targets."""
        counted = self.counted(widths)
        truth = torch.ones((), dtype=torch.bool, device=widths.device)
        for bound in self.bounds:
            truth = truth & bound.met(counted)
        return truth

    def penalty(self, widths: Tensor, factor: float) -> Tensor:
        """A factor times what the averages exceed their targets by, added up."""
        counted = self.counted(widths)
        terms = [excess_penalty(bound.average(counted), bound.target, factor) for bound in self.bounds]
        return torch.stack(terms).sum().float()

    @torch.no_grad()
    def keep_valid(self) -> None:
        """After an update: no continuous width runs away beyond the narrowest and the widest that it can become."""
        if len(self.tensors):
            low, high = learned_of(self.table[:, 0], self.form), learned_of(self.table[:, -1], self.form)
            self.learned.copy_(torch.minimum(torch.maximum(self.learned, low), high))

    @torch.no_grad()
    def reduced(self, learned: Tensor) -> tuple[Tensor, list[str]]:
        """Widths within every bound, from a state that is not, and the names of the tensors that were narrowed.

        As long as an average exceeds its target, the tensor goes down to its next narrower width whose continuous width
        has the least way to go; of equals the larger tensor, then the first.
        """
        continuous = bits_of(learned, self.form)
        widths = nearest_width(continuous, self.table).tolist()
        offered = [sorted(set(row)) for row in self.table.tolist()]
        narrowed: list[str] = []
        for bound in self.bounds:
            elements = bound.elements.tolist()
            while not bool(bound.met(self.counted(torch.tensor(widths)))):
                ways = [
                    (float(continuous[index]) - _below(offered[index], width), -elements[index], index)
                    for index, width in enumerate(widths)
                    if elements[index] and width > max(offered[index][0], float(self.floor[index]))
                ]
                _, _, chosen = min(ways)
                widths[chosen] = _below(offered[chosen], widths[chosen])
                narrowed.append(self.tensors[chosen].name)
        return torch.tensor(widths, device=learned.device), list(dict.fromkeys(narrowed))

    def by_quantizer(self, widths: Tensor) -> dict[str, int]:
        """Name of quantizer -> bits."""
        return {
            name: int(width) for names, width in zip(self.quantizers, widths.tolist(), strict=True) for name in names
        }


def allowed_widths(setting: Setting, quantizers: Sequence[PlannedQuantizer] = ()) -> tuple[int, ...]:
    """The widths that the setting allows and the grids of these quantizers can have, ascending."""
    allowed = setting["allowed_bit_widths"]
    offered = BIT_WIDTHS if not isinstance(allowed, tuple) else tuple(sorted(set(allowed) & set(BIT_WIDTHS)))
    if any(one.spec.signed and one.spec.symmetric for one in quantizers):
        # One bit, signed and symmetric, is {-s, +s}: it has no zero, and its step is another one than that of a range.
        offered = tuple(width for width in offered if width > 1)
    if not offered:
        raise Unsupported("allowed_bit_widths: no width that these grids can have", hint="allow 2 to 8 bits")
    return offered


def _chosen(plan: Plan, tensor: CountedTensor) -> tuple[PlannedQuantizer, ...]:
    return tuple(one for one in plan.quantizers_on(tensor) if one.mixed)


def _fixed(plan: Plan, tensor: CountedTensor) -> tuple[PlannedQuantizer, ...]:
    return tuple(one for one in plan.quantizers_on(tensor) if not one.mixed)


def _below(offered: Sequence[float], width: float) -> float:
    return max(one for one in offered if one < width)
