"""Studies: from a study and a size to its cells. A cell is one run to be: a complete card with a seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from suite.axes import AXES, Setting, plain
from suite.cards import Card, MethodChoice, load_card
from suite.errors import Place, StudyError, SuiteError
from suite.records.plain import digest_of
from suite.studies.study import PART, Adjustment, Choice, Part, Size, Study, satisfies

MOST_CELLS = 5000


@dataclass(frozen=True)
class Cell:
    """One run of a study, before it is run."""

    levels: Mapping[str, str]
    """Factor -> level, and `part` -> the part's id."""
    seed: int
    card: Card

    @cached_property
    def group(self) -> str:
        """The id of all cells that differ from this one in the seed alone."""
        return ".".join(self.levels.values())

    @cached_property
    def id(self) -> str:
        return f"{self.group}.s{self.seed}"

    @cached_property
    def digest(self) -> str:
        """Hash of everything that the card declares: two cells with one digest are one run."""
        card = self.card
        return digest_of(
            {
                "method": card.method.id,
                "options": dict(card.method.options),
                "task": card.task,
                "model": card.model,
                "seed": card.seed,
                "setting": {axis: plain(value) for axis, value in card.values.items()},
            }
        )


@dataclass(frozen=True)
class _Assembled:
    """What a cell has chosen so far."""

    method: str | None = None
    shared: Mapping[str, Any] = field(default_factory=dict)
    """Options said before any method was: they are those of every method."""
    own: Mapping[str, Any] = field(default_factory=dict)
    task: str | None = None
    model: str | None = None
    axes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What was chosen; nothing (null) takes an earlier choice back."""
        return {name: value for name, value in {**self.shared, **self.own}.items() if value is not None}

    def then(self, choice: Choice) -> _Assembled:
        """The later choice wins; a method's own options are kept only while it stays."""
        method = choice.method or self.method
        kept = self.own if method == self.method else {}
        return _Assembled(
            method=method,
            shared={**self.shared, **choice.options} if method is None else self.shared,
            own={} if method is None else {**kept, **choice.options},
            task=choice.task or self.task,
            model=choice.model or self.model,
            axes={**self.axes, **choice.axes},
        )


def expand(study: Study, size: str) -> tuple[Cell, ...]:
    """Every cell of a study at a size, in the order of the file."""
    chosen = study.size(size)
    start = _start(study).then(study.fixed).then(chosen.fixed)
    cells: list[Cell] = []
    for part in study.parts:
        for levels in combinations(part, chosen):
            cells.extend(_cells_at(study, part, chosen, levels, start))
            if len(cells) > MOST_CELLS:
                raise StudyError(f"more than {MOST_CELLS:,} cells", place=_place(study), hint="split the study")
    if not cells:
        raise StudyError(f"no cell is left at the size '{size}'", place=_place(study), hint="see keep and exclude")
    return tuple(cells)


def combinations(part: Part, size: Size) -> Iterator[Mapping[str, str]]:
    """The levels of every cell of a part that is neither excluded nor left out at this size."""
    names = [factor.name for factor in part.factors]
    for ids in itertools.product(*(factor.ids for factor in part.factors)):
        levels = {PART: part.id, **dict(zip(names, ids, strict=True))}
        left_out = bool(size.keep) and not any(satisfies(where, levels) for where in size.keep)
        if not left_out and not any(satisfies(where, levels) for where in part.exclude):
            yield levels


def _cells_at(study: Study, part: Part, size: Size, levels: Mapping[str, str], start: _Assembled) -> Iterator[Cell]:
    made = start.then(part.fixed)
    for factor in part.factors:
        made = made.then(factor.level(levels[factor.name]).choice)
    seeds = part.seeds
    for adjustment in _adjustments(part, size, levels):
        made = made.then(adjustment.choice)
        seeds = seeds if adjustment.seeds is None else adjustment.seeds
    title = f"{study.title}: {', '.join(levels.values())}"
    for seed in seeds:
        yield Cell(levels, seed, _card(made, size, title[:300], seed, ".".join(levels.values())))


def _adjustments(part: Part, size: Size, levels: Mapping[str, str]) -> list[Adjustment]:
    return [held for held in (*part.adjust, *size.adjust) if satisfies(held.where, levels)]


def _card(made: _Assembled, size: Size, title: str, seed: int, group: str) -> Card:
    for what in ("method", "task", "model"):
        if getattr(made, what) is None:
            raise StudyError(
                f"the cell {group} has no {what}", hint=f"say it in fixed, in a part or in a level: {what}: …"
            )
    assert made.method is not None
    assert made.model is not None
    axes = {**{id: axis.default for id, axis in AXES.items()}, **made.axes}
    given = [need.name for need in size.weights if need.model == made.model]
    if given and axes["baseline_weights"] == "task-default":
        if len(given) > 1:
            raise StudyError(
                f"the cell {group} does not say from which weights it starts",
                hint=f"choose with axes: {{baseline_weights: …}}, one of {', '.join(given)}",
            )
        axes["baseline_weights"] = given[0]
    try:
        setting = Setting(axes)
    except SuiteError as error:
        raise StudyError(f"the cell {group} cannot exist: {error.message}", hint=error.hint) from None
    return Card(
        kind="run",
        title=title,
        method=MethodChoice(made.method, made.options),
        values=dict(setting.values),
        task=made.task,
        model=made.model,
        seed=seed,
    )


def _start(study: Study) -> _Assembled:
    """What the base card says, or nothing."""
    name = study.fixed.card
    if name is None:
        return _Assembled()
    if name.startswith(("/", "~")) or ".." in name.replace("\\", "/").split("/"):
        raise StudyError(f"the card '{name}' is not beside the study", place=_place(study), hint="name a file below it")
    if study.path is None:
        raise StudyError("a study that is not in a file has no card beside it")
    card = load_card(study.path.parent / name)
    if card.kind != "run":
        raise StudyError(f"the card '{name}' is transcribed from a paper; a study starts from a card that can be run")
    return _Assembled(card.method.id, own=card.method.options, task=card.task, model=card.model, axes=dict(card.values))


def _place(study: Study) -> Place | None:
    return Place(str(study.path)) if study.path else None
