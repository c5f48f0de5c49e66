"""Laboratory, the audit: everything the verdicts are drawn from, and which axis answers for which site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from suite.audit.capture import Statistics
from suite.audit.fits import SiteFit, fit_site
from suite.audit.observe import Edge, Observations, edges_of
from suite.audit.precisions import seen_precisions
from suite.audit.problems import Problem, problems_of
from suite.audit.report import Figures
from suite.audit.sites import SiteEvidence
from suite.audit.views import View
from suite.bits import BitAccount, Widths
from suite.plan.anatomy import NETWORK, SWITCHES, Anatomy, Role, Site
from suite.plan.table import Place, Plan, PlanRow
from suite.quantizers.spec import BIT_WIDTHS, Granularity

if TYPE_CHECKING:
    from suite.axes import Setting

_RESULTS = (Role.ACTIVATION_OUTPUT, Role.NORMALIZATION_OUTPUT, Role.SOFTMAX_OUTPUT)


class Metered(Protocol):
    """What the data meter counted."""

    @property
    def kind(self) -> str: ...
    @property
    def allowed_examples(self) -> int: ...
    @property
    def distinct_examples(self) -> int: ...
    @property
    def validation_examples(self) -> int: ...
    @property
    def labels(self) -> str: ...
    @property
    def labels_used(self) -> int: ...
    @property
    def transform(self) -> str: ...
    @property
    def refused(self) -> tuple[str, ...]: ...


class Watched(Protocol):
    """What entered the model while the method worked, whoever fed it."""

    @property
    def distinct_inputs(self) -> int: ...
    @property
    def forbidden_inputs(self) -> int: ...
    @property
    def saturated(self) -> bool: ...


class Claimed(Protocol):
    """What the method says of its own result."""

    @property
    def average_weight_bits(self) -> float | None: ...
    @property
    def average_activation_bits(self) -> float | None: ...
    @property
    def model_bytes(self) -> int | None: ...


@dataclass
class Evidence:
    """The material of one audit."""

    setting: Setting
    anatomy: Anatomy
    plan: Plan
    observations: Observations
    meter: Metered | None
    watch: Watched | None
    claims: Claimed | None
    float_score: float | None
    epoch_fraction: float | None
    statistics: Mapping[str, Statistics] | None = None  # of the float model's batch normalizations, by operation
    chosen: bool = False  # the plan has the bits that the method chose, not only the widest that it may choose
    bits: BitAccount = field(init=False)
    figures: Figures = field(init=False)

    @cached_property
    def sites(self) -> tuple[SiteEvidence, ...]:
        return tuple(self._site(row) for row in self.plan.rows)

    @cached_property
    def weights(self) -> tuple[SiteEvidence, ...]:
        return tuple(one for one in self.sites if one.is_weight)

    @cached_property
    def activations(self) -> tuple[SiteEvidence, ...]:
        return tuple(one for one in self.sites if not one.is_weight)

    @cached_property
    def _problems(self) -> Mapping[str, tuple[Problem, ...]]:
        found: dict[str, list[Problem]] = {}
        for one in self.sites:
            for problem in problems_of(one):
                found.setdefault(problem.axis, []).append(problem)
        return {axis: tuple(problems) for axis, problems in found.items()}

    def problems(self, axis: str) -> tuple[Problem, ...]:
        """What contradicts an axis, over all sites."""
        return self._problems.get(axis, ())

    def of_switch(self, axis: str) -> tuple[SiteEvidence, ...]:
        """The sites whose being on a grid an axis decides."""
        return tuple(one for one in self.sites if SWITCHES.get(one.site.role) == axis)

    def of_bits(self, axis: str) -> tuple[SiteEvidence, ...]:
        """The sites whose bits an axis gives."""
        return tuple(one for one in self.sites if one.bits_axis == axis)

    def _site(self, row: PlanRow) -> SiteEvidence:
        site = self.anatomy.site(row.site)
        switch, unasked = SWITCHES.get(site.role), False
        if switch is not None and row.spec is not None and self.setting[switch] == "full-precision":
            unasked = not self._asked_elsewhere(row, site)
            switch = switch if unasked else None
        owner = self.anatomy.site(row.quantizer) if row.quantizer is not None else site
        bits_axis = bits_axis_of(self.anatomy, owner)
        missing, views = self._seen(row, site)
        fit = None
        if missing is None and row.spec is not None:
            fit = fit_site(views, row.spec, is_weight=site.role is Role.WEIGHT)
        general = "weight" if site.role is Role.WEIGHT else "activation"
        ruled = bits_axis == f"{general}_bits" or self.setting[bits_axis] == "same"
        by_choice = ruled and self.setting[f"{general}_precision"] == "mixed"
        mixed = by_choice and not self.chosen
        return SiteEvidence(
            row, site, switch, bits_axis, fit, views, missing, mixed, unasked, by_choice,
            seen_precisions=self._precisions(row, fit, views) if by_choice else None,
        )  # fmt: skip

    def _precisions(self, row: PlanRow, fit: SiteFit | None, views: tuple[View, ...]) -> Mapping[int, int] | None:
        """Bits of single weights, where each may have its own and all of a tensor share a scale."""
        single = self.setting["bit_width_granularity"] == Widths.PER_WEIGHT and row.role is Role.WEIGHT
        if not single or fit is None or row.spec is None or row.spec.granularity is not Granularity.PER_TENSOR:
            return None
        return seen_precisions(views[0], fit)

    def _asked_elsewhere(self, row: PlanRow, site: Site) -> bool:
        """Whether a site that its own switch declares float may be on the plan's grid all the same.

        A float average pooling reads what others have quantized, an operation's result may be the sum of a residual
        connection, and the network's input has axes of its own. Any other grid is a mistake of the plan.
        """
        if site.role is Role.POOL_INPUT or self.anatomy.root(site.tensor) == NETWORK:
            return True
        return site.role in _RESULTS and row.quantizer in self._grids_of_sums

    @cached_property
    def _grids_of_sums(self) -> frozenset[str | None]:
        """Quantizers of sums, where the card has sums quantized."""
        if self.setting[SWITCHES[Role.SUM]] == "full-precision":
            return frozenset()
        return frozenset(row.quantizer for row in self.plan.rows if row.role is Role.SUM)

    def _seen(self, row: PlanRow, site: Site) -> tuple[str | None, tuple[View, ...]]:
        seen = self.observations
        if site.op in seen.missing:
            return seen.missing[site.op], ()
        if site.role is Role.WEIGHT:
            if site.tensor not in seen.weights:
                return "the weight never reached a product", ()
            if site.tensor in seen.unsteady_weights:
                return "the weight changes from batch to batch, so there are no codes to store", ()
            view = seen.weights[site.tensor]
            if view.elements != row.elements:
                shapes = ["x".join(map(str, shape)) for shape in (view.shape, row.shape)]
                return f"the weight that reached a product is {shapes[0]}, the layer's is {shapes[1]}", ()
            return None, (view,)
        edges = tuple(self._edges(row, site))
        gone = [seen.missing[op] for op, _ in edges if op in seen.missing]
        if edges and len(gone) == len(edges):
            return gone[0], ()
        return None, tuple(view for edge in edges for view in seen.operands.get(edge, ()))

    def _edges(self, row: PlanRow, site: Site) -> Iterator[Edge]:
        """Where to look at an activation site.

        Scales of channels and tokens are told by the axis they run along, so there the tensor is looked at where the
        plan quantizes it, before anything moves its values. A result that is declared float is looked at where it is
        read as such.
        """
        if row.spec is None and site.operand is None:
            yield from (edge for edge in edges_of(self.anatomy, site) if edge not in self._quantized_reads)
        elif row.spec is None or row.spec.granularity is Granularity.PER_TENSOR or row.quantizer is None:
            yield from edges_of(self.anatomy, site)
        else:
            planned = self.plan.quantizer(row.quantizer)
            if planned.place is Place.READ:
                yield from planned.edges
            else:
                yield from ((op.name, index) for op, index in self.anatomy.edges(planned.operation))

    @cached_property
    def _quantized_reads(self) -> frozenset[Edge]:
        found: set[Edge] = set()
        for row in self.plan.rows:
            site = self.anatomy.site(row.site)
            if row.spec is not None and site.operand is not None:
                found.add((site.op, site.operand))
        return frozenset(found)


def bits_axis_of(anatomy: Anatomy, site: Site) -> str:
    """The axis that gives a site its bits: the four ends of the network have their own."""
    if site.role is Role.WEIGHT:
        module = anatomy.op(site.op).module
        if module == anatomy.op(anatomy.first_layer).module:
            return "first_layer_weights"
        if module == anatomy.op(anatomy.last_layer).module:
            return "last_layer_weights"
        if module in {anatomy.op(name).module for name in anatomy.shortcut_layers}:
            return "shortcut_weights"
        return "weight_bits"
    root = anatomy.root(site.tensor)
    last_input = anatomy.root(anatomy.op(anatomy.last_layer).operands[0].tensor)
    if site.role is Role.NETWORK_OUTPUT:
        return "network_output"
    if root == NETWORK:
        return "network_input"
    is_last_operand = site.role is Role.INPUT and site.op == anatomy.last_layer
    if is_last_operand or (site.operand is None and site.tensor == last_input):
        return "last_layer_activations"
    if root == anatomy.first_output:
        return "first_layer_activations"
    return "activation_bits"


def widened(plan: Plan, anatomy: Anatomy, setting: Setting) -> Plan:
    """The plan to look with: where precision is mixed, a site may turn out as wide as the widest width allowed."""
    allowed = setting["allowed_bit_widths"]
    widest = max(allowed) if isinstance(allowed, tuple) else max(BIT_WIDTHS)
    specs = {}
    for quantizer in plan.quantizers:
        axis = bits_axis_of(anatomy, anatomy.site(quantizer.name))
        general = "weight_bits" if quantizer.place is Place.WEIGHT else "activation_bits"
        ruled = axis == general or setting[axis] == "same"
        if ruled and setting[general.replace("_bits", "_precision")] == "mixed":
            specs[quantizer.name] = replace(quantizer.spec, bits=widest)
    return plan.with_specs(specs) if specs else plan
