"""`suite show method`: everything a reader has to know, true to the class, within eighty columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Literal

import click
import pytest

from suite.axes import AXES, Setting
from suite.cli.main import run
from suite.cli.show_method import method_data, method_text
from suite.methods import METHODS
from suite.methods.api import Method, Needs, Note, Options, Paper, Workbench, option

NAMES = [entry.id for entry in METHODS]


@pytest.fixture(params=NAMES)
def data(request: pytest.FixtureRequest) -> dict[str, object]:
    return method_data(request.param)


def test_every_method_fits_into_eighty_columns(data: dict[str, object]) -> None:
    lines = click.unstyle(method_text(data, 80)).splitlines()
    long = [line for line in lines if len(line) > 80 and not line.strip().startswith("https://")]  # never broken
    assert not long
    assert not any(line != line.rstrip() for line in lines)
    assert "\n\n\n" not in "\n".join(lines)


def test_json_holds_the_whole_of_it(data: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "method", str(data["id"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == data


def test_what_is_recommended_makes_the_setting_of_a_new_card(data: dict[str, object]) -> None:
    method = METHODS.get(str(data["id"]))
    expected = Setting.default().replace(**dict(method.recommended))
    shown = {axis: tuple(value) if isinstance(value, list) else value for axis, value in data["recommended"].items()}  # type: ignore[attr-defined]
    assert Setting.default().replace(**shown) == expected
    assert all(AXES[axis].default != value for axis, value in shown.items())


@dataclass(frozen=True)
class ShownOptions(Options):
    rate: float = option(0.5, doc="how fast, said at a length that takes more than one line", minimum=0.0, maximum=1e8)
    kind: Literal["one", "two"] = option("one", doc="which of both")
    limit: int | None = option(None, doc="where to stop", minimum=1)
    fast: bool = option(True, doc="whether to hurry")


class Shown(Method):
    """v̂ = v.

        an indented formula   stays   as it is

    A second paragraph that is
    wrapped anew.
    """

    id = "shown"
    title = "A method to look at"
    paper = Paper("On looking", "A. Reader", 2020, "https://example.org/looking")
    needs = Needs(labels=True, examples=True)
    notes = (
        Note(about="rate", ours="a half; option rate", paper="a third", code="a quarter"),
        Note(about="kind", ours="one; option kind", code="two"),
        Note(about="limit", ours="none"),
    )
    supports: ClassVar = {"allowed_bit_widths": ("any-integer", (2, 4, 8)), "labels": ("labeled",)}
    recommended: ClassVar = {"labels": "labeled", "weight_bits": 8, "allowed_bit_widths": (2, 4, 8)}
    Options = ShownOptions

    def quantize(self, work: Workbench) -> None:
        """Nothing to do."""


TEXT = """\
shown: A method to look at
A summary.

v̂ = v.

    an indented formula   stays   as it is

A second paragraph that is wrapped anew.

paper   A. Reader: “On looking”, 2020,
        https://example.org/looking
needs   labels, examples
from    tests

Options (--option NAME=VALUE, or on the card)
  rate = 0.5: a number from 0 to 100000000
      how fast, said at a length that takes more than one
      line
  kind = one: one of one, two
      which of both
  limit = none: an integer of at least 1 or none
      where to stop
  fast = true: true or false
      whether to hurry

Where the paper, public code and this file differ, or are silent
  rate
      paper   a third
      code    a quarter
      here    a half; option rate
  kind
      paper   silent
      code    two
      here    one; option kind
  limit
      paper   silent, and so is the code
      here    none

Recommended, where it is not the axis's default ('suite card new' writes it)
  allowed_bit_widths  [2, 4, 8]
  labels              labeled

Supported values (of every other axis: all)
  allowed_bit_widths  any-integer, [2, 4, 8]
  labels              labeled"""


def test_a_page_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        origin = "tests"

        def summary(self) -> str:
            return "A summary."

    monkeypatch.setattr(METHODS, "entry", lambda id: Entry())
    monkeypatch.setattr(METHODS, "get", lambda id: Shown)
    data = method_data("shown")
    assert click.unstyle(method_text(data, 60)) == TEXT
    assert data["notes"][1] == {"about": "kind", "paper": "", "code": "two", "ours": "one; option kind"}
    assert data["options"]["rate"] == {
        "type": "float", "default": 0.5, "doc": ShownOptions.fields()["rate"].doc,
        "expected": "a number from 0 to 100000000",
        "choices": [], "minimum": 0.0, "maximum": 1e8, "optional": False,
    }  # fmt: skip
    assert json.loads(json.dumps(data)) == data


def test_a_method_without_options_or_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = method_data("rtn") | {"options": {}, "notes": [], "recommended": {}, "supports": {}}
    text = click.unstyle(method_text(data, 80))
    assert text.endswith("No options")


def test_what_a_preset_decides_is_told() -> None:
    data = method_data("adaround")
    assert data["derived"]["left_out"]["unit_input"] == "mixed"
    assert data["derived"]["choices"]["preset=brecq"]["unit_input"] == "quantized"
    assert "unit" not in data["derived"]["choices"]["preset=brecq"]  # the same in both
    text = click.unstyle(method_text(data, 80))
    assert "  unit_input = none, which gives mixed: one of float, quantized, mixed or none\n" in text
    assert "  preset=brecq\n      unit_input = quantized" in text
