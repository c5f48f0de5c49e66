"""Methods, bit-learning engine: all bit-widths to choose as one vector, and the averages that bound them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suite.axes import Setting
from suite.errors import Unsupported
from suite.plan import Choice, CountedTensor, Plan, PlannedQuantizer
from suite.quantizers.learned_bits import (
    BitForm,
    average_bits,
    bits_of,
    excess_penalty,
    learned_of,
    nearest_width,
)
from suite.quantizers.spec import BIT_WIDTHS


@dataclass(frozen=True)
class Bound:
    """One average that must not exceed its target: of all weights, or of all values of feature maps.

    `elements` [t] counts the tensors whose widths are learned, with zeros for those that the bound does not concern;
    `fixed_bits` is the sum of elements x bits of the others, `fixed_elements` that of their elements. All sums are
    exact: doubles that hold integers.
    """

    what: str
    target: float
    elements: Tensor
    fixed_bits: float
    fixed_elements: float

    def average(self, counted: Tensor) -> Tensor:
        """Bits on average, from the bits that each tensor counts [t]; with the gradient that leads to the widths."""
        return average_bits(
            counted.double(), self.elements, fixed_bits=self.fixed_bits, fixed_elements=self.fixed_elements
        )

    def met(self, counted: Tensor) -> Tensor:
        """Whether the average is at most the target: a truth value on the device."""
        room = self.target * (self.elements.sum() + self.fixed_elements)
        return (counted.double() * self.elements).sum() + self.fixed_bits <= room


class WidthChoice:
    """A continuous bit-width for every choice of a plan, rounded to a width that the grids concerned can have.

    A tensor counts the bits of its widest grid, also where one of its grids has fixed bits.
    """

    def __init__(self, plan: Plan, setting: Setting, *, form: BitForm, start_bits: float, device: torch.device) -> None:
        self.form = form
        self.choices: tuple[Choice, ...] = plan.choices()
        offered = [
            allowed_widths(setting, [plan.quantizer(name) for name in choice.quantizers]) for choice in self.choices
        ]
        longest = max(map(len, offered), default=0)
        padded = [[*widths, *[widths[-1]] * (longest - len(widths))] for widths in offered]
        self.table = torch.tensor(padded, dtype=torch.float32, device=device).reshape(len(offered), longest)
        owners = [index for index, choice in enumerate(self.choices) for _ in choice.tensors]
        self.owner = torch.tensor(owners, dtype=torch.int64, device=device)
        tensors = [tensor for choice in self.choices for tensor in choice.tensors]
        # A bound on the traffic of all feature maps counts those that somebody reads in float as well.
        self.floats = setting["activation_constraint"] == "average-feature-map"
        fixed = [self._fixed_bits(plan, tensor) for tensor in tensors]
        self.floor = torch.tensor(fixed, dtype=torch.float32, device=device)
        bounds = [
            self._bound(plan, setting, what, device)
            for what in ("weight", "activation")
            if setting[f"{what}_precision"] == "mixed"
        ]
        self.bounds = tuple(bound for bound in bounds if bool(bound.elements.any()))
        self.learned = nn.Parameter(learned_of(torch.full((len(offered),), start_bits, device=device), form))
        self.keep_valid()
        self._refuse_the_impossible()

    def _bound(self, plan: Plan, setting: Setting, what: str, device: torch.device) -> Bound:
        is_weight = what == "weight"
        floats = self.floats and not is_weight
        learned = [tensor for choice in self.choices for tensor in choice.tensors]
        elements = [tensor.elements if tensor.is_weight is is_weight else 0 for tensor in learned]
        others = [
            tensor
            for tensor in plan.counted
            if tensor.is_weight is is_weight and tensor not in learned and (floats or plan.quantizers_on(tensor))
        ]
        return Bound(
            what,
            float(str(setting[f"{what}_bits"])),
            torch.tensor(elements, dtype=torch.float64, device=device),
            fixed_bits=float(sum(tensor.elements * plan.bits_on(tensor, floats=floats) for tensor in others)),
            fixed_elements=float(sum(tensor.elements for tensor in others)),
        )

    def _fixed_bits(self, plan: Plan, tensor: CountedTensor) -> int:
        """The bits that a tensor counts at least, because of the sites at which its bits are not chosen."""
        rows = [plan.row(site) for site in tensor.sites]
        return max(
            (
                row.bits
                for row in rows
                if (row.quantizer is None and self.floats and not tensor.is_weight)
                or (row.quantizer is not None and not plan.quantizer(row.quantizer).mixed)
            ),
            default=0,
        )

    def _refuse_the_impossible(self) -> None:
        for bound in self.bounds:
            least = self.counted(self.table[:, 0])
            if not bool(bound.met(least)):
                raise Unsupported(
                    f"{bound.what}_bits: no allowed widths bring the average to {bound.target:g}; with the tensors "
                    f"whose bits other axes fix it is {float(bound.average(least)):.3f} at the least",
                    hint=f"raise {bound.what}_bits, allow fewer bits, or change the axes of the ends of the network",
                )

    def counted(self, widths: Tensor) -> Tensor:
        """The bits that each tensor counts [t], when its quantizers have these widths [n]."""
        return torch.maximum(widths[self.owner], self.floor)

    def widths(self) -> Tensor:
        """The widths now [n], rounded; the gradient passes straight through to what is learned."""
        return nearest_width(bits_of(self.learned, self.form), self.table)

    def met(self, widths: Tensor) -> Tensor:
        """Whether all averages are within their targets: a truth value on the device."""
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
        if self.choices:
            low, high = learned_of(self.table[:, 0], self.form), learned_of(self.table[:, -1], self.form)
            self.learned.copy_(torch.minimum(torch.maximum(self.learned, low), high))

    @torch.no_grad()
    def reduced(self, learned: Tensor) -> tuple[Tensor, list[str]]:
        """Widths within every bound, from a state that may not be, and the names of the choices that were narrowed.

        While an average exceeds its target, that choice goes down to its next narrower width whose continuous width
        has the least way to go; of equals the one with more elements, then the first.
        """
        continuous = bits_of(learned, self.form).tolist()
        widths = nearest_width(bits_of(learned, self.form), self.table).tolist()
        offered = [sorted(set(row)) for row in self.table.tolist()]
        narrowed: list[str] = []
        for bound in self.bounds:
            shares = torch.zeros(len(widths), dtype=torch.float64, device=self.owner.device)
            elements = shares.index_add_(0, self.owner, bound.elements).tolist()
            while not bool(bound.met(self.counted(torch.tensor(widths, device=learned.device)))):
                ways = [
                    (continuous[index] - _below(offered[index], width), -elements[index], index)
                    for index, width in enumerate(widths)
                    if elements[index] and width > offered[index][0]
                ]
                _, _, index = min(ways)
                widths[index] = _below(offered[index], widths[index])
                narrowed.append(self.choices[index].name)
        return torch.tensor(widths, device=learned.device), list(dict.fromkeys(narrowed))

    def by_quantizer(self, widths: Tensor) -> dict[str, int]:
        """Name of quantizer -> bits."""
        pairs = zip(self.choices, widths.tolist(), strict=True)
        return {name: int(width) for choice, width in pairs for name in choice.quantizers}


def allowed_widths(setting: Setting, quantizers: Sequence[PlannedQuantizer]) -> tuple[int, ...]:
    """The widths that the setting allows and the grids of these quantizers can have, ascending."""
    allowed = setting["allowed_bit_widths"]
    offered = BIT_WIDTHS if not isinstance(allowed, tuple) else tuple(sorted(set(allowed) & set(BIT_WIDTHS)))
    if any(one.spec.signed and one.spec.symmetric for one in quantizers):
        # One bit, signed and symmetric, is {-s, +s}: it has no zero, and its step is not that of a range.
        offered = tuple(width for width in offered if width > 1)
    if not offered:
        raise Unsupported("allowed_bit_widths: no width that these grids can have", hint="allow 2 to 8 bits")
    return offered


def _below(offered: Sequence[float], width: float) -> float:
    return max(one for one in offered if one < width)
