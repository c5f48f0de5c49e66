"""Methods, training engine: what the statistics of batch normalization do while a network trains, and at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from suite.axes import Setting
from suite.methods.api import DataDoor, Workbench


class Statistics(StrEnum):
    """The values of the axis `batch_norm_statistics`."""

    RUNNING = "running"
    FROZEN = "frozen"
    RE_ESTIMATED = "re-estimated"

    @classmethod
    def of(cls, setting: Setting) -> Statistics:
        return cls(str(setting["batch_norm_statistics"]))


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Normalizations of the model that keep statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None]


@contextmanager
def training_mode(model: nn.Module, statistics: Statistics) -> Iterator[None]:
    """The model trains while the block lasts; frozen statistics normalize as in evaluation, and rest."""
    model.train()
    if statistics is Statistics.FROZEN:
        for norm in batch_norms(model):
            norm.eval()
    try:
        yield
    finally:
        model.eval()


def settle(work: Workbench, door: DataDoor, batch_size: int) -> None:
    """What the axis `batch_norm_statistics` asks for when the last training has ended, or there is none."""
    if Statistics.of(work.setting) is Statistics.RE_ESTIMATED:
        re_estimate(work, door, batch_size)


@torch.no_grad()
def re_estimate(work: Workbench, door: DataDoor, batch_size: int) -> None:
    """Give every batch normalization the mean and variance of what reaches it over one pass through `door`.

    Each normalizes with the statistics of the batch meanwhile, as in training; everything else is in evaluation mode.
    Batches are joined exactly, whatever their sizes: the result is that of all their values together, not a mean of
    variances that forgets how far the means of the batches lie apart.
    """
    model = work.model.eval()
    norms = batch_norms(model)
    if not norms:
        return
    moments = [_Moments() for _ in norms]
    handles = [norm.register_forward_pre_hook(one.watch) for norm, one in zip(norms, moments, strict=True)]
    try:
        for norm in norms:
            norm.train()  # what it keeps of single batches meanwhile is written over below
        with work.progress(-(-door.size // batch_size), "batch-norm statistics") as progress:
            for batch in door.batches(batch_size):
                model(batch.inputs)
                progress.advance()
    finally:
        for handle in handles:
            handle.remove()
        model.eval()
    for norm, one in zip(norms, moments, strict=True):
        one.store(norm)


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations of each channel, in double precision."""

    count: int = 0
    mean: Tensor | None = None
    deviations: Tensor | None = None

    def watch(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take the values of one batch [N, C, …] in.

        With n₁ values of mean m₁ before and n₂ of mean m₂ now, Δ = m₂ - m₁ and n = n₁ + n₂: the mean grows by Δ n₂ / n
        and the squared deviations by those of the batch and Δ² n₁ n₂ / n.
        """
        values = inputs[0].detach().transpose(0, 1).flatten(1)
        count = values.shape[1]
        variance, mean = torch.var_mean(values.double(), dim=1, correction=0)
        if self.mean is None or self.deviations is None:
            self.count, self.mean, self.deviations = count, mean, variance * count
            return
        total, apart = self.count + count, mean - self.mean
        self.mean = self.mean + apart * (count / total)
        self.deviations = self.deviations + variance * count + apart.square() * (self.count * count / total)
        self.count = total

    def store(self, norm: _BatchNorm) -> None:
        """Into the buffers, where anything was seen; the variance is the unbiased one, as running variances are."""
        if self.mean is None or self.deviations is None or norm.running_mean is None or norm.running_var is None:
            return
        norm.running_mean.copy_(self.mean)
        norm.running_var.copy_(self.deviations / max(1, self.count - 1))
