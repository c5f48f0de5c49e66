"""The plan as data: JSON and back, digests, differences, and a table that fits the screen."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from suite.axes import Setting
from suite.errors import RecordError, UnknownName
from suite.plan import Plan, Role, describe, make_plan
from suite.quantizers.spec import QuantizerSpec


def test_json_round_trip_and_digest(zoo, base: Setting) -> None:
    for name in ("tiny-resnet", "efficientnet", "deit_tiny"):
        plan = make_plan(zoo.anatomy(name), base.replace(batch_norm="folded", pooling="low-precision-integer"))
        text = json.dumps(plan.to_dict(), allow_nan=False)
        again = Plan.from_dict(json.loads(text))
        assert again == plan
        assert again.digest() == plan.digest()
        assert len(plan.digest()) == 64
    other = make_plan(zoo.anatomy("tiny-resnet"), base.replace(weight_bits=3))
    assert other.digest() != make_plan(zoo.anatomy("tiny-resnet"), base).digest()


@pytest.mark.parametrize("damage", [{"schema": 99}, {"rows": [{}]}, {"quantizers": 3}, {"folds": [[1]]}])
def test_what_is_no_plan_is_refused(zoo, base: Setting, damage: dict[str, object]) -> None:
    values = make_plan(zoo.anatomy("tiny-resnet"), base).to_dict()
    with pytest.raises(RecordError):
        Plan.from_dict({**values, **damage})


def test_frozen(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("tiny-resnet"), base)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.rows = ()  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.rows[0].reason = ""  # type: ignore[misc]


def test_tables_fit_and_name_every_site(zoo, base: Setting, any_model: str) -> None:
    plan = make_plan(zoo.anatomy(any_model), base)
    lines = plan.table(100).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) == len(plan.rows) + 2
    for row, line in zip(plan.rows, lines[2:], strict=True):
        shown = line.split()[0]
        assert row.site == shown or (shown.startswith("…") and row.site.endswith(shown[1:]))
        assert f"{row.elements:,}" in line.split()
        assert ("float" in line) == (row.spec is None)
    assert plan.table(100) == make_plan(zoo.anatomy(any_model), base).table(100)


def test_a_grid_in_a_few_characters() -> None:
    assert describe(None) == "float"
    assert describe(QuantizerSpec(4, signed=False, symmetric=True)) == "4 u sym tensor"
    assert describe(QuantizerSpec(4, True, True, granularity="per-group", group_size=32)) == "4 s sym group 32"
    assert describe(QuantizerSpec(8, False, False, dynamic=True)) == "8 asym tensor dynamic"


def test_differences_say_what_changed(zoo, base: Setting) -> None:
    left = make_plan(zoo.anatomy("tiny-resnet"), base)
    right = make_plan(zoo.anatomy("tiny-resnet"), base.replace(last_layer_weights="8-bit"))
    [difference] = left.diff(right)
    assert str(difference) == "fc:weight: 4 s sym channel -> 8 s sym channel"
    assert left.diff(left) == ()
    elsewhere = make_plan(zoo.anatomy("tiny-mixed"), base)
    assert "no such site" in str(left.diff(elsewhere)[-1])


def test_look_ups(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("tiny-resnet"), base)
    assert plan.row("fc:weight").role is Role.WEIGHT
    assert plan.quantizer("fc:weight").operation == "fc"
    for ask in (plan.row, plan.quantizer):
        with pytest.raises(UnknownName, match="did you mean 'fc:weight'"):
            ask("fc:wieght")
    with pytest.raises(UnknownName):
        plan.with_specs({"nothing": QuantizerSpec(4, True, True)})


def test_replaced_specs_reach_every_row_on_their_grid(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("tiny-resnet"), base)
    spec = dataclasses.replace(plan.quantizer("blocks.0.add:sum").spec, bits=2)
    mixed = plan.with_specs({"blocks.0.add:sum": spec})
    assert {difference.site for difference in plan.diff(mixed)} == {
        row.site for row in plan.rows if row.quantizer == "blocks.0.add:sum"
    }
    assert mixed.quantizer("blocks.0.add:sum").spec.bits == 2


def test_reading_a_plan_needs_no_torch() -> None:
    code = (
        "import sys; from suite.plan import Plan, PlanRow, Site, Anatomy, make_plan; "
        "raise SystemExit(1 if 'torch' in sys.modules else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
