"""Models: what their ids build, and that building one disturbs nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from suite.errors import DataMissing, UnknownName, Unsupported
from suite.models import MODELS, build_model
from suite.models.recipes import measure
from suite.tasks import get_task
from suite.torchvision_shim import ensure_torchvision

WITH_DATA = pytest.mark.skipif("SUITE_DATA" not in os.environ, reason="needs the CIFAR-10 and weights of SUITE_DATA")


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("id", "count", "shape"),
    [
        # He et al. 2015, table 6: 0.27 million; counted by hand: 269,722 with ten classes.
        ("resnet20", 269_722, (3, 32, 32)),
        ("digits-resnet", 38_266, (1, 8, 8)),
        # Patches 4 * 40 + 40, token and positions 40 + 17 * 40, norms 9 * 80, classifier 410; in each of four blocks
        # 41 * 120 for queries, keys and values, 41 * 40, 41 * 80 and 81 * 40.
        ("digits-vit", 200 + 720 + 720 + 410 + 4 * (4_920 + 1_640 + 3_280 + 3_240), (1, 8, 8)),
    ],
)
def test_own_architectures_have_their_size_and_give_one_logit_per_class(id, count, shape):
    model = build_model(id)
    assert parameters(model) == count
    assert not model.training
    assert model(torch.randn(2, *shape)).shape == (2, 10)
    assert build_model(id, classes=7)(torch.randn(2, *shape)).shape == (2, 7)


def test_the_vision_transformer_for_digits_computes_what_timms_of_this_size_computes():
    ensure_torchvision()
    timm = pytest.importorskip("timm")
    model = build_model("digits-vit", seed=2)
    torch.manual_seed(5)
    for parameter in model.parameters():  # the class token and the norms begin as constants
        torch.nn.init.normal_(parameter, std=0.3)
    twin = timm.models.vision_transformer.VisionTransformer(
        img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=40, depth=4, num_heads=4, mlp_ratio=2.0
    ).eval()
    names = {name: name.replace("patch_embed.", "patch_embed.proj.") for name in model.state_dict()}
    twin.load_state_dict({names[name]: tensor for name, tensor in model.state_dict().items()})
    images = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model(images), twin(images), rtol=1e-4, atol=1e-4)
        assert float(twin(images).std()) > 0.1


def test_names_of_the_public_cifar_resnet_are_kept():
    names = set(build_model("resnet20").state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer3.2.bn2.bias", "linear.weight"} <= names
    assert not [name for name in names if "shortcut" in name or "avgpool" in name]


def test_the_parameter_free_shortcut_takes_every_second_pixel_and_adds_zero_channels():
    shortcut = build_model("resnet20").get_submodule("layer2.0.shortcut")
    x = torch.randn(2, 16, 8, 8)
    y = shortcut(x)
    assert y.shape == (2, 32, 4, 4)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


def test_random_weights_come_from_the_seed_and_leave_the_callers_streams_alone():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, second, other = build_model("resnet20"), build_model("resnet20"), build_model("resnet20", seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


@pytest.mark.parametrize(("name", "count"), [("resnet18", 11_689_512), ("shufflenet_v2_x1_0", 2_278_604)])
def test_torchvision_models_are_torchvisions(name, count):
    # Numbers of parameters as torchvision's own documentation states them.
    assert parameters(build_model(f"torchvision:{name}", classes=1000)) == count


def test_timm_models_have_their_attention_written_out():
    pytest.importorskip("timm")
    model = build_model("timm:deit_tiny_patch16_224", classes=1000)
    assert parameters(model) == 5_717_416
    fused = [module.fused_attn for module in model.modules() if hasattr(module, "fused_attn")]
    assert fused == [False] * 12


def test_writing_attention_out_does_not_change_what_it_computes():
    timm = pytest.importorskip("timm")
    ensure_torchvision()
    ours = build_model("timm:deit_tiny_patch16_224", classes=10)
    fused = timm.create_model("deit_tiny_patch16_224", num_classes=10).eval()
    fused.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(x), fused(x), atol=1e-4)


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("resnet21", "did you mean 'resnet20'"),
        ("torchvision:resnet19", "did you mean 'resnet18'|did you mean 'resnet1"),
        ("timm:deit_tiny_patch16_225", "did you mean 'deit_tiny_patch16_224'"),
        ("torchvison:resnet18", "did you mean 'torchvision'"),
        ("timm:", "no timm model is called ''"),
    ],
)
def test_unknown_models_are_answered_with_the_nearest_name(id, message):
    if id.startswith("timm"):
        pytest.importorskip("timm")
    with pytest.raises(UnknownName, match=message):
        build_model(id)


def test_pretrained_weights_belong_to_libraries_and_to_their_number_of_classes():
    with pytest.raises(Unsupported, match="'resnet20' has no pretrained weights"):
        build_model("resnet20", weights="pretrained")
    with pytest.raises(Unsupported, match="1000 classes, this task has 10"):
        build_model("torchvision:resnet18", classes=10, weights="pretrained")


def test_pretrained_goes_through_torchvisions_own_loading_code(monkeypatch):
    models = ensure_torchvision().models
    asked = []

    def get_model(name, **options):
        asked.append((name, options))
        return torch.nn.Linear(1, 1)

    monkeypatch.setattr(models, "get_model", get_model)
    build_model("torchvision:resnet18", classes=1000, weights="pretrained")
    assert asked == [("resnet18", {"weights": "DEFAULT", "num_classes": 1000})]


def test_a_missing_optional_library_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(Unsupported, match=r"pip install 'quantization-suite\[vision\]'"):
        build_model("timm:deit_tiny_patch16_224")


def test_listing_models_and_baselines_imports_no_torch():
    code = (
        "import sys; from suite.models import MODELS, shipped_baselines; "
        "print([(e.id, e.summary()) for e in MODELS], sorted(shipped_baselines())); "
        "assert 'torch' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert all(entry.id in answer.stdout for entry in MODELS)


def test_weights_that_are_not_there_are_missing_data(tmp_path):
    with pytest.raises(DataMissing, match="no weights file at"):
        build_model("resnet20", weights=tmp_path / "none.pt")


@WITH_DATA
@pytest.mark.slow
def test_the_resnet20_of_the_clean_split_scores_what_its_training_log_says():
    weights = Path(os.environ["SUITE_DATA"]) / "weights" / "resnet20_cifar10_40k.pt"
    model = build_model("resnet20", weights=weights).to(memory_format=torch.channels_last)
    outcomes = measure(model, get_task("cifar10-clean40k", os.environ["SUITE_DATA"]))
    assert len(outcomes) == 10_000
    assert abs(int(outcomes.sum()) - 9113) <= 2  # 91.13 %; another processor may turn a tie


@WITH_DATA
def test_the_published_resnet20_scores_its_published_figure_on_the_official_test_images():
    weights = Path(os.environ["SUITE_DATA"]) / "weights" / "resnet20_cifar10.pt"
    model = build_model("resnet20", weights=weights).to(memory_format=torch.channels_last)
    outcomes = measure(model, get_task("cifar10", os.environ["SUITE_DATA"]))
    assert len(outcomes) == 1000
    assert abs(outcomes.double().mean().item() - 0.915) <= 0.001
