"""The door into transformers: networks saved by others, their config beside them, wrapped to return logits."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from suite.cards import load_card
from suite.errors import DataMissing, SuiteError, Unsupported, WeightsError
from suite.harness.identity import identify
from suite.harness.request import resolve
from suite.models import build_model, get_baseline
from suite.plan import dissect
from suite.tasks import get_task
from suite.torchvision_shim import ensure_torchvision

TOKENS = torch.tensor([[3, 7, 1, 9, 9, 2], [5, 5, 4, 8, 1, 6]])


@pytest.fixture(scope="module")
def library() -> Any:
    ensure_torchvision()
    return pytest.importorskip("transformers", reason="needs the optional extra 'language'")


@pytest.fixture(scope="module")
def opt(library: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A tiny OPT, and the folder it was saved in."""
    torch.manual_seed(0)
    network = library.OPTForCausalLM(
        library.OPTConfig(
            vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=32,
            word_embed_proj_dim=16, max_position_embeddings=20, attn_implementation="eager",
        )
    ).eval()  # fmt: skip
    folder = tmp_path_factory.mktemp("opt")
    network.save_pretrained(folder)
    return network, folder


def altered(folder: Path, to: Path, **changes: Any) -> Path:
    """A copy of a saved model whose config says something else."""
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps(config | changes))
    return to / "model.safetensors"


def test_saved_weights_compute_what_the_author_s_network_computes_classes_in_axis_1(opt: tuple[Any, Path]) -> None:
    network, folder = opt
    model = build_model("transformers:causal-lm/opt", 12, folder / "model.safetensors")
    with torch.no_grad():
        expected = network(input_ids=TOKENS, use_cache=False).logits
        assert torch.equal(model(TOKENS), expected.transpose(1, 2))
    assert model.network.lm_head.weight is model.network.model.decoder.embed_tokens.weight, "ties are the author's"
    assert not model.training


def test_a_loaded_network_can_be_planned(opt: tuple[Any, Path]) -> None:
    model = build_model("transformers:causal-lm/opt", 12, opt[1] / "model.safetensors")
    anatomy = dissect(model, TOKENS)
    assert anatomy.last_layer == "network.lm_head"
    assert anatomy.exported is not None


def test_a_classifier_does_not_look_at_padding(library: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = library.BertForSequenceClassification(
        library.BertConfig(
            vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=20, num_labels=2, pad_token_id=0,
        )
    ).eval()  # fmt: skip
    network.save_pretrained(tmp_path)
    model = build_model("transformers:sequence-classification/bert", 2, tmp_path / "model.safetensors")
    padded = torch.cat([TOKENS, torch.zeros(2, 3, dtype=torch.int64)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(model(padded), model(TOKENS), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(model(TOKENS), network(input_ids=TOKENS).logits, rtol=1e-4, atol=1e-6)
    assert dissect(model, padded).last_layer == "network.classifier"


def test_without_weights_a_type_of_model_has_random_ones_sized_for_the_classes(library: Any) -> None:
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "ffn_dim": 32,
        "word_embed_proj_dim": 16,
    }
    small = library.AutoConfig.for_model("opt", **sizes)
    original, library.AutoConfig.for_model = (
        library.AutoConfig.for_model,
        lambda of, **given: small.__class__(**sizes, **given),
    )
    try:
        one, other = (build_model("transformers:causal-lm/opt", 12, seed=seed) for seed in (0, 1))
    finally:
        library.AutoConfig.for_model = original
    with torch.no_grad():
        assert one(TOKENS).shape == (2, 12, 6)
        assert not torch.equal(one(TOKENS), other(TOKENS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "is the config of a 'bert', not of a 'opt'"),
        ({"ffn_dim": 10**7}, "describes .* weights, more than model.safetensors has bytes"),
        ({"ffn_dim": 48}, "lacks|does not load"),
        ({"num_hidden_layers": 2}, "lacks"),
        ({"hidden_size": "wide"}, "does not load as a 'opt'"),
    ],
    ids=["another type", "too large", "another shape", "more layers", "no number"],
)
def test_a_config_that_does_not_describe_the_weights_is_refused(
    opt: tuple[Any, Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    weights = altered(opt[1], tmp_path / "copy", **changes)
    with pytest.raises(WeightsError, match=message) as caught:
        build_model("transformers:causal-lm/opt", 12, weights)
    assert "\n" not in str(caught.value)


def test_code_that_a_config_points_to_is_not_run(opt: tuple[Any, Path], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    weights = altered(
        opt[1], tmp_path / "copy", auto_map={"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Evil"}
    )
    (weights.parent / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: ...\n")
    build_model("transformers:causal-lm/opt", 12, weights)
    assert not mark.exists()


def test_what_cannot_be_built_is_refused_with_the_way_out(opt: tuple[Any, Path], tmp_path: Path) -> None:
    weights = opt[1] / "model.safetensors"
    other = tmp_path / "weights.pt"
    other.write_bytes(b"")
    lonely = tmp_path / "model.safetensors"
    shutil.copy(weights, lonely)
    for id, file, kind, message in (
        ("transformers:causal/opt", weights, SuiteError, "causal-lm"),
        ("transformers:causal-lm/optt", weights, SuiteError, "did you mean 'opt'"),
        ("transformers:causal-lm/opt", other, Unsupported, "save_pretrained"),
        ("transformers:causal-lm/opt", lonely, DataMissing, "no config.json beside"),
    ):
        with pytest.raises(kind, match=message):
            build_model(id, 12, file)


def test_transformers_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(Unsupported, match=r"quantization-suite\[language\]"):
        build_model("transformers:causal-lm/opt")


def test_the_config_is_part_of_a_run_s_identity(opt: tuple[Any, Path], tmp_path: Path) -> None:
    weights = opt[1] / "model.safetensors"
    changed = altered(opt[1], tmp_path / "copy", num_attention_heads=1)
    card = Path(__file__).parents[2] / "cards" / "rtn.yaml"
    names = []
    for file in (weights, changed):
        asked = resolve(load_card(card), model="transformers:causal-lm/opt", weights=file)
        baseline = get_baseline("transformers:causal-lm/opt", file)
        names.append(identify(asked, get_task("digits"), baseline, batch_size=250).run_id)
    assert names[0] != names[1]
