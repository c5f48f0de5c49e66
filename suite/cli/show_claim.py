"""`suite show claim`: a published number, where it stands, and what its paper says of the setting behind it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import click

WIDTH = 100


def claim_row(claim: Any) -> dict[str, Any]:
    """One row of a listing: everything that the table itself says, and no more."""
    return {
        "id": claim.id,
        "paper": claim.paper,
        "table": claim.table,
        "place": claim.place,
        "dataset": claim.dataset or None,
        "model": claim.model or None,
        "method": claim.method or None,
        "setting": claim.setting or None,
        "weight_bits": claim.weight_bits,
        "activation_bits": claim.activation_bits,
        "metric": claim.metric,
        "value": claim.value,
        "values": [
            {
                "name": held.name,
                "printed": held.text,
                "number": held.number,
                "unit": held.unit or None,
                "relation": held.relation or None,
                "explained": held.explained,
            }
            for held in claim.quantities
        ],
        "note": claim.note or None,
    }


def claim_data(id: str) -> dict[str, Any]:
    """Everything that is known of one claim, as plain data."""
    from suite.axes import plain
    from suite.claims import load_published
    from suite.claims.mapping import load_mappings

    published = load_published()
    claim = published.claim(id)
    paper, table = published.papers[claim.paper], published.table_of(claim)
    statement = published.statement_of(claim)
    return {
        **claim_row(claim),
        "paper_title": paper.title,
        "authors": paper.authors or None,
        "year": paper.year,
        "url": paper.url or None,
        "read_from": paper.read_from,
        "table_title": table.title if table is not None else None,
        "kind": table.kind.value if table is not None else "prose",
        "float_model": claim.is_float,
        "stated": {} if statement is None else {axis: plain(value) for axis, value in statement.stated.items()},
        "not_reported": [] if statement is None else list(statement.not_reported),
        "unstated": list(paper.prose_unstated if table is None else statement.unstated if statement else ()),
        "doubts": [{"kind": doubt.kind, "says": doubt.says} for doubt in published.doubts_of(claim)],
        "needs": list(table.needs) if table is not None else [],
        "card": (table.card or None) if table is not None else None,
        "studies": [mapping.study for mapping in load_mappings() if mapping.speaks_of(claim)],
        "file": claim.file.name,
        "line": claim.line,
    }


def claim_text(data: dict[str, Any]) -> str:
    """The claim for people."""
    title = data["table_title"]
    place = f"{data['place']}: {title}" if title else data["place"]
    lines = [click.style(data["id"], bold=True), data["paper_title"], place, ""]
    said = (("data set", "dataset"), ("model", "model"), ("method", "method"), ("setting", "setting"))
    lines += [f"{name:<10}{data[key]}" for name, key in said if data[key]]
    if data["weight_bits"] or data["activation_bits"]:
        bits = (data["weight_bits"], data["activation_bits"])
        lines.append(f"{'bits':<10}weights {_bits(bits[0])}, activations {_bits(bits[1])}")
    lines += [f"{'metric':<10}{data['metric']}"]
    lines += [f"{'value':<10}{held['explained']}  {held['name']}" for held in data["values"]]
    lines += _wrapped("note      ", [data["note"]] if data["note"] else [])
    for doubt in data["doubts"]:
        lines += ["", *_wrapped(f"{doubt['kind']}: ", [doubt["says"]])]
    if data["stated"]:
        stated = (
            f"{axis}={', '.join(map(str, held)) if isinstance(held, list) else held}"
            for axis, held in data["stated"].items()
        )
        lines += ["", *_wrapped("stated: ", [", ".join(stated)])]
        lines += _wrapped("not reported: ", [", ".join(data["not_reported"])])
    lines += _wrapped("unstated: ", data["unstated"])
    if data["needs"]:
        lines += _wrapped("the number itself needs: ", ["; ".join(data["needs"])])
    if data["card"]:
        lines.append(f"the same as a card: {data['card']}")
    lines += [
        f"asked again by the study {study}: suite reproduce {data['paper']}/{data['table']}"
        for study in data["studies"]
    ]
    lines += ["", f"read from {data['read_from']}", f"stored in {data['file']}, line {data['line']}"]
    return "\n".join(lines)


def _bits(bits: object) -> str:
    if bits is None:
        return "not said"
    return f"{bits:g}" if isinstance(bits, float) else str(bits)


def _wrapped(head: str, texts: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
        )
    return lines
