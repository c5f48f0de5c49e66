"""Reports: what the page of one card says, gathered before any template runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suite.axes import AXES, Axis, Section, axes_of
from suite.bits import NUMBER_BYTES
from suite.errors import SuiteError
from suite.reports import numbers
from suite.reports.charts import Figure, difference_figure
from suite.reports.entry import CONTRADICTED, NOT_OBSERVABLE, NOT_RUN, VERIFIED, AxisAudit, Entry
from suite.reports.precision_page import PrecisionPage, precision_page
from suite.reports.trajectories import Trajectory, trajectory


@dataclass(frozen=True)
class Banner:
    """The one thing a reader must not miss. `tone` is good, doubtful, bad or quiet."""

    tone: str
    headline: str
    sentence: str


@dataclass(frozen=True)
class AxisRow:
    """One axis on the page. `kind` of its verdict chooses colour and sign, never the only carrier of meaning."""

    id: str
    question: str
    declared: str
    reported: bool
    is_default: bool
    cost: str
    source: str
    observed: str
    verdict: str
    kind: str
    evidence: str

    @property
    def repeats(self) -> bool:
        """Nothing was observed that the declared value does not say already; a narrow screen leaves it out."""
        return not self.observed or self.observed in (self.declared, numbers.NOTHING)


@dataclass(frozen=True)
class SectionRows:
    """One of the five sections of a card."""

    id: str
    title: str
    rows: tuple[AxisRow, ...]


@dataclass(frozen=True)
class Fact:
    """A labelled number with a remark in small print."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class PlanLine:
    """One site of the plan, as text."""

    site: str
    role: str
    shape: str
    elements: str
    grid: str
    rule: str
    reason: str
    quantized: bool


@dataclass(frozen=True)
class CardPage:
    """Everything the templates `card.html.j2` and `card.md.j2` print."""

    entry: Entry
    lede: str
    banner: Banner
    contradictions: tuple[AxisRow, ...]
    sections: tuple[SectionRows, ...]
    facts: tuple[Fact, ...]
    figure: Figure | None
    precision: PrecisionPage | None
    training: Trajectory | None
    plan: tuple[PlanLine, ...]
    options: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str, bool], ...]
    """Source of a transcribed card: name, text, and whether the text is a web address that may become a link."""

    @property
    def axis_count(self) -> int:
        return len(AXES)


def card_page(entry: Entry) -> CardPage:
    """Gather the page of one entry."""
    sections = tuple(
        SectionRows(section.value, section.heading, tuple(_axis_row(axis, entry) for axis in axes_of(section)))
        for section in Section
    )
    measured = entry.measured
    return CardPage(
        entry=entry,
        lede=_lede(entry),
        banner=banner(entry),
        contradictions=tuple(row for section in sections for row in section.rows if row.verdict == CONTRADICTED),
        sections=sections,
        facts=tuple(_facts(entry)),
        figure=None
        if measured.difference is None or entry.transcribed
        else difference_figure(measured.difference, measured.interval),
        precision=None
        if entry.bits is None
        else precision_page(entry.bits, scales_counted=entry.values["scales_in_size"] == "counted"),
        training=trajectory(entry.figures),
        plan=tuple(_plan_line(row) for row in entry.plan),
        options=tuple((numbers.clean(str(name)), numbers.value_text(value)) for name, value in entry.options.items()),
        environment=tuple(_flat(entry.environment)),
        links=tuple((name, text, is_web_address(text)) for name, text in (*entry.source, *entry.reported)),
    )


def banner(entry: Entry) -> Banner:
    """The verdict over the whole card, the worst news first."""
    counts = entry.verdict_counts
    if entry.status not in ("completed", NOT_RUN):
        headline = {"diverged": "This run diverged", "failed": "This run failed"}.get(
            entry.status, f"This run ended as “{entry.status}”"
        )
        return Banner("bad", headline, entry.message or "The record does not say why.")
    if entry.audit_verdict == CONTRADICTED or counts[CONTRADICTED]:
        said = _axes(counts[CONTRADICTED]) if counts[CONTRADICTED] else "an axis this version does not know"
        return Banner(
            "bad",
            "The audit contradicts this card",
            f"Declared and observed differ in {said}. The result is not comparable with others.",
        )
    if entry.audit_verdict == VERIFIED:
        return Banner(
            "good",
            "Audit: verified",
            f"Observed from outside and as declared: {_axes(counts[VERIFIED])}. "
            f"Without a trace to observe: {_axes(counts[NOT_OBSERVABLE])}.",
        )
    if entry.transcribed:
        silent = len(entry.unreported_axes)
        return Banner(
            "quiet",
            "Transcribed, not observed",
            f"This card says what its source reports. {silent} of {len(AXES)} axes are not reported there.",
        )
    if entry.status == NOT_RUN:
        return Banner("quiet", "Declared, not run yet", "This card declares a setting; nothing was measured under it.")
    return Banner("doubtful", "Not audited", "A result without an audit: nothing was observed from outside.")


def _axes(count: int) -> str:
    return "1 axis" if count == 1 else f"{count} axes"


def is_web_address(text: str) -> bool:
    """Only plain web addresses become links: no script, no data, no white space, no quotes."""
    scheme, separator, rest = text.partition("://")
    return scheme in ("http", "https") and bool(separator and rest) and not set(text) & set(" \"'<>`\\\t\r\n")


def _lede(entry: Entry) -> str:
    if entry.transcribed:
        named = [part for part in (entry.method, entry.model, entry.task) if numbers.is_reported(part)]
        return f"What a paper reports of {', '.join(named)}, in the words of the suite."
    bits = [_bits(entry, "weight"), _bits(entry, "activation")]
    what = f"The method {entry.method} quantizes {entry.model} on the task {entry.task}"
    return f"{what} to {bits[0]} and {bits[1]}, seed {entry.seed}."


def _bits(entry: Entry, what: str) -> str:
    value, precision = entry.values.get(f"{what}_bits"), entry.values.get(f"{what}_precision")
    many = f"{what}s"
    if not numbers.is_reported(value):
        return f"{many} of unreported precision"
    if value == 32:
        return f"{many} in full precision"
    average = "on average " if precision == "mixed" else ""
    return f"{average}{numbers.value_text(value)}-bit {many}"


def _axis_row(axis: Axis, entry: Entry) -> AxisRow:
    value = entry.values[axis.id]
    found = entry.audit.get(axis.id, AxisAudit("", "", "", ""))
    sentence, source = _cost(axis, value)
    kinds = {VERIFIED: "good", CONTRADICTED: "bad", NOT_OBSERVABLE: "quiet"}
    return AxisRow(
        id=axis.id,
        question=axis.question,
        declared=numbers.value_text(value),
        reported=numbers.is_reported(value),
        is_default=value == axis.default,
        cost=sentence,
        source=source,
        observed=found.observed,
        verdict=found.verdict,
        kind=kinds.get(found.verdict, "quiet"),
        evidence=found.evidence,
    )


def _cost(axis: Axis, value: Any) -> tuple[str, str]:
    """What the value costs at inference; nothing where it is not reported or not one this version knows."""
    if not numbers.is_reported(value):
        return "", ""
    try:
        cost = axis.cost(value)
    except (SuiteError, KeyError):
        return "", ""
    return cost.sentence, cost.source


def _facts(entry: Entry) -> list[Fact]:
    measured, costs = entry.measured, entry.measured.costs
    facts = []
    if measured.weight_bits is not None:
        facts.append(Fact("Weights", f"{numbers.number(measured.weight_bits)} bits", "average over all weights"))
    if measured.activation_bits is not None:
        facts.append(
            Fact("Activations", f"{numbers.number(measured.activation_bits)} bits", "average over all tensors")
        )
    if measured.model_bytes is not None:
        facts.append(Fact("Model", numbers.byte_size(measured.model_bytes), _float_size(entry)))
    if measured.feature_map_largest_bytes is not None:
        facts.append(Fact("Largest feature map", numbers.byte_size(measured.feature_map_largest_bytes), "one example"))
    if measured.feature_map_total_bytes is not None:
        facts.append(Fact("All feature maps", numbers.byte_size(measured.feature_map_total_bytes), "one example"))
    if "examples" in costs:
        presented = costs.get("examples_presented")
        remark = f"presented {_amount(presented)} times in all" if presented is not None else "distinct"
        facts.append(Fact("Examples seen", _amount(costs["examples"]), remark))
    if "labels" in costs:
        facts.append(Fact("Labels", "used" if costs["labels"] else "not used"))
    if "seconds" in costs:
        facts.append(Fact("Time", numbers.duration(_float(costs["seconds"])), _epochs(costs)))
    if costs.get("peak_bytes") is not None:
        facts.append(Fact("Peak memory", numbers.byte_size(_float(costs["peak_bytes"]))))
    return facts


def float_weight_bytes(entry: Entry) -> int | None:
    """Bytes of the quantizable weights at 32 bits, from the plan; None without a plan."""
    tensors = {
        str(row.get("tensor", row.get("site"))): row.get("elements")
        for row in entry.plan
        if row.get("role") == "weight" and isinstance(row.get("elements"), int)
    }
    return NUMBER_BYTES * sum(int(elements or 0) for elements in tensors.values()) or None


def _float_size(entry: Entry) -> str:
    what, size = "its weights alone", float_weight_bytes(entry)
    if entry.bits is not None:
        what, size = "the same numbers", entry.bits.float_bytes
    if size is None or not entry.measured.model_bytes:
        return ""
    times = numbers.number(round(size / entry.measured.model_bytes, 1), 1)
    return f"{what} take {numbers.byte_size(size)} in float, {times} times as much"


def _epochs(costs: Mapping[str, Any]) -> str:
    fraction = _float(costs.get("epoch_fraction"))
    if fraction is None:
        return ""
    return f"{numbers.number(fraction, 2)} epochs of float training, measured on the same machine"


def _amount(value: Any) -> str:
    return numbers.number(_float(value)) if _float(value) is not None else numbers.value_text(value)


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _plan_line(row: Mapping[str, Any]) -> PlanLine:
    raw = row.get("spec")
    spec: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
    shape = row.get("shape")
    return PlanLine(
        site=numbers.value_text(row.get("site")),
        role=numbers.value_text(row.get("role")),
        shape="×".join(numbers.value_text(size) for size in shape) if isinstance(shape, list) else "",
        elements=_amount(row.get("elements")),
        grid=_grid(spec),
        rule=numbers.value_text(spec.get("range_rule")) if spec else "",
        reason=numbers.value_text(row.get("reason")) if row.get("reason") else "",
        quantized=bool(spec),
    )


def _grid(spec: Mapping[str, Any]) -> str:
    if not spec:
        return "full precision"
    words = [f"{numbers.value_text(spec.get('bits'))} bits"]
    if "signed" in spec:
        words.append("signed" if spec["signed"] else "unsigned")
    if "symmetric" in spec:
        words.append("symmetric" if spec["symmetric"] else "asymmetric")
    if "granularity" in spec:
        words.append(numbers.value_text(spec["granularity"]))
    if spec.get("dynamic"):
        words.append("dynamic")
    return " ".join(words)


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{numbers.clean(str(key))}"
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{name}.")
        else:
            pairs.append((name, numbers.value_text(value)))
    return pairs
