"""Every shipped study at its smallest size: no run fails, no card is contradicted, all that is asked is answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suite.cli.main import run
from suite.studies import expand, load_study, shipped_studies
from suite.studies.expectations import Verdict

VERDICTS = {str(verdict) for verdict in Verdict}


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for all studies, also of tests in other processes: what two studies share runs once."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "smoke-runs"


@pytest.mark.slow
@pytest.mark.parametrize("id", list(shipped_studies()))
def test_a_study_runs_at_its_smallest_size(id: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["study", "run", id, "--size", "smoke", "--out", str(runs), "--quiet", "--json"])
    found = json.loads(capsys.readouterr().out)
    study = load_study(id)
    asked = [expectation.id for expectation in study.expectations_at("smoke")]
    assert found["cells"] == {"completed": len(expand(study, "smoke")), "diverged": 0, "failed": 0}
    assert [(one["id"], one["verdict"] in VERDICTS, bool(one["detail"])) for one in found["expectations"]] == [
        (id, True, True) for id in asked
    ]
    assert code == 0
