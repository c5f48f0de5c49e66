"""Plan: finds the sites of a model, turns a setting into a plan, and places quantizers without touching the model.

    prepared = prepare(model, setting)               # a copy, batch norms folded where the setting says so
    anatomy = dissect(prepared, example_input)       # operations, tensors, sites
    plan = make_plan(anatomy, setting)               # the frozen table: what is quantized, how, and why not
    placed = place(prepared, plan)                   # a copy with quantizers; same paths, same state-dict names
    initialize_weights(placed)
    with calibrating(placed):
        placed(images)

`prepare` may be skipped: the plan of an unfolded model carries the folds, and `place` makes them.

Names. An operation is named by the path of its module (`layer1.0.conv1`), or, for a function, by the path of the
container whose forward calls it and the name of its node in that container's graph (`layer1.0.add`). A tensor has the
name of the operation that produces it, a site is `operation:role`. In a placed model every container that computes
something is a `Block`, an `fx.GraphModule` at the path it always had. To follow the data flow of a placed model, run
`fx.Interpreter(block)` at each block and ask `operation_of(path, node)` (or `op_names(path, block.graph)` for a whole
graph) which operation a node is: None for placeholders, attributes, the output, and for the quantizers themselves,
whose targets start with `quantizers.`. `anatomy.sites_of(operation)` then gives the sites; `site.operand` is an index
into `operand_nodes(node)`, the node operands in the order of args and kwargs. The network's input is the first
placeholder of the root block, its output what the root returns.

The table (`Plan`) and the anatomy's types read without torch; everything else is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from suite.plan.anatomy import NETWORK, Anatomy, Kind, Operand, Operation, Role, Site, Tensor
from suite.plan.make import make_plan
from suite.plan.table import Choice, CountedTensor, Place, Plan, PlannedQuantizer, PlanRow, RowDifference, describe

if TYPE_CHECKING:
    from suite.plan.dissection import dissect
    from suite.plan.fold import fold_batch_norm, prepare
    from suite.plan.layers import Block
    from suite.plan.placing import place
    from suite.plan.switches import (
        all_off,
        calibrating,
        choose_bits,
        chosen_plan,
        initialize_weights,
        quantizers_of,
        standing_in,
        weights_of,
    )
    from suite.plan.trace import op_names, operand_nodes, operation_of

__all__ = [
    "NETWORK",
    "Anatomy",
    "Block",
    "Choice",
    "CountedTensor",
    "Kind",
    "Operand",
    "Operation",
    "Place",
    "Plan",
    "PlanRow",
    "PlannedQuantizer",
    "Role",
    "RowDifference",
    "Site",
    "Tensor",
    "all_off",
    "calibrating",
    "choose_bits",
    "chosen_plan",
    "describe",
    "dissect",
    "fold_batch_norm",
    "initialize_weights",
    "make_plan",
    "op_names",
    "operand_nodes",
    "operation_of",
    "place",
    "prepare",
    "quantizers_of",
    "standing_in",
    "weights_of",
]

_LAZY = {
    "Block": "suite.plan.layers",
    "all_off": "suite.plan.switches",
    "calibrating": "suite.plan.switches",
    "choose_bits": "suite.plan.switches",
    "chosen_plan": "suite.plan.switches",
    "dissect": "suite.plan.dissection",
    "fold_batch_norm": "suite.plan.fold",
    "initialize_weights": "suite.plan.switches",
    "op_names": "suite.plan.trace",
    "operand_nodes": "suite.plan.trace",
    "operation_of": "suite.plan.trace",
    "place": "suite.plan.placing",
    "prepare": "suite.plan.fold",
    "quantizers_of": "suite.plan.switches",
    "standing_in": "suite.plan.switches",
    "weights_of": "suite.plan.switches",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
