"""Command line, hardware: what `suite card find`, `suite list hardware` and `suite show hardware` read and print."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.axes import AXES, plain
from suite.cli.output import columns, note
from suite.errors import DataMissing, SuiteError

if TYPE_CHECKING:
    from suite.cards import Card
    from suite.hardware import Found, MethodFound, Profile, RunSetting
    from suite.hardware.find import SettingFound
    from suite.methods.api.declared import Declared

WIDTH = 100
MOST_FILES = 10_000


def find_data(name: str, places: Sequence[Path], runs: Path | None) -> Found:
    """Hold cards, runs and all methods to a profile."""
    from suite.hardware import find, load_profile

    profile = load_profile(name)
    settings = [*_cards(places), *(_runs(runs) if runs is not None else ())]
    return find(profile, settings, list(_methods()))


def _cards(places: Sequence[Path]) -> Iterator[RunSetting]:
    """The cards that come with the suite, and those of the files and folders given."""
    from suite.cards import examine_file
    from suite.shipped import shipped_files

    files = shipped_files("cards/*.yaml") + shipped_files("cards/published/*.yaml")
    for place in places:
        if not place.exists():
            raise DataMissing(f"no card and no folder at {place}", hint="give files, or folders with cards in them")
        files += sorted(islice(place.rglob("*.yaml"), MOST_FILES)) if place.is_dir() else [place]
    for path in dict.fromkeys(file.resolve() for file in files[:MOST_FILES]):
        card, problems = examine_file(path)
        if card is None:
            note(f"note: left out: {problems[0]}")
        else:
            yield _of_card(card, path)


def _of_card(card: Card, path: Path) -> RunSetting:
    from suite.hardware import RunSetting

    results, audit = card.results or {}, card.audit or {}
    verdicts = {axis: held.get("verdict") for axis, held in audit.get("axes", {}).items()}
    return RunSetting(
        name=_near(path),
        origin="card",
        method=card.method.id,
        values=card.values,
        task=card.task or "",
        model=card.model or "",
        score=results.get("score"),
        float_score=results.get("float_score"),
        difference_interval=_pair(results.get("difference_interval")),
        contradicted=tuple(axis for axis, verdict in verdicts.items() if verdict == "contradicted"),
    )


def _pair(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])


def _listed(ends: tuple[float, float] | None) -> list[float] | None:
    return None if ends is None else list(ends)


def _runs(folder: Path) -> Iterator[RunSetting]:
    """Completed runs; damaged ones are remarked upon."""
    from suite.hardware import RunSetting
    from suite.records import Status, Store

    listing = Store(folder).list()
    for damaged in listing.damaged:
        note(f"note: left out: {damaged.problem}")
    for record in listing.records:
        if record.status is not Status.COMPLETED:
            continue
        axes = record.audit["axes"] if record.audit is not None else {}
        yield RunSetting(
            name=record.run_id,
            origin="run",
            method=record.method,
            values={id: record.setting[id] for id in AXES if id in record.setting},
            task=record.task,
            model=record.model,
            score=record.score,
            float_score=record.float_score,
            difference_interval=record.difference_interval,
            contradicted=tuple(axis for axis, held in axes.items() if held["verdict"] == "contradicted"),
        )


def _methods() -> Iterator[Declared]:
    from suite.methods import METHODS
    from suite.methods.api.declared import read_declared

    for entry in METHODS:
        try:
            yield read_declared(entry)
        except SuiteError as error:
            note(f"note: left out: {error}")


def _near(path: Path) -> str:
    """A path as people would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def found_json(found: Found) -> dict[str, Any]:
    """The one JSON object of `suite card find --json`."""
    return {
        "hardware": found.profile.id,
        "title": found.profile.title,
        "not_stated": list(found.profile.not_stated),
        "subject": None if found.subject is None else {"task": found.subject[0], "model": found.subject[1]},
        "methods": [_method_json(one) for one in found.methods],
        "cards": [_setting_json(one) for one in found.settings],
    }


def _method_json(one: MethodFound) -> dict[str, Any]:
    best = one.best
    return {
        "id": one.id,
        "obeys": one.obeys,
        "distance": one.distance,
        "changes": {axis: plain(value) for axis, value in one.reached.changes.items()},
        "lost": None if best is None else best.lost,
        "lost_interval": None if best is None else _listed(best.lost_interval),
        "measured": None if best is None else best.name,
        "forbidden": [
            {"axes": list(obstacle.axes), "asked": obstacle.asked, "why": obstacle.why}
            for obstacle in one.reached.obstacles
        ],
        "command": _command(one),
    }


def _setting_json(one: SettingFound) -> dict[str, Any]:
    return {
        "name": one.setting.name,
        "origin": one.setting.origin,
        "method": one.setting.method,
        "task": one.setting.task,
        "model": one.setting.model,
        "obeys": one.obeys,
        "certain": one.judgement.certain,
        "unreported": list(one.judgement.unreported),
        "contradicted": list(one.setting.contradicted),
        "score": one.setting.score,
        "lost": one.setting.lost,
        "lost_interval": _listed(one.setting.lost_interval),
        "forbidden": [
            {
                "axis": violation.axis,
                "found": plain(violation.found),
                "allowed": violation.restriction.describe(),
                "instead": None if violation.instead is None else plain(violation.instead),
                "source": violation.restriction.source or None,
                "says": violation.restriction.says or None,
            }
            for violation in one.judgement.violations
        ],
    }


def _command(one: MethodFound) -> str | None:
    """What writes a card of the method that obeys."""
    if not one.obeys:
        return None
    changes = (f"--set {axis}={_word(value)}" for axis, value in one.reached.changes.items())
    return " ".join(["suite card new --method", one.id, *changes])


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def found_text(found: Found) -> str:
    """The answer for people: who obeys, ranked; and what forbids the others."""
    profile = found.profile
    lines = [click.style(f"{profile.id}: {profile.title}", bold=True), ""]
    if found.subject is not None:
        lines += [f"Methods by what they lost on {found.subject[0]} with {found.subject[1]}, then by changes needed:"]
    else:
        lines += ["Methods by the changes that their recommended setting needs (nothing that obeys was measured):"]
    rows = [[one.id, _lost(one.best), str(one.distance), _changes(one)] for one in found.methods if one.obeys]
    lines += [columns(rows, ("method", "lost", "changes", "recommended setting, changed")) if rows else "  none obeys"]
    for method in (one for one in found.methods if not one.obeys):
        lines += ["", f"{method.id} cannot obey:"]
        for obstacle in method.reached.obstacles:
            lines.append(f"  {', '.join(obstacle.axes)}: the profile has {obstacle.asked}; {obstacle.why}")
    lines += ["", "Cards and runs that obey:"]
    obeying = [one for one in found.settings if one.obeys]
    rows = [[one.setting.name, *one.setting.subject, _lost(one.setting), _open(one)] for one in obeying]
    lines += [columns(rows, ("card or run", "task", "model", "lost", "left open")) if rows else "  none"]
    for one in found.settings:
        if one.obeys:
            continue
        lines += ["", f"{one.setting.name} does not obey:"]
        for violation in one.judgement.violations:
            instead = "nothing fits" if violation.instead is None else f"{_word(violation.instead)} would do"
            why = f" ({violation.restriction.says})" if violation.restriction.says else ""
            lines.append(f"  {violation.axis} = {_word(violation.found)}: {instead}{why}")
        lines += [f"  {axis}: its audit found something else than it declares" for axis in one.contradicted]
    if profile.not_stated:
        lines += [
            "",
            *textwrap.wrap(f"Not stated, and so not held against anybody: {', '.join(profile.not_stated)}", WIDTH),
        ]
    return "\n".join(lines)


def _lost(setting: RunSetting | None) -> str:
    if setting is None or setting.lost is None:
        return "-"
    ends = setting.lost_interval
    return f"{setting.lost:+.2%}" + ("" if ends is None else f" [{ends[0]:+.2%}, {ends[1]:+.2%}]")


def _open(one: SettingFound) -> str:
    return ", ".join(one.judgement.unreported) or "-"


def _changes(one: MethodFound) -> str:
    return " ".join(f"{axis}={_word(value)}" for axis, value in one.reached.changes.items()) or "as recommended"


def profile_json(profile: Profile) -> dict[str, Any]:
    """What `suite show hardware --json` says of a profile."""
    return {
        "id": profile.id,
        "title": profile.title,
        "documents": [
            {"id": document.id, "title": document.title, "url": document.url or None} for document in profile.documents
        ],
        "axes": {
            axis: {
                "allowed": [plain(value) for value in one.allowed],
                "at_least": one.at_least,
                "at_most": one.at_most,
                "source": one.source or None,
                "says": one.says or None,
            }
            for axis, one in profile.restrictions.items()
        },
        "not_stated": list(profile.not_stated),
        "remarks": list(profile.remarks),
    }


def profile_text(profile: Profile) -> str:
    """The profile for people: each restriction with the document that says so."""
    lines = [click.style(f"{profile.id}: {profile.title}", bold=True), ""]
    rows = [[axis, one.describe(), one.source or "-", one.says or "-"] for axis, one in profile.restrictions.items()]
    lines += [columns(rows, ("axis", "can run", "document", "which says")), ""]
    lines += [f"{document.id}: {document.title} {document.url}".rstrip() for document in profile.documents]
    if profile.not_stated:
        lines += ["", *textwrap.wrap(f"Not stated: {', '.join(profile.not_stated)}", WIDTH)]
    for remark in profile.remarks:
        lines += ["", *textwrap.wrap(remark, WIDTH)]
    return "\n".join(lines)
