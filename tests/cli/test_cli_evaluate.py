"""`suite evaluate` and its neighbours as a person uses them: what is printed, what is written, how mistakes end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suite.cli.main import run

REPOSITORY = Path(__file__).parents[2]
LSQ, RTN = str(REPOSITORY / "cards" / "lsq.yaml"), str(REPOSITORY / "cards" / "rtn.yaml")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_json_is_exactly_one_object_with_the_promised_keys(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["evaluate", "--method", "rtn", "--card", RTN, "--out", str(root), "--threads", "1", "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    data = json.loads(printed.out)
    assert set(data) >= {
        "status",
        "run_id",
        "method",
        "task",
        "model",
        "metric",
        "float_score",
        "score",
        "difference",
        "difference_interval",
        "average_weight_bits",
        "average_activation_bits",
        "model_bytes",
        "audit",
        "costs",
        "folder",
    }
    assert data["status"] == "completed"
    assert 0.9 < data["float_score"] <= 1.0
    low, high = data["difference_interval"]
    assert low <= data["difference"] <= high
    assert set(data["costs"]) >= {"seconds", "epoch_fraction", "examples", "labels"}
    assert data["costs"]["examples"] == 256
    assert data["costs"]["labels"] is False
    assert data["audit"]["verdict"] == "verified"
    for axis, entry in data["audit"]["axes"].items():
        assert set(entry) >= {"declared", "observed", "verdict"}, axis
        assert entry["verdict"] in ("verified", "contradicted", "not observable")
    assert (Path(data["folder"]) / "card.html").is_file()


def test_text_shows_the_result_and_then_finds_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--card", RTN, "--out", str(root), "--threads", "1"]
    assert run(arguments) == 0
    first = capsys.readouterr()
    assert "found on record" in first.err or "float" in first.out
    assert run(arguments) == 0
    second = capsys.readouterr()
    assert "found on record" in second.err
    for word in ("float", "quantized", "95 % interval", "bits", "bytes", "cost", "audit", "folder"):
        assert word in second.out


def test_an_override_is_written_into_the_completed_card(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from suite.cards import load_card

    code = run(
        [
            "evaluate",
            "--card",
            RTN,
            "--set",
            "weight_bits=4",
            "--seed",
            "3",
            "--out",
            str(root),
            "--threads",
            "1",
            "--json",
        ]
    )
    data = json.loads(capsys.readouterr().out)
    assert code == 0
    card = load_card(Path(data["folder"]) / "card.yaml")
    assert card.values["weight_bits"] == 4
    assert card.seed == 3
    assert data["average_weight_bits"] < 8


@pytest.mark.parametrize("kind", ["methods", "axes", "tasks", "models", "baselines"])
def test_lists_are_arrays_of_objects_with_ids(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(isinstance(row["id"], str) and row["id"] for row in rows)


BROKEN = [
    (["evalute"], "no command is called 'evalute' (did you mean 'evaluate'?)"),
    (["evaluate"], "--card"),
    (["evaluate", "--card", "missing.yaml"], "missing.yaml"),
    (["evaluate", "--card", str(REPOSITORY)], "is not a file"),
    (["evaluate", "--card", RTN, "--methd", "rtn"], "--methd"),
    (["evaluate", "--card", RTN, "--method", "rtm"], "no method is called 'rtm' (did you mean 'rtn'?)"),
    (["evaluate", "--card", RTN, "--method", "../rtn"], "no method is called"),
    (["evaluate", "--card", LSQ, "--method", "rtn"], "method 'rtn' does not support"),
    (["evaluate", "--card", RTN, "--set", "weight_bit=4"], "did you mean 'weight_bits'"),
    (["evaluate", "--card", RTN, "--set", "weight_bits"], "axis=value"),
    (["evaluate", "--card", RTN, "--set", "weight_bits=0"], "weight_bits"),
    (["evaluate", "--card", RTN, "--set", "weight_bits=1e400"], "weight_bits"),
    (["evaluate", "--card", RTN, "--set", "pooling=low"], "pooling"),
    (["evaluate", "--card", RTN, "--set", "grid=non-uniform"], "cannot enforce"),
    (["evaluate", "--card", RTN, "--set", "skip_connection=full-precision"], "skip_connection"),
    (["evaluate", "--card", RTN, "--set", "weight_granularity=per-group"], "weight_group_size"),
    (["evaluate", "--card", RTN, "--set", "examples=2000"], "examples"),
    (["evaluate", "--card", RTN, "--set", "examples=-1"], "examples"),
    (["evaluate", "--card", RTN, "--set", "labels=labeled"], "labels"),
    (["evaluate", "--card", LSQ, "--set", "labels=unlabeled"], "labels"),
    (["evaluate", "--card", RTN, "--option", "batch_size=0"], "batch_size"),
    (["evaluate", "--card", RTN, "--option", "batchsize=1"], "did you mean 'batch_size'"),
    (["evaluate", "--card", LSQ, "--option", "learning_rate=nan"], "learning_rate"),
    (["evaluate", "--card", LSQ, "--option", "epochs=1e3"], "epochs"),
    (["evaluate", "--card", LSQ, "--option", "initialization=ls"], "initialization"),
    (["evaluate", "--card", RTN, "--task", "digit"], "did you mean 'digits'"),
    (["evaluate", "--card", RTN, "--task", "cifar10", "--data", "nowhere"], "nowhere"),
    (["evaluate", "--card", RTN, "--model", "digits-resnt"], "digits-resn"),
    (["evaluate", "--card", RTN, "--weights", "nowhere.pt"], "nowhere.pt"),
    (["evaluate", "--card", RTN, "--weights", RTN], "rtn.yaml"),
    (["evaluate", "--card", RTN, "--seed", "-1"], "--seed"),
    (["evaluate", "--card", RTN, "--seed", "1.5"], "--seed"),
    (["evaluate", "--card", RTN, "--threads", "0"], "--threads"),
    (["evaluate", "--card", RTN, "--device", "tpu"], "--device"),
    (["evaluate", "--card", RTN, "--device", "cuda"], "CUDA"),
    (["list", "method"], "methods"),
    (["show", "axis", "poling"], "did you mean 'pooling'"),
    (["show", "method", "lqs"], "did you mean 'lsq'"),
    (["show", "task", "digit"], "did you mean 'digits'"),
    (["show", "plan", "--card", RTN, "--model", "resnet2"], "resnet2"),
    (["show", "axs"], "axs"),
    (["completion", "tcsh"], "tcsh"),
    (["--verison"], "--verison"),
]


@pytest.mark.parametrize(("arguments", "words"), BROKEN, ids=[" ".join(map(str, case[0]))[-60:] for case in BROKEN])
def test_mistakes_end_in_one_clear_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if arguments[-1] == "cuda":
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUITE_DATA", raising=False)
    code = run(arguments)
    printed = capsys.readouterr()
    lines = printed.err.strip().splitlines()
    assert code == 2, printed
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("suite: ")
    assert words in lines[0]
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []
