"""Ground floor: every exception that means "the user can mend this".

A `SuiteError` is printed as one line, with the place and the remedy, and ends the command with exit code 2.
Anything else that reaches the command line is a bug and shows its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where in a file something is wrong; lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.file] + [str(number) for number in (self.line, self.column) if number is not None]
        return ":".join(parts)


class SuiteError(Exception):
    """A mistake the user can mend: what is wrong, where, and what to do next."""

    def __init__(self, message: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        text = f"{text} ({self.hint})" if self.hint else text
        return " ".join(text.split())


class UnknownName(SuiteError):
    """A name that no registry holds; the hint carries the nearest one."""


class RegistryCollision(SuiteError):
    """Two places register the same name."""


class CardError(SuiteError):
    """A card file that cannot be read, or says something it may not say."""


class SettingError(SuiteError):
    """A setting whose values contradict each other, or that an axis does not allow."""

    def __init__(
        self, message: str, *, axes: tuple[str, ...] = (), place: Place | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, place=place, hint=hint)
        self.axes = axes


class Unsupported(SuiteError):
    """A legal request that this method, model or task does not support."""


class DataAccessError(SuiteError):
    """A method asked for data that its setting forbids. `axis` names the declaration it broke."""

    def __init__(self, message: str, *, axis: str, hint: str | None = None) -> None:
        super().__init__(f"{axis}: {message}", hint=hint)
        self.axis = axis


class DataMissing(SuiteError):
    """A data set or weights file that is not where it was looked for."""


class RecordError(SuiteError):
    """A record that cannot be read, or that does not exist."""


class WeightsError(SuiteError):
    """A weights file that cannot be read safely, or that does not fit the model."""


class StudyError(SuiteError):
    """A study that cannot be read, that asks for what cannot be, or that lacks what it needs."""


class HardwareError(SuiteError):
    """A hardware profile that cannot be read, or that says what no axis knows."""


class ClaimError(SuiteError):
    """Published numbers, or what is said of them, that cannot be read or that contradict each other."""
