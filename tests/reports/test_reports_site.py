"""The site: every link leads somewhere, every page has its twin, and nothing is asked of the network."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from collection_samples import unpacked, write_records
from report_pages import Page

from suite.cli.main import run as run_command
from suite.methods import METHODS
from suite.methods.api.declared import read_told
from suite.reports.trajectories import trajectory

CARDS = Path(__file__).parents[2] / "cards"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    write_records(folder / "runs", 12)
    (folder / "cards").mkdir()
    for name in ("lsq.yaml", "rtn.yaml"):
        (folder / "cards" / name).write_bytes((CARDS / name).read_bytes())
    (folder / "cards" / "broken.yaml").write_text("card: 1\nkind: [", encoding="utf-8")
    (folder / "beside <1>.html").write_text("<title>Beside &amp; kept</title>", encoding="utf-8")
    (folder / "smol").mkdir()
    title = "Precisions learned through noise, and what they know · study"
    (folder / "smol" / "study.html").write_text(f"<title>{title}</title>", encoding="utf-8")
    for run in (folder / "runs").iterdir():
        (run / "card.html").write_text("<title>A run</title>", encoding="utf-8")
    words = ["report", "build", "--to", str(folder / "site"), "--cards", str(folder / "cards")]
    assert run_command([*words, "--runs", str(folder / "runs")]) == 0
    return folder / "site"


def data(page: Path) -> dict[str, list[object]]:
    tables = json.loads(
        Page(page.read_text(encoding="utf-8")).raw["script"].partition('"use strict"')[0].partition("// Reports")[0]
    )
    (table,) = tables.values()
    return {column["id"]: unpacked(column) for column in table["columns"]}


def test_every_page_has_a_twin_and_every_link_leads_somewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    names = {str(page.relative_to(site)) for page in pages}
    assert {"index.html", "methods.html", "cards.html", "studies.html", "claims.html", "runs.html"} <= names
    assert {"cards/lsq.html", "cards/rtn.html"} <= names
    for page in pages:
        assert page.with_suffix(".md").is_file()
        for _, target in Page(page.read_text(encoding="utf-8")).attributes("href"):
            if not target.startswith(("#", "https://")):
                assert (page.parent / unquote(target)).is_file(), f"{page.name} -> {target}"


def test_the_front_page_finds_everything_and_leads_to_it(site: Path) -> None:
    held = data(site / "index.html")
    assert {"Methods", "Cards", "Studies", "Claims", "Reports"} == set(held["kind"])
    assert all((site / unquote(str(target))).is_file() for target in held["target"])
    assert {"lsq", "rtn"} <= set(held["name"])
    assert "Beside & kept" in held["name"]


def test_a_card_that_cannot_be_read_is_named_on_the_front_page(site: Path) -> None:
    page = Page((site / "index.html").read_text(encoding="utf-8"))
    assert "broken.yaml" in page.text
    assert "broken.yaml" in (site / "index.md").read_text(encoding="utf-8")


def test_methods_tell_their_paper_without_being_run(site: Path) -> None:
    table = json.loads((site / "methods.json").read_text(encoding="utf-8"))
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    assert "Learned Step Size Quantization" in rows["lsq"]["paper"]
    assert rows["lsq"]["url"].startswith("https://arxiv.org/")
    assert rows["lsq"]["runs"] > 0


def test_a_method_has_a_page_with_its_notes_cards_studies_and_runs(site: Path) -> None:
    page = Page((site / "methods" / "lsq.html").read_text(encoding="utf-8"))
    assert "Learned Step Size Quantization" in page.text
    assert "gradient scale" in page.text  # one of its notes
    targets = [value for _, value in page.attributes("href")]
    assert "../cards/lsq.html" in targets
    assert "../studies/training-resnet20.html" in targets
    runs = data(site / "methods" / "lsq.html")["run"]
    assert runs
    assert all(str(run).startswith("lsq-") for run in runs)
    assert "gradient scale" in (site / "methods" / "lsq.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("id", list(METHODS.ids()))
def test_a_method_tells_in_its_source_what_it_tells_when_it_runs(id: str) -> None:
    told, kind = read_told(METHODS.entry(id)), METHODS.get(id)
    assert (told.title, told.paper, told.notes) == (kind.title, kind.paper, kind.notes)
    assert told.description == inspect.cleandoc(kind.__doc__ or "")


def test_a_study_has_a_page_that_leads_to_its_results(site: Path) -> None:
    page = Page((site / "studies" / "smol-resnet20.html").read_text(encoding="utf-8"))
    assert "suite study run smol-resnet20 --size paper" in page.text
    targets = [value for _, value in page.attributes("href")]
    assert "../../smol/study.html" in targets
    assert "../methods/smol_layer.html" in targets


def test_pages_of_runs_are_not_listed_as_reports(site: Path) -> None:
    assert not [held for held in data(site / "reports.html")["address"] if "runs/" in str(held)]


def test_a_folder_of_cards_that_is_not_there_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", "build", "--to", str(tmp_path / "site"), "--cards", str(tmp_path / "none")]
    assert run_command(words) == 2
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_trajectory_is_drawn_from_figures_that_tell_one_and_from_no_others() -> None:
    figures = {"after": [0, 10, 20], "loss": [2.0, 1.0], "step_sizes": {"conv1:weight": [0.1, 0.2, 0.05]}}
    held = trajectory(figures)
    assert held is not None
    assert held.rows == (("loss", "2", "1"), ("conv1:weight", "0.1", "0.05"))
    loss, steps = held.courses
    assert loss.ways[0].path == "M500 0L1000 300"
    assert steps.ways[0].path == "M0 300L500 0L1000 600"  # twice the start at the top, half of it at the bottom
    for wrong in ({}, {"after": "soon"}, {"after": [0, 10], "loss": ["a", "b"]}, {"after": [5, 1], "loss": [1, 2]}):
        assert trajectory(wrong) is None
