"""Models: names of scaled architectures, a base and multipliers of width and depth: `resnet20-w1.26-d1.5` (no torch).

A multiplier is a number of thousandths, so that a name is exact; one that is 1 is left out, so that a network has one
name. Which bases can be scaled stands in `suite.models.SCALABLE`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from suite.errors import UnknownName, Unsupported
from suite.registry import Entry, suggestion

ONE = 1000
LEAST_CHANNELS = 4
NARROWEST, WIDEST = 50, 16 * ONE
"""Thousandths: a twentieth to sixteen times, for width and for depth."""
MOST_PARAMETERS = 1024
"""w² d, about how many times the parameters of the base a name may ask for: a typing error must not fill the memory."""

_NUMBER = r"(?:0|[1-9][0-9]{0,3})(?:\.[0-9]{1,6})?"
_SUFFIX = re.compile(rf"(?P<base>.+?)(?:-w(?P<width>{_NUMBER}))?(?:-d(?P<depth>{_NUMBER}))?")


@dataclass(frozen=True)
class Scale:
    """Multipliers of a network's width (channels of every layer) and depth (blocks of every stage), in thousandths."""

    width: int = ONE
    depth: int = ONE

    def channels(self, count: int) -> int:
        """`count` channels of the base, scaled: at least four, halves rounded up."""
        return max(LEAST_CHANNELS, (count * self.width + ONE // 2) // ONE)

    def repeats(self, count: int) -> int:
        """`count` blocks of a stage of the base, scaled: at least one, halves rounded up."""
        return max(1, (count * self.depth + ONE // 2) // ONE)

    @property
    def nominal(self) -> float:
        """w² d, the alpha of the formula: by how much parameters grow where every layer is a product of two widths."""
        return (self.width / ONE) ** 2 * self.depth / ONE

    @property
    def allowed(self) -> bool:
        """Whether a name may ask for it."""
        within = all(NARROWEST <= value <= WIDEST for value in (self.width, self.depth))
        return within and self.nominal <= MOST_PARAMETERS

    def name(self, base: str) -> str:
        """The one name of a base at this scale."""
        parts = [
            f"-{letter}{_shown(value)}" for letter, value in (("w", self.width), ("d", self.depth)) if value != ONE
        ]
        return base + "".join(parts)


def find_architecture(id: str) -> tuple[Entry, Scale | None]:
    """Where the architecture called `id` is defined, and its scale if the name asks for one.

    Every other name is an error that says what can be scaled, how it is written, or which name is near.
    """
    from suite.models import MODELS, SCALABLE

    if id in MODELS:
        return MODELS.entry(id), None
    found = _SUFFIX.fullmatch(id)
    base = found["base"] if found else id
    if found is None or base == id or base not in MODELS:
        # Where the base is misspelt, the suffix would hide what was meant.
        hint = suggestion(base, MODELS.ids())
        raise UnknownName(f"no model is called '{id}'", hint=hint)
    if base not in SCALABLE:
        raise Unsupported(f"'{base}' cannot be scaled", hint=f"these can: {', '.join(SCALABLE.ids())}")
    scale = Scale(_thousandths(found["width"], id), _thousandths(found["depth"], id))
    if not scale.allowed:
        raise Unsupported(
            f"'{id}' asks for a width or depth that is not built",
            hint=f"from {_shown(NARROWEST)} to {_shown(WIDEST)}, and width² times depth at most {MOST_PARAMETERS}",
        )
    if scale.name(base) != id:
        raise Unsupported(f"'{id}' is another name of '{scale.name(base)}'", hint="use that one")
    return SCALABLE.entry(base), scale


def _thousandths(text: str | None, id: str) -> int:
    if text is None:
        return ONE
    whole, _, part = text.partition(".")
    if len(part) > 3:
        raise Unsupported(f"'{id}' has a multiplier with more than three decimals", hint="for example -w1.26")
    return int(whole) * ONE + int(part.ljust(3, "0"))


def _shown(thousandths: int) -> str:
    return f"{thousandths // ONE}.{thousandths % ONE:03d}".rstrip("0").rstrip(".")
