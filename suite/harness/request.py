"""Laboratory, harness: from a card and a command line's overrides to one fully resolved, checked request."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.axes import AXES, Setting, parse_assignment, plain
from suite.cards import Card, MethodChoice
from suite.errors import SuiteError, Unsupported
from suite.methods import METHODS
from suite.methods.api import Method
from suite.models.baselines import UNTRAINED


@dataclass(frozen=True)
class Request:
    """Everything that decides a run, checked: the card as it will be recorded, the method, data, weights, device."""

    card: Card
    setting: Setting
    method: Method
    task: str
    model: str
    seed: int
    weights: Path | None = None
    data: Path | None = None
    device: str = "cpu"
    threads: int = 1

    @property
    def options(self) -> Mapping[str, Any]:
        return self.method.options.to_dict()


def resolve(
    card: Card,
    *,
    method: str | None = None,
    assignments: Sequence[str] = (),
    options: Sequence[str] = (),
    task: str | None = None,
    model: str | None = None,
    weights: Path | None = None,
    data: Path | None = None,
    seed: int | None = None,
    device: str = "cpu",
    threads: int = 1,
    instance: Method | None = None,
) -> Request:
    """Apply overrides to a card and check what comes out; `instance` is a method that no registry holds."""
    if card.kind != "run":
        raise Unsupported(
            f"'{card.title}' is a transcribed card: it tells what a paper reported, and cannot be run",
            hint="write a card of kind run with 'suite card new'",
        )
    stated = {} if instance else _stated_options(card, method, options)
    chosen = instance or METHODS.get(method or card.method.id).from_mapping(stated)
    setting = card.setting.replace(**dict(parse_assignment(text) for text in assignments))
    _check_enforceable(setting)
    setting = _with_source(setting, weights)
    chosen.check_setting(setting)
    task_id = task or card.task
    model_id = model or card.model
    if task_id is None or model_id is None:
        missing = "task" if task_id is None else "model"
        raise SuiteError(f"the card names no {missing}", hint=f"add '{missing}:' to the card or pass --{missing}")
    resolved = dataclasses.replace(
        card,
        method=MethodChoice(chosen.id, stated),
        task=task_id,
        model=model_id,
        seed=card.seed if seed is None else seed,
        values=dict(setting.values),
        results=None,
        audit=None,
    )
    return Request(resolved, setting, chosen, task_id, model_id, resolved.seed, weights, data, _device(device), threads)


def _stated_options(card: Card, id: str | None, options: Sequence[str]) -> dict[str, Any]:
    """What the card says of its own method's options, overridden by the command line; defaults are not written out."""
    kind = METHODS.get(id or card.method.id)
    stated = dict(card.method.options) if kind.id == card.method.id else {}
    stated |= dict(kind.Options.read(text, owner=kind.id) for text in options)
    return {name: value for name, value in stated.items() if value is not None}


def _check_enforceable(setting: Setting) -> None:
    for id, value in setting.values.items():
        if not AXES[id].enforceable(value):
            raise Unsupported(
                f"{id} = {plain(value)} can be described on a card, but the suite cannot enforce it",
                hint=f"see 'suite show axis {id}'",
            )


def _with_source(setting: Setting, weights: Path | None) -> Setting:
    """The setting with a source of weights that is true: a given file is not the baseline that comes with the suite."""
    source = setting["baseline_weights"]
    if weights is not None and source == UNTRAINED:
        raise Unsupported(
            f"baseline_weights = {UNTRAINED} begins from random weights, but {weights.name} is given",
            hint="leave out one of them",
        )
    if weights is None and source not in ("task-default", UNTRAINED):
        raise Unsupported(
            f"baseline_weights = {source}, but the run would start from the task's own baseline",
            hint="give the weights with --weights, or set baseline_weights=task-default",
        )
    if weights is not None and source == "task-default":
        return setting.replace(baseline_weights=weights.name)
    return setting


def _device(name: str) -> str:
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise Unsupported("no CUDA device is available", hint="use --device cpu")
    return "cuda" if name in ("cuda", "auto") and available else "cpu"
