"""Hardware: a profile, which values of which axes a piece of hardware can run, each with the document that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suite.axes import AXES, plain
from suite.axes.domains import Value

# The bits of mixed precision are an average; what hardware restricts there is the list of widths to choose from.
WIDTHS = "allowed_bit_widths"
BITS = {"weight_bits": "weight_precision", "activation_bits": "activation_precision"}


@dataclass(frozen=True)
class Document:
    """Where a restriction is written."""

    id: str
    title: str
    url: str = ""


@dataclass(frozen=True)
class Restriction:
    """The values of one axis that hardware can run: a list, a range of numbers, or both."""

    axis: str
    allowed: tuple[Value, ...] = ()
    """The values, the preferred one first."""
    at_least: float | None = None
    at_most: float | None = None
    source: str = ""
    """Id of a document; empty where a user's profile gives none."""
    says: str = ""

    def admits(self, value: Value) -> bool:
        if value in self.allowed:
            return True
        if (self.at_least, self.at_most) == (None, None) or not isinstance(value, int | float):
            return False
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    def candidates(self) -> tuple[Value, ...]:
        """Values to offer in the place of one that is not admitted: those named, and the ends of the range."""
        axis = AXES[self.axis]
        ends = (end for end in (self.at_most, self.at_least) if end is not None and axis.domain.accepts(end))
        return tuple(dict.fromkeys((*self.allowed, *(axis.domain.normalise(end) for end in ends))))

    def describe(self) -> str:
        """What is admitted, in words."""
        words = [str(plain(value)) for value in self.allowed]
        words += [f"at least {self.at_least:g}"] if self.at_least is not None and self.at_most is None else []
        words += [f"at most {self.at_most:g}"] if self.at_most is not None and self.at_least is None else []
        if self.at_least is not None and self.at_most is not None:
            words.append(f"from {self.at_least:g} to {self.at_most:g}")
        return " or ".join(words)


@dataclass(frozen=True)
class Profile:
    """One piece of hardware, with the software that runs networks on it."""

    id: str
    title: str
    documents: tuple[Document, ...]
    restrictions: Mapping[str, Restriction]
    """By axis id, in the order of the card."""
    not_stated: tuple[str, ...] = ()
    """Axes on which the documents are silent; nothing is assumed of them."""
    remarks: tuple[str, ...] = ()
    file: Path | None = None

    def document(self, id: str) -> Document | None:
        return next((document for document in self.documents if document.id == id), None)

    def restriction_of(self, axis: str, values: Mapping[str, Value]) -> Restriction | None:
        """What is asked of an axis beside these values of the others, None where nothing is.

        Bits that are an average are not restricted themselves: the widths that may be chosen are, to those that both
        the weights and the activations with mixed precision can have. Where mixed precision is forbidden altogether,
        its widths need no word.
        """
        if axis in BITS:
            return None if values.get(BITS[axis]) == "mixed" else self.restrictions.get(axis)
        if axis != WIDTHS:
            return self.restrictions.get(axis)
        mixed = [
            self.restrictions[bits]
            for bits, precision in BITS.items()
            if values.get(precision) == "mixed" and bits in self.restrictions and self._admits_mixed(precision)
        ]
        if not mixed:
            return None
        widths = [int(width) for width in AXES[WIDTHS].domain.members if all(one.admits(width) for one in mixed)]  # type: ignore[attr-defined]
        return _Widths(WIDTHS, (tuple(widths),), source=mixed[0].source, says=mixed[0].says)

    def _admits_mixed(self, precision: str) -> bool:
        held = self.restrictions.get(precision)
        return held is None or held.admits("mixed")


@dataclass(frozen=True)
class _Widths(Restriction):
    """A list of widths is admitted where every one of its members is."""

    def admits(self, value: Value) -> bool:
        (widths,) = self.allowed
        return isinstance(value, tuple) and isinstance(widths, tuple) and set(value) <= set(widths)

    def candidates(self) -> tuple[Value, ...]:
        return tuple(value for value in self.allowed if AXES[WIDTHS].domain.accepts(value))

    def describe(self) -> str:
        (widths,) = self.allowed
        return f"widths out of {plain(widths)}"
