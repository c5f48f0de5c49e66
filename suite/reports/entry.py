"""Reports: one card or record as everything below reads it, with the edge's dicts turned into named fields.

A page may be made of a card alone (transcribed from a paper, or not yet run), of a record alone, or of both. Then the
record has the last word on what was measured, and the card on what people wrote: title, remarks, source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from suite.axes import AXES, NOT_REPORTED
from suite.bits import BitAccount, read_account
from suite.reports.numbers import clean, value_text

if TYPE_CHECKING:
    from suite.cards import Card
    from suite.records import Outcomes, Record

VERIFIED, CONTRADICTED, NOT_OBSERVABLE = "verified", "contradicted", "not observable"
COMPLETED, NOT_RUN = "completed", "not run"

COSTS = ("seconds", "epoch_fraction", "examples", "labels", "examples_presented", "passes", "peak_bytes")
"""Costs that pages show. A record keeps them together, a card among its results."""


@dataclass(frozen=True)
class AxisAudit:
    """What the audit says of one axis."""

    declared: str
    observed: str
    verdict: str
    evidence: str


@dataclass(frozen=True)
class Measured:
    """Numbers a run left behind; None where nothing was measured."""

    metric: str = ""
    float_score: float | None = None
    score: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    weight_bits: float | None = None
    activation_bits: float | None = None
    model_bytes: float | None = None
    feature_map_largest_bytes: float | None = None
    feature_map_total_bytes: float | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One card or record, ready to be shown or compared."""

    title: str
    kind: str
    method: str
    options: Mapping[str, Any]
    task: str
    model: str
    seed: int | None
    values: Mapping[str, Any]
    """Axis id -> declared value; every axis is here, `not reported` where nothing is said."""
    status: str
    message: str = ""
    run_id: str = ""
    measured: Measured = Measured()
    reported: tuple[tuple[str, str], ...] = ()
    """Where a transcribed card says its results are printed: name and text, as `source` has them."""
    audit_verdict: str | None = None
    audit: Mapping[str, AxisAudit] = field(default_factory=dict)
    plan: tuple[Mapping[str, Any], ...] = ()
    bits: BitAccount | None = None
    """What the audit counted, layer by layer; a card has only the sums."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What the method measured of its own work."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    started: str = ""
    remarks: tuple[str, ...] = ()
    source: tuple[tuple[str, str], ...] = ()
    outcomes: Outcomes | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    """What the page embeds: the record as JSON, or the card where there is no record."""

    @property
    def transcribed(self) -> bool:
        return self.kind == "transcribed"

    @property
    def contradicted_axes(self) -> tuple[str, ...]:
        return tuple(axis for axis, found in self.audit.items() if found.verdict == CONTRADICTED)

    @property
    def unreported_axes(self) -> tuple[str, ...]:
        return tuple(axis for axis, value in self.values.items() if value == NOT_REPORTED)

    @property
    def verdict_counts(self) -> dict[str, int]:
        verdicts = [found.verdict for found in self.audit.values()]
        return {verdict: verdicts.count(verdict) for verdict in (VERIFIED, CONTRADICTED, NOT_OBSERVABLE)}


def entry_of(card: Card | None, record: Record | None = None, outcomes: Outcomes | None = None) -> Entry:
    """The entry of a card, of a record, or of a card with the record of its run."""
    if record is not None:
        return _of_record(card, record, outcomes)
    if card is None:
        raise ValueError("an entry needs a card or a record")
    return _of_card(card)


def method_names(entries: Sequence[Entry]) -> list[str]:
    """Each method with what tells it from the same method in another entry: `lsq (initialization mse)`.

    That may be its options, and the axes that are part of a method, such as the rule for its ranges.
    """
    names = []
    for entry in entries:
        others = [other for other in entries if other.method == entry.method]
        told = [
            f"{clean(str(name))} {value_text(value)}"
            for name, value in entry.options.items()
            if any(other.options.get(name) != value for other in others)
        ]
        told += [
            f"{axis} {value_text(value)}"
            for axis, value in entry.values.items()
            if AXES[axis].of_method and any(other.values.get(axis) != value for other in others)
        ]
        names.append(f"{entry.method} ({', '.join(told)})" if told else entry.method)
    return names


def _of_record(card: Card | None, record: Record, outcomes: Outcomes | None) -> Entry:
    document = record.to_dict()
    verdict, axes = _audit(record.audit)
    return Entry(
        title=clean(card.title if card is not None else f"{record.method} on {record.model}, {record.task}"),
        kind="run",
        method=clean(record.method),
        options=record.options,
        task=clean(record.task),
        model=clean(record.model),
        seed=record.seed,
        values=declared_values(record.setting),
        status=str(record.status.value),
        message=clean(record.message),
        run_id=record.run_id,
        measured=_measured(document),
        audit_verdict=verdict,
        audit=axes,
        plan=tuple(record.plan),
        bits=None if record.bits is None else read_account(record.bits),
        figures=record.figures,
        identity=record.identity,
        environment=record.environment,
        command=clean(record.command),
        started=clean(record.started),
        remarks=tuple(clean(remark) for remark in card.remarks) if card is not None else (),
        source=_pairs(card.source) if card is not None else (),
        outcomes=outcomes,
        document=document,
    )


def _of_card(card: Card) -> Entry:
    results: Mapping[str, Any] = card.results or {}
    verdict, axes = _audit(card.audit)
    ran = card.kind == "run" and bool(results)
    return Entry(
        title=clean(card.title),
        kind=card.kind,
        method=card.method.id,
        options=card.method.options,
        task=card.task or NOT_REPORTED,
        model=card.model or NOT_REPORTED,
        seed=card.seed,
        values=_values(card.values),
        status=str(results.get("status", COMPLETED)) if ran else NOT_RUN,
        run_id=_text(results.get("run_id")),
        measured=_measured(results),
        reported=(("results in", value_text(results["pointer"])),) if "pointer" in results else (),
        audit_verdict=verdict,
        audit=axes,
        remarks=tuple(clean(remark) for remark in card.remarks),
        source=_pairs(card.source),
        document={
            "card": 1,
            "kind": card.kind,
            "title": card.title,
            "method": {"id": card.method.id, "options": dict(card.method.options)},
            "task": card.task,
            "model": card.model,
            "seed": card.seed,
            "values": {axis: list(value) if isinstance(value, tuple) else value for axis, value in card.values.items()},
            "remarks": list(card.remarks),
            "source": dict(card.source or {}),
            "results": dict(results),
            "audit": dict(card.audit or {}),
        },
    )


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every axis, in the order of the card; a list read from JSON is the tuple that a setting holds."""
    held = {axis: values.get(axis, NOT_REPORTED) for axis in AXES}
    return {axis: _hashable(value) for axis, value in held.items()}


def declared_values(setting: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every axis under the setting of a record.

    A record of a time when something was no axis yet cannot say it; then the axis knows what every run did.
    """
    before = {id: axis.before for id, axis in AXES.items() if axis.before is not None}
    return _values({**before, **setting})


def _hashable(value: Any) -> Any:
    """Records come from files: anything but a number, a text or a flat list becomes the text a reader would see."""
    if isinstance(value, list | tuple):
        return tuple(item if isinstance(item, int | float | str) else value_text(item) for item in value)
    return value if isinstance(value, int | float | str) else value_text(value)


def _measured(results: Mapping[str, Any]) -> Measured:
    interval = results.get("difference_interval")
    bounds = [_number(bound) for bound in interval] if isinstance(interval, list | tuple) else []
    low, high = bounds if len(bounds) == 2 else (None, None)
    score, float_score, difference = (_number(results.get(key)) for key in ("score", "float_score", "difference"))
    if difference is None and score is not None and float_score is not None:
        difference = score - float_score
    return Measured(
        metric=_text(results.get("metric")),
        float_score=float_score,
        score=score,
        difference=difference,
        interval=(low, high) if low is not None and high is not None else None,
        weight_bits=_number(results.get("average_weight_bits")),
        activation_bits=_number(results.get("average_activation_bits")),
        model_bytes=_number(results.get("model_bytes")),
        feature_map_largest_bytes=_number(results.get("feature_map_largest_bytes")),
        feature_map_total_bytes=_number(results.get("feature_map_total_bytes")),
        costs={
            name: held[name] for held in (results, _mapping(results.get("costs"))) for name in COSTS if name in held
        },
    )


def _audit(audit: Any) -> tuple[str | None, dict[str, AxisAudit]]:
    held = _mapping(audit)
    if not held:
        return None, {}
    axes = {
        str(axis): AxisAudit(
            declared=value_text(found.get("declared")),
            observed=value_text(found.get("observed")),
            verdict=_text(found.get("verdict")),
            evidence=value_text(found.get("evidence")) if found.get("evidence") else "",
        )
        for axis, found in _mapping(held.get("axes")).items()
        if isinstance(found, Mapping)
    }
    return _text(held.get("verdict")) or None, axes


def _pairs(mapping: Any) -> tuple[tuple[str, str], ...]:
    return tuple((clean(str(key)), value_text(value)) for key, value in _mapping(mapping).items())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""
