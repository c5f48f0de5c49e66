"""Contract: a method that keeps checkpoints, killed at one of them, continues to the record of an unbroken run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from suite.contract.results import CheckResult
from suite.harness.workbench import Bench
from suite.methods.api import Checkpoint, Checkpoints, Claims, Fact, Method, Workbench
from suite.records import Record

if TYPE_CHECKING:
    from torch import Tensor

Runs = Callable[[type[Method], str], Record]
"""Evaluates a kind of method on the base setting, with its quick options, in the store of this name."""


class Killed(BaseException):
    """The end of a process, as far as one process can play it: nothing that catches errors stops it."""


@dataclass
class Saves:
    """How often one attempt has saved, and after which time it dies."""

    dies_after: int | None = None
    count: int = 0


@dataclass
class Deadly:
    """Checkpoints that loops always find due, and that kill after one of them."""

    inner: Checkpoints
    saves: Saves

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Fact] | None = None) -> None:
        self.inner.save(name, tensors, facts)
        self.saves.count += 1
        if self.saves.count == self.saves.dies_after:
            raise Killed

    def load(self, name: str) -> Checkpoint | None:
        return self.inner.load(name)

    def due(self) -> bool:
        return True


def continuing_checks(kind: type[Method], runs: Runs) -> Iterator[CheckResult]:
    """Kill at the first save, at one in the middle and at the last one; each time the run goes on to the same end."""
    name = "killed at a checkpoint, it continues to the same record"
    whole = Saves()
    unbroken = runs(mortal(kind, whole), "unbroken")
    if not whole.count:
        yield CheckResult("continuing", name, True, "it keeps no checkpoints", skipped=True)
        return
    for dies_after in sorted({1, (whole.count + 1) // 2, whole.count}):
        store = f"killed-{dies_after}"
        try:
            runs(mortal(kind, Saves(dies_after)), store)
        except Killed:
            continued = runs(mortal(kind, Saves()), store)
            different = [key for key, value in unbroken.content().items() if continued.content().get(key) != value]
            detail = ", ".join(different)
        else:
            different, detail = [""], "the second attempt at the same run saved less often than the first"
        yield CheckResult("continuing", f"{name} (save {dies_after} of {whole.count})", not different, detail)


def mortal(kind: type[Method], saves: Saves) -> type[Method]:
    """The method itself, on a workbench whose checkpoints are deadly. Its runs bear the method's own names."""

    def quantize(self: Method, work: Workbench) -> Claims | None:
        assert isinstance(work, Bench)
        return kind.quantize(self, dataclasses.replace(work, checkpoints=Deadly(work.checkpoints, saves)))

    return type(kind.__name__, (kind,), {"quantize": quantize, "__module__": kind.__module__, "__doc__": kind.__doc__})
