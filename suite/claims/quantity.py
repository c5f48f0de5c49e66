"""Claims: reading printed values. `>100 million`, `12.8%`, `16 kHz` and `lowest available` all stand in papers."""

from __future__ import annotations

import math
import re

from suite.claims.claim import Measure, Quantity

UNITS = ("%", "MB", "KB", "kB", "kHz", "bits", "minutes", "x")
SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "million": 1e6}
RELATIONS = {"<": "below", "within": "below", ">": "above", "about": "about"}
PRINTED = re.compile(
    r"(?P<relation>[<>]|about\b|within\b)?\s*(?P<times>x)?(?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"\s*(?P<scale>[kKM]|million)?\s*(?P<unit>%|x|kHz)?"
)
WITH_UNIT = re.compile(r"(?P<name>.+?)\s*\((?P<inside>[^()]*)\)")


def quantity(name: str, text: str, unit: str = "", relation: str = "") -> Quantity:
    """A printed value; whatever is more than one plain number stays a text without a number."""
    found = PRINTED.fullmatch(text)
    number = float(found["number"]) * SCALES.get(found["scale"] or "", 1.0) if found is not None else math.inf
    if found is None or not math.isfinite(number):
        return Quantity(name, text, None, unit, relation)
    own = "x" if found["times"] else found["unit"] or ""
    return Quantity(name, text, number, own or unit, RELATIONS.get(found["relation"] or "", relation))


def quantities(measure: Measure | None, metric: str, texts: tuple[str, ...]) -> tuple[Quantity, ...]:
    """The values of a row: named by its measure, or by the words of the metric where nobody declared one."""
    if measure is not None:
        return tuple(quantity(name, text, measure.unit) for name, text in zip(measure.values, texts, strict=False))
    name, unit, relation = metric, "", ""
    found = WITH_UNIT.fullmatch(metric)
    if found is not None:
        inside = [part.strip() for part in found["inside"].split(",")]
        unit = next((part for part in inside if part in UNITS), "")
        relation = "about" if "about" in inside else ""
        name = found["name"] if unit or relation else metric
    names = name.split(" / ")
    if len(names) != len(texts):
        names = [name, "second value"][: len(texts)]
    return tuple(quantity(one, text, unit, relation) for one, text in zip(names, texts, strict=True))
