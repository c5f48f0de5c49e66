"""Plan, the table: what is quantized in one model under one setting, and how. Frozen data, free of torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cached_property
from math import prod
from typing import Any

from suite.bits import FLOAT_BITS, average
from suite.errors import RecordError, UnknownName, Unsupported
from suite.plan.anatomy import InputForm, Role
from suite.quantizers.spec import Granularity, QuantizerSpec
from suite.registry import suggestion

SCHEMA = 1
ON_THE_GRID = "on the grid of "  # how the reason of a row begins whose tensor another site's quantizer made


class Place(StrEnum):
    """Where a quantizer stands."""

    WEIGHT = "weight"  # inside its layer
    READ = "read"  # before certain operands; everybody else reads the raw tensor
    PRODUCED = "produced"  # right behind the operation, so that everybody reads the grid


@dataclass(frozen=True)
class PlannedQuantizer:
    """One quantizer: what it does (`spec`) and which edges of the data flow pass through it.

    `operation` produces the tensor (for a weight: it is the layer). `edges` are the (operation, operand index) pairs
    that read through it, for READ only. `repeated_after` names average pools whose mean is rounded to this grid again.
    `mixed`: its bits are for the method to choose, those of `spec` are where it begins.
    """

    name: str
    spec: QuantizerSpec
    place: Place
    operation: str
    edges: tuple[tuple[str, int], ...] = ()
    repeated_after: tuple[str, ...] = ()
    mixed: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "spec": self.spec.to_dict(),
            "place": self.place.value,
            "operation": self.operation,
            "edges": [list(edge) for edge in self.edges],
            "repeated_after": list(self.repeated_after),
            "mixed": self.mixed,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlannedQuantizer:
        return cls(
            name=values["name"],
            spec=QuantizerSpec.from_dict(values["spec"]),
            place=Place(values["place"]),
            operation=values["operation"],
            edges=tuple((str(op), int(index)) for op, index in values["edges"]),
            repeated_after=tuple(values["repeated_after"]),
            mixed=bool(values.get("mixed", False)),
        )


@dataclass(frozen=True)
class CountedTensor:
    """A weight or a feature map as averages of bits count it: once, however many sites it is read at.

    A feature map is a tensor of one example before all operations that only move or select its values. `sites` are
    those that read it or put it on a grid; `elements` are weights, or values per example.
    """

    name: str
    elements: int
    is_weight: bool
    sites: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "elements": self.elements,
            "is_weight": self.is_weight,
            "sites": list(self.sites),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CountedTensor:
        return cls(values["name"], int(values["elements"]), bool(values["is_weight"]), tuple(values["sites"]))


@dataclass(frozen=True)
class Choice:
    """One bit-width for a method to choose: the tensors that it is of, and the quantizers that get it."""

    tensors: tuple[CountedTensor, ...]
    quantizers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first of its quantizers."""
        return self.quantizers[0]


@dataclass(frozen=True)
class PlanRow:
    """The decision for one site. No `spec`: the site sees floating-point values, for the stated reason."""

    site: str
    role: Role
    tensor: str
    shape: tuple[int, ...]
    spec: QuantizerSpec | None
    quantizer: str | None  # the quantizer whose grid the tensor is on, which may stand at another site
    reason: str

    @property
    def elements(self) -> int:
        """Values per example, or weights."""
        return prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits per value; 32 where the site is not quantized."""
        return FLOAT_BITS if self.spec is None else self.spec.bits

    def to_dict(self) -> dict[str, Any]:
        return {
            "site": self.site,
            "role": self.role.value,
            "tensor": self.tensor,
            "shape": list(self.shape),
            "elements": self.elements,
            "spec": None if self.spec is None else self.spec.to_dict(),
            "quantizer": self.quantizer,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PlanRow:
        return cls(
            site=values["site"],
            role=Role(values["role"]),
            tensor=values["tensor"],
            shape=tuple(int(size) for size in values["shape"]),
            spec=None if values["spec"] is None else QuantizerSpec.from_dict(values["spec"]),
            quantizer=values["quantizer"],
            reason=values["reason"],
        )


@dataclass(frozen=True)
class RowDifference:
    """One site that two plans treat differently; None where a plan does not have the site."""

    site: str
    left: PlanRow | None
    right: PlanRow | None

    def __str__(self) -> str:
        return f"{self.site}: {_said(self.left)} -> {_said(self.right)}"


@dataclass(frozen=True)
class Plan:
    """What is quantized in one model under one setting: one row a site, in data-flow order."""

    model: str
    rows: tuple[PlanRow, ...]
    quantizers: tuple[PlannedQuantizer, ...]
    folds: tuple[tuple[str, str], ...] = ()  # (layer, batch norm) pairs to fold before quantizers are placed
    # The form of input for which torch.export wrote the model's graphs; None where torch.fx could trace the model.
    exported: InputForm | None = None
    counted: tuple[CountedTensor, ...] = ()

    @cached_property
    def _rows(self) -> Mapping[str, PlanRow]:
        return {row.site: row for row in self.rows}

    @cached_property
    def _quantizers(self) -> Mapping[str, PlannedQuantizer]:
        return {quantizer.name: quantizer for quantizer in self.quantizers}

    def row(self, site: str) -> PlanRow:
        """The row of one site."""
        if site not in self._rows:
            raise UnknownName(f"the plan has no site '{site}'", hint=suggestion(site, list(self._rows)))
        return self._rows[site]

    def quantizer(self, name: str) -> PlannedQuantizer:
        """The quantizer of this name."""
        if name not in self._quantizers:
            raise UnknownName(f"the plan has no quantizer '{name}'", hint=suggestion(name, list(self._quantizers)))
        return self._quantizers[name]

    def of_role(self, *roles: Role) -> tuple[PlanRow, ...]:
        """The rows of certain roles."""
        return tuple(row for row in self.rows if row.role in roles)

    @property
    def weight_rows(self) -> tuple[PlanRow, ...]:
        return self.of_role(Role.WEIGHT)

    def with_specs(self, specs: Mapping[str, QuantizerSpec]) -> Plan:
        """The same plan with the specifications of some quantizers replaced (mixed precision), in all their rows."""
        for name in specs:
            self.quantizer(name)
        return replace(
            self,
            rows=tuple(
                row if row.quantizer is None else replace(row, spec=specs.get(row.quantizer, row.spec))
                for row in self.rows
            ),
            quantizers=tuple(replace(one, spec=specs.get(one.name, one.spec)) for one in self.quantizers),
        )

    def with_bits(self, bits: Mapping[str, int]) -> Plan:
        """The same plan with the bits that a method chose for quantizers of mixed precision, and for no others."""
        fixed = [name for name in bits if not self.quantizer(name).mixed]
        if fixed:
            raise Unsupported(f"the setting fixes the bits of {fixed[0]}: a method cannot choose them")
        return self.with_specs({name: replace(self.quantizer(name).spec, bits=width) for name, width in bits.items()})

    def choices(self) -> tuple[Choice, ...]:
        """What a method of mixed precision chooses bits for, in the order of the rows.

        Tensors that one quantizer serves (an integer mean keeps the grid of what was averaged), and all quantizers of
        one tensor, belong together: they have one bit-width.
        """
        found: list[Choice] = []
        for tensor in self.counted:
            names = tuple(one.name for one in self.quantizers_on(tensor) if one.mixed)
            if not names:
                continue
            joined = [one for one in found if set(one.quantizers) & set(names)]
            found = [one for one in found if one not in joined]
            found.append(
                Choice(
                    tensors=(*(part for one in joined for part in one.tensors), tensor),
                    quantizers=tuple(dict.fromkeys([*(part for one in joined for part in one.quantizers), *names])),
                )
            )
        return tuple(found)

    @property
    def chosen_bits(self) -> dict[str, int]:
        """The bits of all quantizers of mixed precision, by name."""
        return {one.name: one.spec.bits for one in self.quantizers if one.mixed}

    def quantizers_on(self, tensor: CountedTensor) -> tuple[PlannedQuantizer, ...]:
        """The quantizers that put a tensor on its grid or grids; none where it stays in float."""
        names = dict.fromkeys(self.row(site).quantizer for site in tensor.sites)
        return tuple(self.quantizer(name) for name in names if name is not None)

    def bits_on(self, tensor: CountedTensor, *, floats: bool = False) -> int:
        """Bits of the widest grid that a tensor is on; 32 where it is on none, or with `floats` not at every site."""
        rows = [self.row(site) for site in tensor.sites]
        return max((row.bits for row in rows if floats or row.spec is not None), default=FLOAT_BITS)

    def average_bits(self, *, weights: bool, floats: bool = False) -> float:
        """Bits per weight, or per value of all feature maps, over what is on a grid; 0 where nothing is.

        What an axis keeps in float is left out, since that axis says what it costs; or, with `floats`, it counts 32
        bits, also for tensors that others read on a grid.
        """
        found = [
            (one.elements, self.bits_on(one, floats=floats))
            for one in self.counted
            if one.is_weight is weights and (floats or self.quantizers_on(one))
        ]
        return average(found)

    def diff(self, other: Plan) -> tuple[RowDifference, ...]:
        """The sites whose grids differ, in the order of the rows. Reasons may differ without counting."""
        sites = list(dict.fromkeys([*self._rows, *other._rows]))
        pairs = ((site, self._rows.get(site), other._rows.get(site)) for site in sites)
        return tuple(RowDifference(site, left, right) for site, left, right in pairs if _grid(left) != _grid(right))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        front_end = {} if self.exported is None else {"exported": asdict(self.exported)}
        return {
            **front_end,
            "schema": SCHEMA,
            "model": self.model,
            "rows": [row.to_dict() for row in self.rows],
            "quantizers": [quantizer.to_dict() for quantizer in self.quantizers],
            "folds": [list(pair) for pair in self.folds],
            "counted": [tensor.to_dict() for tensor in self.counted],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """The inverse of `to_dict`."""
        if values.get("schema") != SCHEMA:
            raise RecordError(f"a plan of schema {values.get('schema')!r} cannot be read", hint=f"expected {SCHEMA}")
        try:
            return cls(
                model=values["model"],
                rows=tuple(PlanRow.from_dict(row) for row in values["rows"]),
                quantizers=tuple(PlannedQuantizer.from_dict(one) for one in values["quantizers"]),
                folds=tuple((str(layer), str(norm)) for layer, norm in values["folds"]),
                exported=_form_of(values.get("exported")),
                counted=tuple(CountedTensor.from_dict(one) for one in values.get("counted", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"not a plan: {type(error).__name__} {error}") from error

    def digest(self) -> str:
        """SHA-256 of the plan as canonical JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def table(self, width: int = 100) -> str:
        """The plan for people: one line a site, at most `width` characters."""
        cells = [("site", "elements", "grid", "reason")]
        cells += [(row.site, f"{row.elements:,}", describe(row.spec), row.reason) for row in self.rows]
        numbers = max(len(row[1]) for row in cells)
        grids = max(len(row[2]) for row in cells)
        reasons = min(max(len(row[3]) for row in cells), 34)
        names = max(16, min(max(len(row[0]) for row in cells), width - numbers - grids - reasons - 6))
        reasons = max(16, width - names - numbers - grids - 6)
        lines = [
            f"{_cut_front(name, names):<{names}}  {count:>{numbers}}  {grid:<{grids}}  {_cut(reason, reasons)}".rstrip()
            for name, count, grid, reason in cells
        ]
        lines.insert(1, "-" * min(width, max(len(line) for line in lines)))
        if self.exported is not None:
            lines.append(f"graphs written by torch.export, for {self.exported}: torch.fx cannot trace the model")
        return "\n".join(lines)


def describe(spec: QuantizerSpec | None) -> str:
    """A grid in a few characters: `4 u sym tensor` is 4 bits, unsigned, symmetric, one scale for the tensor."""
    if spec is None:
        return "float"
    symmetry = f"{'s' if spec.signed else 'u'} sym" if spec.symmetric else "asym"
    sharing = spec.granularity.value.removeprefix("per-")
    if spec.granularity is Granularity.PER_GROUP:
        sharing = f"{sharing} {spec.group_size}"
    return f"{spec.bits} {symmetry} {sharing}{' dynamic' if spec.dynamic else ''}"


def _grid(row: PlanRow | None) -> object:
    return None if row is None else (row.spec, row.tensor, row.shape)


def _said(row: PlanRow | None) -> str:
    return "no such site" if row is None else describe(row.spec)


def _form_of(values: Mapping[str, Any] | None) -> InputForm | None:
    return None if values is None else InputForm(str(values["dtype"]), tuple(int(size) for size in values["shape"]))


def _cut(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    if text.startswith(ON_THE_GRID):  # the end of a path says more than its beginning
        return f"grid of {_cut_front(text.removeprefix(ON_THE_GRID), width - 8)}"
    return f"{text[: width - 1]}…"


def _cut_front(text: str, width: int) -> str:
    return text if len(text) <= width else f"…{text[1 - width :]}"
