"""Harness: a request is refused before any work when a run could not obey its card."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.axes import Setting
from suite.cards import Card, MethodChoice
from suite.errors import Unsupported
from suite.harness.request import Request, resolve


def request(weights: Path | None = None, **values: object) -> Request:
    card = Card(
        kind="run",
        title="a request",
        method=MethodChoice("rtn", {}),
        values=Setting.default().replace(**values).values,
        task="digits",
        model="digits-resnet",
        seed=0,
    )
    return resolve(card, weights=weights)


@pytest.mark.parametrize(
    ("axis", "value"),
    [
        ("preprocessing", "both-sides"),  # no task resizes otherwise than it always does
        ("preprocessing", "shorter-side"),
        ("sign_bit", "not-counted"),  # the figures of a record count every sign
        ("grid", "non-uniform"),
    ],
)
def test_what_no_run_could_obey_is_refused_by_name(axis: str, value: str) -> None:
    with pytest.raises(Unsupported, match=f"{axis} = {value}"):
        request(**{axis: value})


def test_a_named_source_of_weights_needs_those_weights() -> None:
    with pytest.raises(Unsupported, match="baseline_weights = somebody's weights"):
        request(baseline_weights="somebody's weights")
    given = request(weights=Path("theirs.pt"), baseline_weights="somebody's weights")
    assert given.setting["baseline_weights"] == "somebody's weights"
    assert request().setting["baseline_weights"] == "task-default"
