"""Harness: the identity of a request covers what would change its figures, and nothing that would not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import suite
from suite.cards import load_card
from suite.errors import DataMissing
from suite.harness.identity import identify
from suite.harness.request import Request, resolve
from suite.methods.api import Options, option
from suite.methods.rtn import METHOD
from suite.models import get_baseline
from suite.records.identity import PARTS, Identity, torch_version
from suite.tasks import get_task

CARD = Path(suite.__file__).parent.parent / "cards" / "rtn.yaml"


def request(*assignments: str, **options: object) -> Request:
    return resolve(load_card(CARD), assignments=assignments, **options)  # type: ignore[arg-type]


def identity(asked: Request, batch_size: int = 250) -> Identity:
    return identify(asked, get_task(asked.task), get_baseline(asked.model), batch_size=batch_size)


def test_the_parts_come_from_the_things_themselves() -> None:
    found = identity(request(threads=3)).parts
    assert tuple(found) == PARTS
    assert found["torch"] == torch.__version__ == torch_version()
    assert found["data"] == get_task("digits").identity
    assert found["weights"] == get_baseline("digits-resnet").weights_hash
    assert (found["threads"], found["batch_size"], found["dtype"], found["device"]) == (3, 250, "float32", "cpu")
    sources = found["sources"]
    assert isinstance(sources, dict)
    for label in (
        "suite/methods/rtn.py",
        "suite/plan/placing.py",
        "suite/quantizers/quantizer.py",
        "suite/harness/meter.py",
        "suite/harness/workbench.py",  # names the random streams
        "suite/harness/watch.py",  # verdicts
        "suite/harness/costs.py",
        "suite/statistics/paired.py",
        "suite/tasks/digits.py",
        "suite/models/digits_resnet.py",
    ):
        assert label in sources
    assert "suite/methods/lsq.py" not in sources, "another method's file does not make this run stale"
    assert not any(label.startswith(("suite/reports", "suite/cli")) for label in sources), "nor does how it is shown"


def test_the_same_request_is_the_same_run_whatever_the_card_is_called() -> None:
    asked = request()
    renamed = dataclasses.replace(asked, card=dataclasses.replace(asked.card, title="another title", path=None))
    assert identity(asked).run_id == identity(renamed).run_id


def test_what_changes_figures_changes_the_run() -> None:
    changed = [request(), request(seed=1), request(threads=7), request("weight_bits=4")]
    assert len({identity(asked).run_id for asked in changed}) == 4
    assert identity(request(), batch_size=100).run_id != identity(request()).run_id


def test_the_library_that_a_model_comes_from_is_part_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert identity(request()).parts["library"] == ""
    baseline = dataclasses.replace(get_baseline("digits-resnet"), model="timm:resnet10t")
    ids = set()
    for version in ("1.0.15", "1.0.16"):
        monkeypatch.setattr("importlib.metadata.version", lambda name, version=version: f"{version} of {name}")
        found = identify(request(), get_task("digits"), baseline, batch_size=250)
        assert found.parts["library"] == f"timm {version} of timm"
        ids.add(found.run_id)
    assert len(ids) == 2


def test_a_method_of_a_stranger_brings_its_own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "method_of_a_stranger.py").write_text(
        "from suite.methods.rtn import METHOD as Base\nclass Mine(Base):\n    id = 'mine'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from method_of_a_stranger import Mine  # type: ignore[import-not-found]

    sources = identity(request(instance=Mine())).parts["sources"]
    assert isinstance(sources, dict)
    assert {"method_of_a_stranger.py", "suite/methods/rtn.py"} <= set(sources)


@dataclasses.dataclass(frozen=True)
class Reading(Options):
    table: str | None = option(None, doc="what it reads", file="table.csv")
    label: str = option("", doc="a text that names no file")


class Reader(METHOD):
    id = "reader"
    Options = Reading


def of_reader(**options: str) -> Identity:
    return identity(request(instance=Reader.from_mapping(options)))


def test_what_a_file_holds_is_part_of_the_run_and_where_it_lies_is_not(tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "table.csv", tmp_path / "there" / "anything.csv"
    for file in (here, there):
        file.parent.mkdir()
        file.write_text("1,2,3")
    first = of_reader(table=str(here))
    assert str(tmp_path) not in str(first.parts["options"])
    assert of_reader(table=str(there)).run_id == first.run_id
    assert of_reader(table=str(here.parent)).run_id == first.run_id, "the folder that holds it names it as well"
    there.write_text("1,2,4")
    assert of_reader(table=str(there)).run_id != first.run_id
    assert of_reader().run_id != first.run_id
    assert of_reader().parts["options"] == {"table": None, "label": ""}


def test_another_text_stays_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("words")
    label = str(tmp_path / "note.txt")
    assert of_reader(label=label).parts["options"] == {"table": None, "label": label}


def test_a_file_that_is_not_there_is_said_before_anything_runs(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(DataMissing, match="option 'table' names no file"):
            of_reader(table=str(path))
