"""`suite card` from the outside: what it prints, what it writes, how it ends; and the command lines that are wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from suite.cards import load_card
from suite.cli.main import run

CARDS = Path(__file__).parents[2] / "cards"
LSQ, RTN = str(CARDS / "lsq.yaml"), str(CARDS / "rtn.yaml")
TABLE3 = str(CARDS / "published" / "confounding-tradeoffs-table3.yaml")
OLD = Path(__file__).parents[1] / "cards" / "card-version-0.yaml"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return code, out.getvalue(), err.getvalue()


def test_a_new_card_is_valid_and_has_the_values_asked_for():
    code, out, err = suite("card", "new", "--set", "weight_bits=4", "--set", "time_limit=1e-1", "--out", "mine.yaml")
    assert (code, out, err) == (0, "wrote mine.yaml\n", "")
    setting = load_card("mine.yaml").setting
    assert (setting["weight_bits"], setting["time_limit"]) == (4, 0.1)
    assert suite("card", "validate", "mine.yaml")[:2] == (0, "mine.yaml: valid (run)\n")


def test_a_new_card_for_lsq_starts_with_what_lsq_recommends():
    _, out, _ = suite("card", "new", "--method", "lsq")
    Path("lsq.yaml").write_text(out, encoding="utf-8")
    setting = load_card("lsq.yaml").setting
    assert setting["weight_range"] == "learned-step"
    assert setting["labels"] == "labeled"


def test_a_card_for_a_method_that_does_not_exist_yet_is_remarked_upon():
    code, out, err = suite("card", "new", "--method", "lsqq")
    assert code == 0
    assert "method: {id: lsqq, options: {}}" in out
    assert "did you mean 'lsq'?" in err


def test_validate_tells_every_card_and_every_problem():
    Path("bad.yaml").write_text("card: 2\n", encoding="utf-8")
    code, out, _ = suite("card", "validate", LSQ, "bad.yaml", TABLE3, "missing.yaml")
    assert code == 2
    lines = out.splitlines()
    assert lines[0] == f"{LSQ}: valid (run)"
    assert lines[1].startswith("bad.yaml:1:7: card: version 2 is newer")
    assert lines[2] == f"{TABLE3}: valid (transcribed, 30 axes not reported)"
    assert lines[3] == "missing.yaml: no such file (suite card new writes a card to start from)"
    assert len(lines) == 4


def test_validate_json_is_one_object():
    Path("bad.yaml").write_text("card: 2\n", encoding="utf-8")
    code, out, err = suite("card", "validate", LSQ, "bad.yaml", "--json")
    found = json.loads(out)
    assert (code, err, found["valid"]) == (2, "", False)
    assert [card["valid"] for card in found["cards"]] == [True, False]
    assert found["cards"][1]["problems"][0]["line"] == 1
    assert json.loads(suite("card", "validate", LSQ, "--json")[1])["valid"] is True


def test_diff_answers_and_its_exit_code_says_so():
    assert suite("card", "diff", LSQ, LSQ) == (0, "same setting\n", "")
    code, out, _ = suite("card", "diff", LSQ, RTN)
    assert code == 1
    stated = int(out.removeprefix("different in ").partition(" axes\n")[0])
    assert "  weight_bits: 4 -> 8\n" in out
    assert "besides the setting:\n  method: lsq -> rtn\n" in out
    code, out, _ = suite("card", "diff", LSQ, RTN, "--json")
    found = json.loads(out)
    assert code == 1
    assert len(found["differences"]) == stated > 10
    assert {"axis": "weight_bits", "left": 4, "right": 8} in found["differences"]
    assert found["unknown"] == []


def test_render_markdown_and_html():
    code, out, _ = suite("card", "render", LSQ)
    assert code == 0
    assert out.startswith("# LSQ on the embedded digits")
    code, out, _ = suite("card", "render", LSQ, "--out", "lsq.md", "--json")
    assert (code, json.loads(out)) == (0, {"file": "lsq.md"})
    assert Path("lsq.md").read_text("utf-8").startswith("# LSQ")
    code, out, _ = suite("card", "render", LSQ, "--format", "html")
    assert code == 0
    assert "<html" in out
    assert "LSQ on the embedded digits" in out


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_text_of_a_card_never_becomes_markup(form):
    hostile = "<script>alert(1)</script> [x](javascript:alert(1))"
    text = Path(RTN).read_text("utf-8").replace("options: {}", f'options: {{a: "{hostile}"}}')
    Path("x.yaml").write_text(text.replace("remarks:", f'remarks:\n  - "{hostile}"'), encoding="utf-8")
    code, out, _ = suite("card", "render", "x.yaml", "--format", form)
    assert code == 0
    assert "alert(1)" in out
    assert "<script>alert" not in out
    assert form == "html" or "[x](" not in out


def test_migrate_in_place_and_to_a_file():
    Path("old.yaml").write_text(OLD.read_text("utf-8"), encoding="utf-8")
    assert suite("card", "validate", "old.yaml")[0] == 2
    code, out, _ = suite("card", "migrate", "old.yaml", "--out", "new.yaml", "--json")
    assert (code, json.loads(out)) == (0, {"file": "new.yaml", "changed": True})
    assert Path("old.yaml").read_text("utf-8") == OLD.read_text("utf-8")
    assert suite("card", "migrate", "old.yaml", "--in-place")[0] == 0
    assert Path("old.yaml").read_bytes() == Path("new.yaml").read_bytes()
    assert suite("card", "validate", "old.yaml")[0] == 0
    assert json.loads(suite("card", "migrate", "old.yaml", "--json")[1])["changed"] is False


WRONG = [
    (["card", "validat", "x"], "did you mean 'validate'"),
    (["card"], "missing command"),
    (["card", "validate"], "missing argument 'card...'"),
    (["card", "validate", "missing.yaml"], "missing.yaml: no such file"),
    (["card", "validate", "."], ".: is not a file"),
    (["card", "validate", ""], ": "),
    (["card", "validate", "x", "--jsn"], "no such option"),
    (["card", "diff", LSQ], "missing argument"),
    (["card", "diff", LSQ, "missing.yaml"], "missing.yaml: no such file"),
    (["card", "diff", LSQ, RTN, TABLE3], "unexpected extra argument"),
    (["card", "render"], "missing argument"),
    (["card", "render", "missing.yaml"], "missing.yaml: no such file"),
    (["card", "render", LSQ, "--format", "pdf"], "'pdf' is not one of 'markdown', 'html'"),
    (["card", "render", LSQ, "--out", "no/such/folder.md"], "cannot be written: no such file or directory"),
    (["card", "render", LSQ, "--out", "kept.txt"], "kept.txt: exists already (--force writes over it)"),
    (["card", "new", "--out", "kept.txt"], "kept.txt: exists already (--force writes over it)"),
    (["card", "new", "--set", "weight_bits"], "expected axis=value, found 'weight_bits'"),
    (["card", "new", "--set", "weight_bits=0"], "weight_bits: expected a number in [1, 32], found 0"),
    (["card", "new", "--set", "weigth_bits=4"], "did you mean 'weight_bits'?"),
    (["card", "new", "--set", "weight_bits=4", "--set", "weight_bits=2"], "--set weight_bits is given twice"),
    (["card", "new", "--set", "weight_granularity=per-group"], "per-group scales need a group size"),
    (["card", "new", "--set", "skip_connection=full-precision"], "no full-precision skip"),
    (["card", "new", "--method", "../evil"], "method.id: expected a method id"),
    (["card", "new", "--task", "a b"], "task: expected an id"),
    (["card", "new", "--title", ""], "title: expected a text on one line"),
    (["card", "new", "--title", "a\x1b[2J"], "title: expected a text on one line"),
    (["card", "new", "extra"], "unexpected extra argument"),
    (["card", "new", "--out", "."], ".: exists already"),
    (["card", "new", "--out", ".", "--force"], "cannot be written"),
    (["card", "migrate", "missing.yaml"], "missing.yaml: no such file"),
    (["card", "migrate", LSQ, "--in-place", "--out", "x.yaml"], "--in-place and --out exclude each other"),
    (["card", "migrate", "kept.txt"], "a card is a mapping"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(row[0])[-60:] for row in WRONG])
def test_a_wrong_command_line_ends_in_one_line_and_exit_code_2(folder, arguments, words):
    Path("kept.txt").write_text("kept\n", encoding="utf-8")
    code, out, err = suite(*arguments)
    assert code == 2, out
    told = [line for line in (err or out).splitlines() if not line.startswith("note:")]
    assert words in told[0].lower()
    assert len(told) == 1
    assert "Traceback" not in out + err
    assert [path.name for path in folder.iterdir()] == ["kept.txt"], "nothing half written"
    assert Path("kept.txt").read_text("utf-8") == "kept\n"


@pytest.mark.parametrize("name", ["new", "validate", "diff", "render", "migrate"])
def test_help_has_examples(name):
    code, out, _ = suite("card", name, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"suite card {name}" in out
    assert "--json" in out


def test_no_card_command_imports_torch_or_what_it_does_not_need():
    script = (
        "import sys; from suite.cli.main import run;"
        f"codes = [run(['card', 'new', '--method', 'lsq', '--out', 'a.yaml']), run(['card', 'validate', {LSQ!r}]),"
        f" run(['card', 'diff', {LSQ!r}, {RTN!r}])];"
        "heavy = ('torch', 'numpy', 'pandas', 'jsonschema', 'jinja2', 'ruamel.yaml');"
        "print(codes, [name for name in heavy if name in sys.modules]);"
        f"print(run(['card', 'render', {LSQ!r}, '--out', 'lsq.md']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert "[0, 0, 1] []" in lines
    assert lines[-1] == "0 False"
