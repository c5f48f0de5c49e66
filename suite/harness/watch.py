"""Laboratory, harness: the watch on what really flows into a model, independent of the data meter.

A method could read inputs behind the meter's back. So every model it is given carries a hook that takes the fingerprint
of each input entering it: the audit compares the number of distinct inputs with the meter's count, and the inputs with
those of the test split.

What it sees: every call of a watched model and of its copies (`copy.deepcopy`, also of fx graph modules), compiled or
not. Under `torch.compile` the hook itself stays uncompiled; a call inside a larger compiled function breaks its graph
there, and `fullgraph=True` around a watched model is refused by torch. What it does not see: calls of an inner module
alone, models built anew from inner modules, and inputs changed in any bit or cut before they enter. The test inputs are
out of reach for other reasons too (`suite.tasks.vault`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensor

from suite.tasks.fingerprints import fingerprint

COMPACT_EVERY = 2**16
MOST_DISTINCT = 2**22
"""Distinct inputs remembered at most (32 MiB); with augmentation every input is new, and the count stops here."""


@dataclass(frozen=True)
class WatchReport:
    """What entered the watched models."""

    distinct_inputs: int
    inputs: int
    """Inputs that entered, repetitions counted."""
    forbidden_inputs: int
    """Distinct inputs that belong to the test split."""
    saturated: bool
    """Whether there were more distinct inputs than are remembered, so that `distinct_inputs` is a lower bound."""


class InputWatch:
    """Remembers the fingerprints of all inputs that enter the models it is attached to."""

    def __init__(self, input_shape: tuple[int, ...], forbidden: Tensor | None = None) -> None:
        """`input_shape` is that of one input; `forbidden` are the fingerprints of the test split, int64 [N]."""
        self.input_shape = tuple(input_shape)
        self._forbidden = torch.unique(forbidden.cpu()) if forbidden is not None else torch.empty(0, dtype=torch.int64)
        self._distinct = torch.empty(0, dtype=torch.int64)
        self._matched = torch.empty(0, dtype=torch.int64)
        self._pending: list[Tensor] = []
        self._pending_inputs = 0
        self._inputs = self._earlier_inputs = 0
        self._saturated = False
        self._paused = 0
        self._attached = True
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._roots: list[fx.GraphModule] = []

    def __deepcopy__(self, memo: dict[int, object]) -> InputWatch:
        """Copies of a watched model report to the same watch."""
        return self

    def attach(self, model: nn.Module) -> None:
        """Watch `model` and every copy that is made of it from now on."""
        self._hook(model)
        if isinstance(model, fx.GraphModule):
            # The copy of a graph module is built anew: it loses its forward hooks and keeps only this kind.
            model._register_deepcopy_hook(self._hook)
            self._roots.append(model)

    def _hook(self, model: nn.Module) -> None:
        if self._attached and not any(hook == self.look for hook in model._forward_pre_hooks.values()):
            self._handles.append(model.register_forward_pre_hook(self.look, with_kwargs=True))

    def detach(self) -> None:
        """Stop watching for good, copies included; what was seen stays."""
        self._attached = False
        for handle in self._handles:
            handle.remove()
        for model in self._roots:
            model._unregister_deepcopy_hook(self._hook)
        self._handles.clear()
        self._roots.clear()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The suite's own evaluations inside are not the method's doing."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def look(self, module: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object]) -> None:
        """The hook: takes fingerprints, changes nothing, waits for nothing."""
        if self._paused or not self._attached:
            return
        for value in (*arguments, *keywords.values()):
            if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
                continue
            if tuple(value.shape[1:]) == self.input_shape and value.dtype is not torch.bool:
                self._add(value)

    def _add(self, inputs: Tensor) -> None:
        with torch.no_grad():
            self._pending.append(fingerprint(inputs))
        self._inputs += len(inputs)
        self._pending_inputs += len(inputs)
        if self._pending_inputs >= COMPACT_EVERY:
            self._compact()

    def _compact(self) -> None:
        if not self._pending:
            return
        fresh = torch.unique(torch.cat([part.cpu() for part in self._pending]))
        self._pending, self._pending_inputs = [], 0
        self._matched = torch.unique(torch.cat([self._matched, fresh[torch.isin(fresh, self._forbidden)]]))
        together = torch.unique(torch.cat([self._distinct, fresh]))
        self._saturated |= len(together) > MOST_DISTINCT
        self._distinct = together[:MOST_DISTINCT]

    def state(self) -> dict[str, Tensor]:
        """What has been seen so far, to be kept beside an unfinished run."""
        self._compact()
        figures = torch.tensor([max(self._inputs, self._earlier_inputs), self._saturated], dtype=torch.int64)
        return {"distinct": self._distinct, "matched": self._matched, "figures": figures}

    def adopt(self, state: Mapping[str, Tensor]) -> None:
        """Add what an earlier attempt at the same run saw. An attempt that continues it repeats some of that."""
        self._compact()
        self._distinct = torch.unique(torch.cat([self._distinct, state["distinct"]]))[:MOST_DISTINCT]
        self._matched = torch.unique(torch.cat([self._matched, state["matched"]]))
        inputs, saturated = state["figures"].tolist()
        self._earlier_inputs = max(self._earlier_inputs, int(inputs))
        self._saturated |= bool(saturated)

    def report(self) -> WatchReport:
        """What has been seen so far."""
        self._compact()
        return WatchReport(
            len(self._distinct), max(self._inputs, self._earlier_inputs), len(self._matched), self._saturated
        )
