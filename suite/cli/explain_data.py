"""`suite explain`: what a helper process asks the laboratory, so that the explanation itself never imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suite.errors import SuiteError

Asked = tuple[str, dict[str, Any], dict[str, Any]]
"""A method, its options, and a value for every axis."""


def method_facts(id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a method supports and needs, and all of its options with those given here."""
    from suite.methods import METHODS

    kind = METHODS.get(id)
    stated = {name: value for name, value in options.items() if value is not None}
    return {
        "supports": dict(kind.supports),
        "recommended": dict(kind.recommended),
        "labels": kind.needs.labels,
        "examples": kind.needs.examples,
        "options": kind.from_mapping(stated).options.to_dict(),
    }


def refusals(model: str, task: str, asked: Sequence[Asked]) -> list[str | None]:
    """For each declared run why its method or the plan of the model refuses its setting; None where neither does."""
    from suite.axes import Setting
    from suite.cli.show_plan import model_and_input
    from suite.methods import METHODS
    from suite.plan import dissect, make_plan

    anatomy = dissect(*model_and_input(model, task))
    found: list[str | None] = []
    for method, _, values in asked:
        try:
            setting = Setting(values)
            METHODS.get(method).check_setting(setting)
            make_plan(anatomy, setting)
        except SuiteError as error:
            found.append(error.message)
        else:
            found.append(None)
    return found
