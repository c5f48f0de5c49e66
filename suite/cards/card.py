"""Cards: the card as an object. What a file declares, checked, and what the suite wrote into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from suite.axes import NOT_REPORTED, Setting, Value
from suite.errors import CardError, Place

Kind = Literal["run", "transcribed"]


@dataclass(frozen=True)
class MethodChoice:
    """Which method, with which options. The method itself checks the options; a card only knows they are scalars."""

    id: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """A checked card. `values` has every axis; in a transcribed card a value may be `NOT_REPORTED`."""

    kind: Kind
    title: str
    method: MethodChoice
    values: Mapping[str, Value]
    task: str | None = None
    model: str | None = None
    seed: int = 0
    remarks: tuple[str, ...] = ()
    source: Mapping[str, Any] | None = None
    results: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    path: Path | None = field(default=None, compare=False)
    text: str = field(default="", compare=False, repr=False)

    @property
    def setting(self) -> Setting:
        """The complete setting; only a card that reports every axis has one."""
        if self.unreported:
            raise CardError(
                f"{len(self.unreported)} axes are not reported, among them {self.unreported[0]}",
                place=Place(str(self.path)) if self.path else None,
                hint="a setting needs a value for every axis; only cards of kind run have them all",
            )
        return Setting(self.values)

    @property
    def unreported(self) -> tuple[str, ...]:
        """Axes on which the source of a transcribed card is silent."""
        return tuple(axis for axis, value in self.values.items() if value == NOT_REPORTED)
