"""Contract: the result of one check."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class CheckResult:
    """One sentence about a method: true (`passed`) or not, or `skipped` where it does not apply, with the reason."""

    group: str
    name: str
    passed: bool
    detail: str = ""
    skipped: bool = False

    def __str__(self) -> str:
        word = "skipped" if self.skipped else "passed" if self.passed else "FAILED"
        return f"{word:7}  {self.group}: {self.name}" + (f" ({self.detail})" if self.detail else "")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
