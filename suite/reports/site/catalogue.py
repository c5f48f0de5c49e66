"""Reports, site: what there is to be listed, read without running any of it. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from suite.cards import Card, load_card
from suite.claims import Claim, Published, load_published
from suite.errors import CardError, ClaimError, StudyError
from suite.reports.collection.runs import Problem
from suite.reports.numbers import clean
from suite.studies import expand, load_study, shipped_studies
from suite.studies.study import Study

MOST_CARDS = 2_000
MOST_REPORTS = 500
MOST_BYTES_OF_A_HEAD = 64_000
"""The title of a report stands in its first bytes."""


@dataclass(frozen=True)
class MethodNote:
    """Where the sources of a method differ, or are silent."""

    about: str
    ours: str
    paper: str
    code: str


@dataclass(frozen=True)
class MethodPage:
    """A method as its file tells it; what is not written out there is empty."""

    id: str
    summary: str
    origin: str
    title: str
    description: tuple[str, ...]
    """Its paragraphs; a formula that is set apart keeps its lines."""
    paper: str
    url: str
    notes: tuple[MethodNote, ...]


@dataclass(frozen=True)
class CardPage:
    """A card with the name of its page: its place under the folder of cards, without slashes."""

    name: str
    place: str
    card: Card


@dataclass(frozen=True)
class StudyPage:
    """A shipped study, with how many cells each of its sizes has, and the methods of them all."""

    study: Study
    cells: tuple[tuple[str, int], ...]
    methods: frozenset[str]


@dataclass(frozen=True)
class ReportPage:
    """A page that lies beside the site, by its title and by the way there."""

    title: str
    address: str


@dataclass(frozen=True)
class Catalogue:
    """Everything that the site lists, runs apart."""

    methods: tuple[MethodPage, ...]
    cards: tuple[CardPage, ...]
    studies: tuple[StudyPage, ...]
    published: Published | None
    """None where the published numbers cannot be read."""
    reports: tuple[ReportPage, ...]
    problems: tuple[Problem, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        return () if self.published is None else self.published.claims


def gather(methods: Sequence[MethodPage], cards: Path, site: Path) -> Catalogue:
    """Look for everything. What cannot be read becomes a problem and stops nothing."""
    problems: list[Problem] = []
    found_cards: list[CardPage] = []
    for path in sorted(cards.rglob("*.yaml"))[:MOST_CARDS]:
        place = path.relative_to(cards)
        try:
            found_cards.append(
                CardPage(file_name(place.with_suffix("").as_posix()), clean(place.as_posix()), load_card(path))
            )
        except CardError as error:
            problems.append(Problem(clean(place.as_posix()), clean(str(error))))
    studies: list[StudyPage] = []
    for id in shipped_studies():
        try:
            study = load_study(id)
            cells = {size.name: expand(study, size.name) for size in study.sizes}
            methods_of = frozenset(cell.card.method.id for held in cells.values() for cell in held)
            studies.append(StudyPage(study, tuple((name, len(held)) for name, held in cells.items()), methods_of))
        except (StudyError, CardError) as error:
            problems.append(Problem(clean(id), clean(str(error))))
    published: Published | None = None
    try:
        published = load_published()
    except ClaimError as error:
        problems.append(Problem("published numbers", clean(str(error))))
    return Catalogue(
        methods=tuple(methods),
        cards=tuple(found_cards),
        studies=tuple(studies),
        published=published,
        reports=tuple(_reports_beside(site)),
        problems=tuple(problems),
    )


def file_name(text: str) -> str:
    """What may stand in a path and in an address, whoever wrote it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def _reports_beside(site: Path) -> list[ReportPage]:
    """HTML pages in the folder above the site, the site itself apart."""
    above = site.resolve().parent
    found = []
    for path in sorted(above.rglob("*.html")):
        inside = path.relative_to(above)
        hidden = any(part.startswith(".") for part in inside.parts)
        # The page of a run belongs to its run, which is in the list of runs.
        of_a_run = (path.parent / "record.json").exists()
        if hidden or of_a_run or path.is_symlink() or path.resolve().is_relative_to(site.resolve()):
            continue
        found.append(ReportPage(_title_of(path) or inside.as_posix(), f"../{inside.as_posix()}"))
        if len(found) == MOST_REPORTS:
            break
    return found


class _Title(HTMLParser):
    """The text of the first title."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.text = False, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "title" and not self.text

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text += data


def _title_of(path: Path) -> str:
    parser = _Title()
    try:
        with path.open("rb") as stream:
            parser.feed(stream.read(MOST_BYTES_OF_A_HEAD).decode("utf-8", "replace"))
    except OSError:
        return ""
    return clean(parser.text)
