"""Plan, the two front ends: torch.fx first, torch.export where a forward cannot be traced symbolically."""

from __future__ import annotations

import torch
from torch import nn

from suite.errors import Unsupported
from suite.plan.anatomy import InputForm
from suite.plan.exported import exported
from suite.plan.flow import form_of
from suite.plan.trace import Hierarchy, Untraceable, copy_of, trace


def hierarchy_of(model: nn.Module, example_input: torch.Tensor) -> Hierarchy:
    """The containers of a private copy of the model, in evaluation, by whichever front end can follow its forward."""
    try:
        return trace(copy_of(model).eval())
    except Untraceable as untraceable:
        try:
            return exported(copy_of(model).eval(), form_of(example_input))
        except Unsupported as error:
            raise Unsupported(f"{untraceable.message}; {error.message}", hint=untraceable.hint) from error


def hierarchy_in(copied: nn.Module, form: InputForm | None) -> Hierarchy:
    """The containers of a copy, by the front end that its plan was made with; `form` is that of an export."""
    return trace(copied) if form is None else exported(copied, form)
