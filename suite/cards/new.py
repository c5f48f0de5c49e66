"""Cards: a new one. Every axis with its question and its allowed values as comments, ready to be edited."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from suite.axes import AXES, Section, Setting, axes_of, plain
from suite.axes.axis import Axis
from suite.axes.domains import shown
from suite.cards.emit import block, flow_mapping
from suite.cards.layout import LINE, METHOD_ID, MODEL_ID, NAME, VERSION
from suite.errors import CardError

WIDTH = 110


def new_card(
    method: str = "rtn",
    task: str = "digits",
    model: str = "digits-resnet",
    *,
    title: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> str:
    """The text of a valid card of kind run: defaults, except for `values`."""
    title = f"{method} on {task}" if title is None else title
    for name, domain, value in (
        ("title", LINE, title),
        ("method.id", METHOD_ID, method),
        ("task", NAME, task),
        ("model", MODEL_ID, model),
    ):
        if not domain.accepts(value):
            raise CardError(f"{name}: expected {domain.describe()}, found {shown(value)}")
    setting = Setting({**{id: axis.default for id, axis in AXES.items()}, **(values or {})})
    lines = [
        "# A quantization card. Every axis has a value; the comment above it asks the question it answers.",
        "# Check it with: suite card validate FILE",
        f"card: {VERSION}  # version of the schema",
        "kind: run  # a run of this suite; cards copied from papers are of kind transcribed",
        *block("title", title),
        f"method: {flow_mapping({'id': method, 'options': {}})}  # suite show method {method} lists the options",
        *block("task", task),
        *block("model", model),
        "seed: 0",
    ]
    for section in Section:
        lines.extend(["", f"{section.value}:"])
        for axis in axes_of(section):
            lines.extend(_comment(axis))
            lines.extend(block(axis.id, plain(setting[axis.id]), 2))
    lines.extend(["", "remarks: []  # whatever a reader should know and no axis asks"])
    return "\n".join(lines) + "\n"


def _comment(axis: Axis) -> list[str]:
    lines = [axis.question, f"  {axis.domain.describe()}"]
    only = [word for word in axis.domain.words if not axis.enforceable(word)]
    if only:
        lines.append(f"  a card may describe {', '.join(only)}, but no run can be held to it")
    return [f"  # {part}" for line in lines for part in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    margin = line[: len(line) - len(line.lstrip())]
    return wrap(line, WIDTH, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False)
