"""Reading wing, records: the schema of a record, in memory and as JSON.

A record says what one run measured and under which circumstances. Failure and divergence are records too. The fields
are split in two: `content()` is what must be identical when the same card and seed run twice; the rest (times, memory,
machine, command line) are the circumstances of one particular execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, TypedDict

from suite.bits import read_account
from suite.errors import RecordError
from suite.records.ids import check_file_name, check_run_id
from suite.records.plain import Json, canonical_json, parse_json, plain, pretty_json

SCHEMA_VERSION = 3

VERDICTS = ("verified", "contradicted", "not observable")

COSTS: Mapping[str, bool] = {
    # name: does it repeat exactly when the same run is executed again?
    "seconds": False,
    "epoch_fraction": False,
    "epoch_seconds": False,
    "peak_bytes": False,
    "examples": True,
    "examples_presented": True,
    "passes": True,
    "labels": True,
}

MAXIMUM_FIGURES_BYTES = 256 * 2**10

CIRCUMSTANCES = ("started", "environment", "command")
"""Fields that say how one execution came about, not what it found."""

TIMED_AXES = ("time_limit",)
"""Axes whose observation is a measured time: their verdict is content, their figures are circumstances."""


class Status(StrEnum):
    """How a run ended. All three leave a record."""

    COMPLETED = "completed"
    DIVERGED = "diverged"
    FAILED = "failed"


class AxisResult(TypedDict):
    """What the audit found on one axis."""

    declared: Json
    observed: Json
    verdict: str
    evidence: Json


class AuditResult(TypedDict):
    """The audit as a record keeps it: one verdict over all, and one an axis."""

    verdict: str
    axes: dict[str, AxisResult]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one run left behind. Fractions are fractions (0.915), sizes are bytes, times are seconds."""

    run_id: str
    status: Status
    method: str
    task: str
    model: str
    seed: int
    setting: dict[str, Any]
    """A value for every axis, by axis id; a list of bit-widths is a tuple in memory."""
    metric: str
    identity: dict[str, Any]
    """The named parts whose hash makes the run id; kept apart so that a miss can be explained."""
    schema: int = SCHEMA_VERSION
    message: str = ""
    """Why a run diverged or failed, in one line; empty when it completed."""
    options: dict[str, Any] = field(default_factory=dict)
    float_score: float | None = None
    score: float | None = None
    difference: float | None = None
    """score - float_score; negative when quantization lost accuracy."""
    difference_interval: tuple[float, float] | None = None
    """95 % interval of `difference` from paired per-example outcomes."""
    average_weight_bits: float | None = None
    average_activation_bits: float | None = None
    model_bytes: int | None = None
    feature_map_largest_bytes: int | None = None
    feature_map_total_bytes: int | None = None
    bits: dict[str, Any] | None = None
    """What the audit counted, layer by layer, as `suite.bits.read_account` reads it; None where nothing was."""
    audit: AuditResult | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    """What the method measured of its own work; the audit does not look at it. `test` is the suite's: what the task
    measures on the test split beside the score, of the float and the quantized model."""
    costs: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    plan: list[Any] = field(default_factory=list)
    command: str = ""
    started: str = ""
    """When the run began, ISO 8601 in UTC."""
    outcomes: str | None = None
    """Name of the file of per-example outcomes beside the record."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name), name))
        if self.status is Status.COMPLETED:
            missing = [name for name in ("float_score", "score", "difference") if getattr(self, name) is None]
            if missing:
                raise RecordError(f"a completed record needs {', '.join(missing)}")
        elif not self.message:
            raise RecordError(f"a record with status '{self.status.value}' says why in `message`")

    def to_dict(self) -> dict[str, Json]:
        """The record as JSON data, fields in the order of the schema."""
        return {name: plain(getattr(self, name), name) for name in _ORDER}

    def to_json(self) -> str:
        return pretty_json(self.to_dict(), "record")

    def content(self) -> dict[str, Json]:
        """Everything but times, memory and surroundings: equal for two executions of one run."""
        document = self.to_dict()
        for name in CIRCUMSTANCES:
            del document[name]
        document["costs"] = {name: value for name, value in plain_dict(self.costs).items() if COSTS[name]}
        audit = document["audit"]
        if isinstance(audit, dict) and isinstance(axes := audit["axes"], dict):
            for axis in TIMED_AXES:
                if isinstance(result := axes.get(axis), dict):
                    axes[axis] = {"declared": result["declared"], "verdict": result["verdict"]}
        return document

    @classmethod
    def from_dict(cls, document: object, where: str = "record") -> Record:
        """Read a record strictly: older schema versions migrate, anything unknown or missing is a `RecordError`."""
        if not isinstance(document, Mapping):
            raise RecordError(f"{where} is a {type(document).__name__}, not a record")
        data = migrate(dict(document), where)
        unknown = sorted(set(data) - set(_ORDER))
        missing = [name for name in _ORDER if name not in data]
        if unknown or missing:
            parts = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(
                missing
            )
            raise RecordError(f"{where} does not follow the schema: {'; '.join(parts)}")
        try:
            return cls(**data)
        except RecordError as error:
            raise RecordError(f"{where}: {error.message}", hint=error.hint) from error

    @classmethod
    def from_json(cls, content: bytes, where: str = "record") -> Record:
        return cls.from_dict(parse_json(content, where), where)


Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: dict[int, Migration] = {
    1: lambda old: {**old, "figures": {}},
    2: lambda old: {**old, "bits": None},
}
"""From schema version n to n + 1. Old records stay readable for ever: an entry is added with every new version."""


def migrate(document: dict[str, Any], where: str = "record") -> dict[str, Any]:
    """`document` lifted to the present schema version, one version at a time."""
    version = document.get("schema")
    if isinstance(version, bool) or not isinstance(version, int):
        raise RecordError(f"{where} does not say its schema version")
    while version != SCHEMA_VERSION:
        if version > SCHEMA_VERSION:
            raise RecordError(
                f"{where} has schema version {version}; this suite reads up to {SCHEMA_VERSION}",
                hint="update the suite",
            )
        if version not in MIGRATIONS:
            raise RecordError(f"{where} has schema version {version}, which never existed")
        document = MIGRATIONS[version](dict(document))
        version += 1
        document["schema"] = version
    return document


def plain_dict(value: Mapping[str, object]) -> dict[str, Json]:
    """A mapping as JSON data."""
    return {name: plain(item, name) for name, item in value.items()}


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RecordError(f"{name} is {value!r:.60}, expected text")
    return value


def _name(value: object, name: str) -> str:
    if not _text(value, name):
        raise RecordError(f"{name} is empty")
    return str(value)


def _integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RecordError(f"{name} is {value!r:.60}, expected an integer of at least 0")
    return value


def _number(value: object, name: str) -> float:
    checked = plain(value, name)
    if isinstance(checked, bool) or not isinstance(checked, int | float):
        raise RecordError(f"{name} is {value!r:.60}, expected a number")
    return float(checked)


def _optional(check: Callable[[object, str], Any]) -> Callable[[object, str], Any]:
    return lambda value, name: None if value is None else check(value, name)


def _mapping(value: object, name: str) -> dict[str, Json]:
    checked = plain(value, name)
    if not isinstance(checked, dict):
        raise RecordError(f"{name} is {value!r:.60}, expected a mapping")
    return checked


def _setting(value: object, name: str) -> dict[str, Any]:
    values = _mapping(value, name)
    return {axis: tuple(item) if isinstance(item, list) else item for axis, item in values.items()}


def _rows(value: object, name: str) -> list[Json]:
    checked = plain(value, name)
    if not isinstance(checked, list) or not all(isinstance(row, dict) for row in checked):
        raise RecordError(f"{name} is {value!r:.60}, expected a list of rows")
    return checked


def _interval(value: object, name: str) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise RecordError(f"{name} is {value!r:.60}, expected [low, high]")
    low, high = (_number(bound, name) for bound in value)
    if low > high:
        raise RecordError(f"{name} is [{low}, {high}], upside down")
    return low, high


def _status(value: object, name: str) -> Status:
    try:
        return Status(str(value))
    except ValueError as error:
        raise RecordError(f"{name} is {value!r:.60}, expected one of {', '.join(Status)}") from error


def _schema(value: object, name: str) -> int:
    if value != SCHEMA_VERSION:
        raise RecordError(f"{name} is {value!r:.60}, a record in memory has version {SCHEMA_VERSION}")
    return SCHEMA_VERSION


def check_figures(value: object, name: str = "figures") -> dict[str, Json]:
    """Figures of a method as JSON data; a `RecordError` where JSON cannot hold them or they are too many."""
    figures = _mapping(value, name)
    size = len(canonical_json(figures, name))
    if size > MAXIMUM_FIGURES_BYTES:
        raise RecordError(
            f"{name} take {size:,} bytes as JSON, more than the {MAXIMUM_FIGURES_BYTES:,} a record keeps",
            hint="summarize them: a distribution instead of its values",
        )
    return figures


def _costs(value: object, name: str) -> dict[str, Json]:
    costs = _mapping(value, name)
    for cost, amount in costs.items():
        if cost not in COSTS:
            raise RecordError(f"{name} has no '{cost}'", hint=f"known: {', '.join(COSTS)}")
        if isinstance(amount, list | dict) or (isinstance(amount, int | float) and amount < 0):
            raise RecordError(f"{name}.{cost} is {amount!r:.60}, expected an amount of at least 0")
    return costs


def _account(value: object, name: str) -> dict[str, Any]:
    return read_account(_mapping(value, name), name).to_dict()


def _verdict(value: object, name: str) -> None:
    if value not in VERDICTS:
        raise RecordError(f"{name} is {value!r:.60}, expected one of {', '.join(VERDICTS)}")


def _audit(value: object, name: str) -> dict[str, Json]:
    audit = _mapping(value, name)
    if set(audit) != set(AuditResult.__annotations__):
        raise RecordError(f"{name} has the keys {sorted(audit)}, expected verdict and axes")
    _verdict(audit["verdict"], f"{name}.verdict")
    for axis, result in _mapping(audit["axes"], f"{name}.axes").items():
        if not isinstance(result, dict) or set(result) != set(AxisResult.__annotations__):
            raise RecordError(f"{name}.axes.{axis} needs exactly {', '.join(AxisResult.__annotations__)}")
        _verdict(result["verdict"], f"{name}.axes.{axis}.verdict")
    return audit


_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "schema": _schema,
    "run_id": lambda value, name: check_run_id(_text(value, name)),
    "status": _status,
    "message": _text,
    "method": _name,
    "options": _mapping,
    "task": _name,
    "model": _name,
    "seed": _integer,
    "setting": _setting,
    "metric": _name,
    "float_score": _optional(_number),
    "score": _optional(_number),
    "difference": _optional(_number),
    "difference_interval": _optional(_interval),
    "average_weight_bits": _optional(_number),
    "average_activation_bits": _optional(_number),
    "model_bytes": _optional(_integer),
    "feature_map_largest_bytes": _optional(_integer),
    "feature_map_total_bytes": _optional(_integer),
    "bits": _optional(_account),
    "audit": _optional(_audit),
    "figures": check_figures,
    "costs": _costs,
    "identity": _mapping,
    "environment": _mapping,
    "plan": _rows,
    "command": _text,
    "started": _text,
    "outcomes": _optional(lambda value, name: check_file_name(_text(value, name))),
}
_ORDER = tuple(_CHECKS)
assert set(_ORDER) == {item.name for item in fields(Record)}, "every field of a record has exactly one check"
