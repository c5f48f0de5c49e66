"""Plan, from a setting to a table: decides for every site whether its tensor is on a grid, on which, and why."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from suite.axes import AXES, Setting
from suite.errors import Unsupported
from suite.plan.anatomy import NETWORK, SWITCHES, Anatomy, Kind, Role, Site
from suite.plan.sharing import Demand, group_demands
from suite.plan.specs import Bits, activation_spec, general_bits, layer_bits, refuse_describable, weight_spec
from suite.plan.table import ON_THE_GRID, CountedTensor, Place, Plan, PlannedQuantizer, PlanRow
from suite.quantizers.spec import QuantizerSpec

INTEGER_POOLING = "low-precision-integer"

# Roles whose tensor is put on a grid right where it is produced, for all its readers.
_PRODUCED = (
    Role.NETWORK_INPUT,
    Role.SUM,
    Role.POOL_OUTPUT,
    Role.SOFTMAX_OUTPUT,
    Role.NORMALIZATION_OUTPUT,
    Role.ACTIVATION_OUTPUT,
)
# Roles at which "full-precision" promises that nothing has put the tensor on a grid. Elsewhere it says less: a float
# average pooling may well read a sum that is on one.
_PROMISE_FLOAT = (
    Role.SKIP,
    Role.RESIDUAL,
    Role.SUM,
    Role.PRODUCT_LEFT,
    Role.PRODUCT_RIGHT,
    Role.NETWORK_OUTPUT,
)


def make_plan(anatomy: Anatomy, setting: Setting) -> Plan:
    """Turn a setting into the plan of one model. The same arguments give the same plan."""
    refuse_describable(setting)
    if setting["pooling"] == INTEGER_POOLING and setting["activation_parameters"] == "dynamic":
        raise Unsupported(
            "pooling: an integer mean stays on the grid of its input, which dynamic parameters would choose anew",
            hint="use activation_parameters=static or pooling=requantized",
        )
    folded = {norm for _, norm in anatomy.batch_norms}
    lone = [op.name for op in anatomy.of_kind(Kind.BATCH_NORM) if op.module not in folded]
    if setting["batch_norm"] == "folded" and lone:
        raise Unsupported(
            f"batch_norm: {lone[0]} follows no layer that it alone reads, so it cannot be folded"
            + (f", nor can {len(lone) - 1} more" if len(lone) > 1 else ""),
            hint="use batch_norm=float",
        )
    return _Planner(anatomy, setting).plan()


@dataclass
class _Grid:
    """A quantizer in the making: the sites whose tensors lie on it, the first of which names it."""

    spec: QuantizerSpec
    place: Place
    operation: str
    edges: tuple[tuple[str, int], ...] = ()
    repeated_after: list[str] = field(default_factory=list)
    name: str = ""
    axis: str = ""  # which axis has the tensor quantized where it is produced
    mixed: bool = False


class _Planner:
    def __init__(self, anatomy: Anatomy, setting: Setting) -> None:
        self.anatomy = anatomy
        self.setting = setting
        last = anatomy.op(anatomy.last_layer).operands[0].tensor
        self.last_input_root = anatomy.root(last)
        self.last_module = anatomy.op(anatomy.last_layer).module
        self.first_module = anatomy.op(anatomy.first_layer).module
        self.shortcuts = {anatomy.op(name).module for name in anatomy.shortcut_layers}

    def plan(self) -> Plan:
        decisions = {site.name: self._decide(site) for site in self.anatomy.sites}
        produced = self._produced(decisions)
        read = self._read(decisions, produced)
        rows: list[PlanRow] = []
        grids: list[_Grid] = []
        for site in self.anatomy.sites:
            bits = decisions[site.name]
            if site.role is Role.WEIGHT:
                grid = self._weight_grid(site, bits)
            elif site.operand is not None and (site.op, site.operand) in read:
                grid = read[site.op, site.operand]
            else:
                grid = self._grid_of(site.tensor, produced)
            reason = bits.reason
            if grid is not None:
                if not grid.name:
                    grid.name = site.name
                    grids.append(grid)
                elif site.op in grid.repeated_after and site.role is Role.POOL_OUTPUT:
                    reason = f"rounded to the grid of {grid.name}"
                elif grid.name != site.name:
                    reason = f"{ON_THE_GRID}{grid.name}"
                self._refuse_overruled(site, bits, grid)
            rows.append(
                PlanRow(
                    site=site.name,
                    role=site.role,
                    tensor=site.tensor,
                    shape=site.shape,
                    spec=grid.spec if grid else None,
                    quantizer=grid.name if grid else None,
                    reason=reason,
                )
            )
        return Plan(
            model=self.anatomy.model,
            rows=tuple(rows),
            quantizers=tuple(
                PlannedQuantizer(g.name, g.spec, g.place, g.operation, g.edges, tuple(g.repeated_after), g.mixed)
                for g in grids
            ),
            counted=self._counted(rows),
            folds=self.anatomy.batch_norms if self.setting["batch_norm"] == "folded" else (),
            exported=self.anatomy.exported,
        )

    def _counted(self, rows: list[PlanRow]) -> tuple[CountedTensor, ...]:
        """Every weight and every feature map once. What leaves the network is read by nobody in it."""
        found: dict[str, CountedTensor] = {}
        for site, row in zip(self.anatomy.sites, rows, strict=True):
            is_weight = site.role is Role.WEIGHT
            read = is_weight or site.operand is not None or row.spec is not None
            if site.role is Role.NETWORK_OUTPUT or not read:
                continue
            name = site.tensor if is_weight else self.anatomy.root(site.tensor)
            elements = row.elements if is_weight else self.anatomy.tensors[name].elements
            before = found[name].sites if name in found else ()
            found[name] = CountedTensor(name, elements, is_weight, (*before, site.name))
        return tuple(found.values())

    def _decide(self, site: Site) -> Bits:
        """The bits that the setting gives to one site, whatever its neighbours have."""
        if site.role is Role.WEIGHT:
            return self._weight_bits(site)
        switch = SWITCHES.get(site.role)
        if switch is not None and self.setting[switch] == "full-precision":
            return Bits(None, f"{switch}: full-precision")
        return self._activation_bits(site)

    def _refuse_overruled(self, site: Site, declared: Bits, grid: _Grid) -> None:
        """A tensor has one grid for all its readers; an axis that asks for another at one of them is not obeyed."""
        if declared.bits == grid.spec.bits:
            return
        root = self.anatomy.root(site.tensor)
        pooled = root in grid.repeated_after  # an integer mean keeps the grid of what was pooled
        if declared.bits is None and not pooled and (site.role not in _PROMISE_FLOAT or root == NETWORK):
            return
        axis = "pooling" if pooled else grid.axis or "pooling"
        overruled = declared.reason.partition(":")[0]
        hint = f"change one of {overruled} and {axis}"
        if pooled and "same" in AXES[overruled].domain.words:
            hint = f"use {overruled}=same, or another value of pooling"
        raise Unsupported(
            f"{declared.reason}, but {axis}: {self.setting[axis]} has {site.name} on a grid of {grid.spec.bits} bits",
            hint=hint,
        )

    def _weight_bits(self, site: Site) -> Bits:
        module = self.anatomy.op(site.op).module
        if module == self.first_module:
            return layer_bits(self.setting, "first_layer_weights", "weight_bits")
        if module == self.last_module:
            return layer_bits(self.setting, "last_layer_weights", "weight_bits")
        if module in self.shortcuts:
            return layer_bits(self.setting, "shortcut_weights", "weight_bits")
        return general_bits(self.setting, "weight_bits")

    def _activation_bits(self, site: Site) -> Bits:
        """Bits belong to tensors: those at the four ends of the network have axes of their own."""
        root = self.anatomy.root(site.tensor)
        if site.role is Role.NETWORK_OUTPUT:
            axis = "network_output"
        elif root == NETWORK:
            axis = "network_input"
        elif (site.role is Role.INPUT and site.op == self.anatomy.last_layer) or (
            site.role in _PRODUCED and site.tensor == self.last_input_root
        ):
            axis = "last_layer_activations"
        elif root == self.anatomy.first_output:
            axis = "first_layer_activations"
        else:
            return general_bits(self.setting, "activation_bits")
        return layer_bits(self.setting, axis, "activation_bits")

    def _weight_grid(self, site: Site, bits: Bits) -> _Grid | None:
        if bits.bits is None:
            return None
        return _Grid(weight_spec(self.setting, bits.bits), Place.WEIGHT, site.op, mixed=bits.mixed)

    def _spec(self, tensor: str, bits: int) -> QuantizerSpec:
        found = self.anatomy.tensors[tensor]
        return activation_spec(
            self.setting, bits, non_negative=found.non_negative, channel_axis=self._channel_axis(tensor)
        )

    def _channel_axis(self, tensor: str) -> int:
        """The axis along which a tensor's channels lie: a layer that reads it knows best, then who made it."""
        found = self.anatomy.tensors[tensor]
        for op, _ in self.anatomy.edges(tensor):
            if op.kind is Kind.WEIGHTED and op.weight_shape is not None:
                return found.axes - 1 if len(op.weight_shape) == 2 else 1
        return found.channel_axis

    def _produced(self, decisions: dict[str, Bits]) -> dict[str, _Grid]:
        """Grids at the place of production, by tensor. An integer mean is on the grid of the pool's input."""
        produced: dict[str, _Grid] = {}
        for site in self.anatomy.sites:
            decided = decisions[site.name]
            if site.role not in _PRODUCED or decided.bits is None or site.tensor in produced:
                continue
            if site.role is Role.POOL_OUTPUT and self.setting["pooling"] == INTEGER_POOLING:
                continue
            produced[site.tensor] = _Grid(
                self._spec(site.tensor, decided.bits), Place.PRODUCED, site.tensor,
                axis=SWITCHES.get(site.role, "network_input"), mixed=decided.mixed,
            )  # fmt: skip
        return produced

    def _read(self, decisions: dict[str, Bits], produced: dict[str, _Grid]) -> dict[tuple[str, int], _Grid]:
        """Grids before operands, by edge, for tensors that are on no grid yet.

        Integer pools are settled one after the other in data-flow order, since the grid of one pool's input lasts
        through its mean to whoever reads that.
        """
        integer_pools = [
            site
            for site in self.anatomy.sites
            if site.role is Role.POOL_INPUT
            and self.setting["pooling"] == INTEGER_POOLING
            and decisions[site.name].bits is not None
        ]
        rounded = {site.op for site in integer_pools}
        demands: list[Demand] = []
        for site in self.anatomy.sites:
            bits = decisions[site.name].bits
            if site.operand is None or bits is None or self._source(site.tensor, produced.keys() | rounded):
                continue
            demands.append(Demand(site, self._spec(site.tensor, bits)))
        read: dict[tuple[str, int], _Grid] = {}
        for group in group_demands(self.anatomy, demands):
            # A method may only choose where no reader is promised the bits that the plan begins with.
            mixed = all(decisions[site.name].mixed for site in group.sites)
            grid = _Grid(group.spec, Place.READ, group.tensor, group.edges, mixed=mixed)
            for site in group.sites:
                assert site.operand is not None
                read[site.op, site.operand] = grid
        for site in integer_pools:
            assert site.operand is not None
            found = read.get((site.op, site.operand)) or self._grid_of(site.tensor, produced)
            assert found is not None
            found.repeated_after.append(site.op)
            produced[site.op] = found
        return read

    def _grid_of(self, tensor: str, produced: dict[str, _Grid]) -> _Grid | None:
        source = self._source(tensor, produced.keys())
        return None if source is None else produced[source]

    def _source(self, tensor: str, on_grid: Set[str]) -> str | None:
        """The tensor of `on_grid` whose grid this one is on: itself, or what it was moved or selected from.

        A concatenation keeps the grid only when all its parts share one: parts on several grids would reach a matrix
        product with several scales.
        """
        if tensor in on_grid:
            return tensor
        op = self.anatomy.op(tensor)
        if op.kind is Kind.TRANSPARENT:
            return self._source(op.operands[0].tensor, on_grid)
        if op.kind is Kind.CONCAT:
            sources = {self._source(operand.tensor, on_grid) for operand in op.operands}
            return sources.pop() if len(sources) == 1 else None
        return None
