"""Baselines: shipped weights score what they declare, can be trained again, and changes are noticed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

import suite
from suite.cli.baseline import command
from suite.errors import DataMissing, SuiteError, UnknownName, Unsupported, WeightsError
from suite.models import baselines, build_model, get_baseline, known_weights, shipped_baselines
from suite.models.baselines import describe_baselines, read_baseline
from suite.models.known_weights import KnownWeights, require_unseen
from suite.models.recipes import RECIPES, Recipe, train
from suite.models.training import train_baseline, verify_baseline
from suite.models.weights import save_weights, state_hash
from suite.tasks import Split, get_task

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("id", "least"), [("digits-resnet", 0.98), ("digits-resnet-brief", 0.95), ("digits-vit", 0.97)]
)
def test_the_shipped_digits_baselines_score_what_they_declare(id, least):
    baseline = get_baseline(id)
    assert hashlib.sha256(baseline.weights.read_bytes()).hexdigest() == baseline.weights_hash
    task = get_task(baseline.task)
    assert task.data_hash == baseline.data_hash
    data = task.split(Split.TEST)
    model = baseline.load()
    with torch.no_grad():
        correct = int((model(data.inputs).argmax(1) == data.labels).sum())
    assert correct == baseline.correct
    assert baseline.score == correct / 773
    assert baseline.score >= least
    assert baseline.weights.stat().st_size < 300_000


def test_the_description_holds_the_recipe_that_is_in_the_code():
    for baseline in shipped_baselines().values():
        assert dict(baseline.recipe) == dataclasses.asdict(RECIPES[baseline.id])


def test_every_shipped_folder_is_listed_for_packaging_and_in_the_readme():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    readme = (ROOT / "baselines" / "README.md").read_text()
    folders = sorted(file.parent.name for file in (ROOT / "baselines").glob("*/baseline.yaml"))
    assert folders
    for name in folders:
        assert listed[f"share/quantization-suite/baselines/{name}"] == [f"baselines/{name}/*"]
        baseline = read_baseline(ROOT / "baselines" / name / "baseline.yaml")
        assert f"{100 * baseline.score:.2f} % ({baseline.correct} of {baseline.examples}" in readme


def test_an_installation_finds_its_baselines_under_share(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    (site / "suite").mkdir(parents=True)
    folder = site / "share" / "quantization-suite" / "baselines" / "digits-resnet"
    folder.mkdir(parents=True)
    for file in (ROOT / "baselines" / "digits-resnet").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(suite, "__file__", str(site / "suite" / "__init__.py"))
    shipped_baselines.cache_clear()
    try:
        assert get_baseline("digits-resnet").weights == folder / "weights.safetensors"
    finally:
        shipped_baselines.cache_clear()


def short(**changes) -> Recipe:
    return dataclasses.replace(RECIPES["digits-resnet"], **({"epochs": 4, "warmup_epochs": 1} | changes))


def test_training_again_gives_the_same_bits_whatever_random_numbers_were_drawn_before(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "digits-resnet", short())
    torch.manual_seed(1)
    first = train_baseline("digits-resnet", tmp_path / "a")
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    losses = []
    second = train_baseline("digits-resnet", tmp_path / "b", lambda epoch, loss: losses.append(loss))
    assert first.weights_hash == second.weights_hash
    assert (tmp_path / "a" / "baseline.yaml").read_text() == (tmp_path / "b" / "baseline.yaml").read_text()
    assert torch.get_num_threads() == threads
    assert len(losses) == 4
    assert losses[-1] < 0.5 * losses[0]
    assert first.score > 0.9
    monkeypatch.setitem(RECIPES, "digits-resnet", short(seed=1))
    assert train_baseline("digits-resnet", tmp_path / "c").weights_hash != first.weights_hash
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == ["baseline.yaml", "weights.safetensors"]
    assert read_baseline(tmp_path / "a" / "baseline.yaml").score == first.score


def test_adamw_decays_what_multiplies_and_nothing_else():
    recipe = short(optimizer="adamw", epochs=1, warmup_epochs=0, peak_rate=1e-3, weight_decay=1e3, augmented=False)
    before = build_model("digits-vit", seed=1)
    after = train(build_model("digits-vit", seed=1), get_task("digits"), recipe)
    shrunk = {
        name
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True)
        if float(new.detach().norm()) < 0.2 * float(old.detach().norm())  # 16 steps: the rate falls from 1e-3 to 0
    }
    layers = (torch.nn.Conv2d, torch.nn.Linear)
    assert shrunk == {f"{name}.weight" for name, module in before.named_modules() if isinstance(module, layers)}


def test_an_unknown_optimizer_is_refused_with_a_suggestion():
    with pytest.raises(UnknownName, match="did you mean 'adamw'"):
        train(build_model("digits-vit"), get_task("digits"), short(optimizer="adam"))


def test_training_never_touches_the_test_split():
    from suite.tasks.vault import sealed

    with sealed() as seal:
        train(build_model("digits-resnet"), get_task("digits"), short(epochs=2))
    assert seal.attempts == []


def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine():
    recipe = short(epochs=10, warmup_epochs=2, peak_rate=1.0)
    rates = [recipe.rate(step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[30] == pytest.approx(0.5)
    assert rates[-1] < 0.01
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))


@pytest.fixture
def copy(tmp_path):
    """A shipped baseline in a folder that may be damaged."""
    for file in (ROOT / "baselines" / "digits-resnet").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "baseline.yaml"


def test_changed_weights_are_refused_by_load_and_reported_by_verify(copy):
    save_weights(build_model("digits-resnet"), copy.parent / "weights.safetensors")
    baseline = read_baseline(copy)
    with pytest.raises(WeightsError, match="the file was changed after it was measured"):
        baseline.load()
    found = verify_baseline(baseline)
    assert found.disagreements == ("weights_hash", "score")
    assert found.score < 0.5


def test_a_promised_score_that_is_not_measured_is_reported(copy):
    content = yaml.safe_load(copy.read_text())
    copy.write_text(yaml.safe_dump(content | {"correct": 770, "score": 770 / 773}))
    assert verify_baseline(read_baseline(copy)).disagreements == ("score",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 0.5}, "score is not correct / examples"),
        ({"score": "0.99"}, "'score' is str, expected float"),
        ({"weights": "../../etc/passwd"}, "must be the name of a file beside it"),
        ({"baseline": 2}, "format 2, this suite reads 1"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"recipe": None}, "'recipe' is NoneType"),
    ],
)
def test_a_broken_description_is_refused_with_its_fault(copy, change, message):
    copy.write_text(yaml.safe_dump(yaml.safe_load(copy.read_text()) | change))
    with pytest.raises(SuiteError, match=message):
        read_baseline(copy)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system [touch OWNED]", "[", "- 1", "id: x", "x" * 70_000])
def test_a_description_is_read_as_plain_data(copy, text):
    copy.write_text(text)
    with pytest.raises(SuiteError):
        read_baseline(copy)
    assert not (copy.parent / "OWNED").exists()
    assert not Path("OWNED").exists()


def test_weights_by_path_make_a_baseline_of_an_architecture(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_weights(build_model("resnet20", seed=3), file)
    baseline = get_baseline("resnet20", file)
    assert baseline.weights_hash == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (baseline.model, baseline.task, baseline.score) == ("resnet20", None, None)
    assert torch.equal(baseline.load().conv1.weight, build_model("resnet20", seed=3).conv1.weight)


def test_the_shipped_file_given_by_path_is_the_shipped_baseline():
    shipped = get_baseline("digits-resnet")
    assert get_baseline("digits-resnet", shipped.weights) == shipped


def test_what_has_no_weights_says_how_to_give_some(tmp_path):
    with pytest.raises(DataMissing, match=r"no trained weights of 'resnet20'.*--weights PATH"):
        get_baseline("resnet20")
    with pytest.raises(DataMissing, match="--weights pretrained"):
        get_baseline("torchvision:resnet18")
    with pytest.raises(DataMissing, match="no weights file at"):
        get_baseline("resnet20", tmp_path / "none.pt")
    with pytest.raises(UnknownName, match="did you mean 'digits-resnet'"):
        get_baseline("digit-resnet")


def test_list_prints_an_array_of_objects_with_ids():
    answer = CliRunner().invoke(command, ["list", "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == json.loads(json.dumps(describe_baselines()))
    assert [row["id"] for row in json.loads(answer.stdout)] == sorted(shipped_baselines())
    assert "98.84%" in CliRunner().invoke(command, ["list"]).stdout


def test_verify_measures_again_and_its_json_is_alone_on_standard_output():
    answer = CliRunner().invoke(command, ["verify", "--json"], standalone_mode=False)
    assert answer.return_value == 0
    rows = {row["id"]: (row["disagreements"], row["correct"]) for row in json.loads(answer.stdout)}
    assert rows["digits-resnet"] == ([], 764)
    assert rows["digits-vit"] == ([], 756)


def test_verify_measures_weights_by_path(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_weights(build_model("digits-resnet"), file)
    arguments = ["verify", "digits-resnet", "--weights", str(file), "--task", "digits", "--json"]
    answer = CliRunner().invoke(command, arguments, standalone_mode=False)
    (row,) = json.loads(answer.stdout)
    assert answer.return_value == 0
    assert row["declared_score"] is None
    assert row["score"] < 0.5


def test_verify_answers_no_with_exit_code_1(monkeypatch):
    false = dataclasses.replace(get_baseline("digits-resnet"), correct=773, score=1.0)
    monkeypatch.setattr(baselines, "shipped_baselines", lambda: {"digits-resnet": false})
    answer = CliRunner().invoke(command, ["verify"], standalone_mode=False)
    assert answer.return_value == 1
    assert "differs in score" in answer.stdout


def test_train_writes_a_folder_that_verifies(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "digits-resnet", short(epochs=2))
    answer = CliRunner().invoke(command, ["train", "digits-resnet", "--out", str(tmp_path / "new"), "--json"])
    assert answer.exit_code == 0, answer.output
    written = read_baseline(tmp_path / "new" / "baseline.yaml")
    assert json.loads(answer.stdout)["score"] == written.score
    assert verify_baseline(written).disagreements == ()


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["train", "--help"], ["verify", "--help"]])
def test_help_has_examples(arguments):
    answer = CliRunner().invoke(command, arguments)
    assert answer.exit_code == 0
    if len(arguments) == 2:
        assert "Examples:" in answer.stdout
        assert f"suite baseline {arguments[0]}" in answer.stdout


def test_a_model_that_does_not_fit_the_images_is_refused_in_words(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_weights(build_model("resnet20"), file)
    with pytest.raises(Unsupported, match=r"'resnet20' cannot read the 1x8x8 images of 'digits'.*'digits-resnet'"):
        get_baseline("resnet20", file).load_for(get_task("digits"))
    assert not get_baseline("digits-resnet").load_for(get_task("digits")).training


def test_weights_that_have_seen_the_test_images_are_refused(monkeypatch):
    model = build_model("digits-resnet", seed=4)
    known = KnownWeights("a public network", "everything", ("digits",))
    monkeypatch.setattr(known_weights, "KNOWN", {state_hash(model): known})
    with pytest.raises(Unsupported, match="a public network was trained on everything, which hold the test images"):
        require_unseen(model, "digits")
    require_unseen(model, "cifar10")
    require_unseen(build_model("digits-resnet", seed=5), "digits")


@pytest.mark.skipif("SUITE_DATA" not in os.environ, reason="needs the published weights of SUITE_DATA")
def test_the_published_resnet20_is_known_to_have_seen_the_clean_test_images():
    folder = Path(os.environ["SUITE_DATA"]) / "weights"
    published = build_model("resnet20", weights=folder / "resnet20_cifar10.pt")
    with pytest.raises(Unsupported, match="trained on all 50,000 official train images"):
        require_unseen(published, "cifar10-clean40k")
    require_unseen(published, "cifar10")
    require_unseen(build_model("resnet20", weights=folder / "resnet20_cifar10_40k.pt"), "cifar10-clean40k")
