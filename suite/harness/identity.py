"""Laboratory, harness: the identity of a run about to begin, from the things themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from suite.records.identity import Identity

if TYPE_CHECKING:
    from suite.axes import Setting
    from suite.methods.api import Method
    from suite.tasks import Task

MODULES = (
    "suite.plan",
    "suite.quantizers",
    "suite.audit",
    "suite.harness.meter",
    "suite.harness.streams",
    "suite.tasks.images",
)
"""What decides a run's figures besides its method: finding and quantizing sites, drawing data, observing results."""


def identify(
    *,
    method: Method,
    setting: Setting,
    task: Task,
    model: str,
    weights: str,
    seed: int,
    device: torch.device | str,
    batch_size: int,
    threads: int,
    dtype: torch.dtype = torch.float32,
    modules: tuple[str, ...] = (),
) -> Identity:
    """The identity of one run. `weights` is the hash of the baseline's weights; `batch_size` is that of evaluation.

    `modules` adds places from which sources are followed, for example the module of a model.
    """
    options: Mapping[str, object] = method.options.to_dict()
    return Identity.of(
        method=method.id,
        options=options,
        setting=setting.to_dict(),
        task=task.id,
        model=model,
        seed=seed,
        modules={type(method).__module__, *MODULES, *modules},
        data=task.identity,
        weights=weights,
        torch=str(torch.__version__),
        device=torch.device(device).type,
        batch_size=batch_size,
        dtype=str(dtype).removeprefix("torch."),
        threads=threads,
    )
