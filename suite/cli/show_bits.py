"""Command line, the bits of a run: what `suite show bits` prints. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from suite.cli.output import columns
from suite.errors import RecordError

if TYPE_CHECKING:
    from suite.bits import BitAccount
    from suite.reports import Entry


def account_of(entry: Entry, named: str) -> BitAccount:
    """The account of an entry, or why it has none."""
    if entry.bits is not None:
        return entry.bits
    if not entry.run_id or entry.status == "not run":
        raise RecordError(f"{named} is a card: bits are counted layer by layer in the record of a run", hint=_HINT)
    if entry.status != "completed":
        raise RecordError(f"{named} {entry.status}: nothing was left to count", hint="show a run that completed")
    raise RecordError(f"the record of {named} has no account of bits: an older suite wrote it", hint=_HINT)


_HINT = "`suite evaluate --card CARD --force` writes it"


def bits_data(entry: Entry, account: BitAccount) -> dict[str, Any]:
    """The one JSON object of `--json`: the account, and every sum over it."""
    from suite.bits import Convention

    return {
        "run_id": entry.run_id,
        "method": entry.method,
        "task": entry.task,
        "model": entry.model,
        **account.to_dict(),
        "totals": {
            "weights": account.elements,
            "average_weight_bits": {one.value: account.average_weight_bits(one) for one in Convention},
            "stored_weight_bits": account.stored_weight_bits,
            "weight_bytes": account.weight_bytes,
            "precision_map_bytes": account.map_bytes,
            "scale_bytes": account.scale_bytes,
            "other_bytes": account.other_bytes,
            "model_bytes": {"counted": account.model_bytes(), "not-counted": account.model_bytes(scales=False)},
            "scales_in_size": entry.values["scales_in_size"],
            "float_bytes": account.float_bytes,
            "average_activation_bits": account.average_activation_bits,
            "feature_map_largest_bytes": account.feature_map_largest_bytes,
            "feature_map_total_bytes": account.feature_map_total_bytes,
        },
    }


def bits_text(entry: Entry, account: BitAccount) -> str:
    """The account for people: one line a layer, then what each sum counts."""
    from suite.reports.numbers import clean
    from suite.reports.precision_page import precision_page

    page = precision_page(account, scales_counted=entry.values["scales_in_size"] == "counted")
    headers = ["layer", "weights", "bits", "", "levels", "scales + zero points", "bytes"]
    rows = [
        [
            one.name,
            _amount(one.layer.elements),
            _amount(round(one.layer.bits, 2)),
            one.bar,
            one.levels,
            one.scales,
            _amount(one.layer.bytes),
        ]
        for one in page.layers
    ]
    if page.varies:
        headers.append("bits: share of the weights")
        rows = [[*row, one.spread] for row, one in zip(rows, page.layers, strict=True)]
    lines = [
        click.style(entry.run_id, bold=True) + f"  ({entry.method} on {entry.model})",
        "",
        columns(rows, headers),
        "",
        "bits of a weight on average",
        *(f"{one.amount:>12.2f}  {one.what}" for one in page.averages),
        "",
        "bytes",
        *(f"{one.amount:>12,}  {one.what}" for one in page.sizes),
    ]
    if page.largest_map is not None:
        lines += [
            "",
            "feature maps of one example",
            f"{account.average_activation_bits:>12.2f}  bits of a value on average",
            f"{page.largest_map.bytes:>12,}  bytes of the largest, {clean(page.largest_map.tensor)}",
            f"{account.feature_map_total_bytes:>12,}  bytes of all together",
        ]
    return "\n".join(lines)


def _amount(value: float | int) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:.2f}"
