"""Methods, reconstruction engine: how much the float network's answer depends on each output element of each unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from suite.errors import Unsupported
from suite.methods.engines.reconstruction.flow import Stored, operation
from suite.methods.engines.reconstruction.rows import Rows, RowStore
from suite.methods.engines.reconstruction.units import Walk


def importance_of_outputs(
    walk: Walk, inputs: Sequence[Tensor], store: RowStore, labels: torch.Generator
) -> dict[str, Stored]:
    """Per unit, dL/dz of its output z for every example, with mean square 1, so that a loss keeps its size.

    L is the cross-entropy of the float network against labels drawn from its own answers, so that the expected square
    of the gradient is the diagonal of the Fisher matrix. No label of the data is used. One pass forward and back.
    """
    count = sum(len(chunk) for chunk in inputs)
    rows: dict[str, Rows] = {}
    sums = {unit.name: 0.0 for unit in walk.units}
    start = 0
    for chunk in inputs:
        outputs, logits = _outputs(walk, chunk)
        # Classes are axis 1, also where there is an answer for every position of a sequence.
        answers = logits.movedim(1, -1).flatten(0, -2).float()
        drawn = torch.multinomial(F.softmax(answers.detach(), dim=-1).cpu(), 1, generator=labels)[:, 0]
        loss = F.cross_entropy(answers, drawn.to(logits.device), reduction="sum")
        gradients = torch.autograd.grad(loss, list(outputs.values()))
        for name, gradient in zip(outputs, gradients, strict=True):
            if name not in rows:
                rows[name] = store.rows(count, gradient)
            rows[name].put(start, gradient)
            sums[name] += float(gradient.double().square().sum())
        start += len(chunk)
    for name, held in rows.items():
        held.scale_by((held.elements / max(sums[name], torch.finfo(torch.float32).tiny)) ** 0.5)
    return {name: Stored.of_rows(held) for name, held in rows.items()}


def _outputs(walk: Walk, chunk: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """One pass of the network: the outputs of its units, connected to its answer, and the answer."""
    ends = {unit.output: unit.name for unit in walk.units}
    values: dict[fx.Node, Any] = {}
    found: dict[str, Tensor] = {}
    for node in walk.graph.nodes:
        if node.op == "placeholder":
            values[node] = chunk
        elif node.op == "output":
            logits = values[node.args[0]]
            if not isinstance(logits, Tensor) or logits.ndim < 2:
                raise Unsupported("the Fisher loss needs a network that answers with logits")
            return found, logits
        else:
            arguments, keywords = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = operation(walk, node, arguments, keywords)
            if node in ends:
                # The first unit depends on nothing that takes gradients; from here on everything does.
                values[node] = values[node] if values[node].requires_grad else values[node].detach().requires_grad_()
                found[ends[node]] = values[node]
    raise Unsupported("the network returns nothing")
