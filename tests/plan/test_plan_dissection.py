"""What dissection finds in real architectures. The expected facts are read off the architectures' definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from suite.errors import UnknownName
from suite.plan import Anatomy, Kind, Role, dissect


def roles(anatomy: Anatomy, *wanted: Role) -> list[str]:
    return [site.name for site in anatomy.sites if site.role in wanted]


def test_resnet20_has_its_layers_and_nine_additions(zoo) -> None:
    anatomy = zoo.anatomy("resnet20")
    functions = [op.function for op in anatomy.of_kind(Kind.WEIGHTED)]
    assert functions == ["Conv2d"] * 19 + ["Linear"]
    assert len(anatomy.of_kind(Kind.ADD)) == 9
    assert anatomy.first_layer == "conv1"
    assert anatomy.op(anatomy.last_layer).function == "Linear"
    assert anatomy.shortcut_layers == ()  # option-A shortcuts have no weights
    assert len(anatomy.batch_norms) == 19


def test_resnet20_knows_skip_from_residual(zoo) -> None:
    anatomy = zoo.anatomy("resnet20")
    for stage in (1, 2, 3):
        for block in range(3):
            path = f"layer{stage}.{block}"
            residual = anatomy.site(f"{path}.add:residual")
            assert anatomy.op(residual.tensor).function == "BatchNorm2d"
            assert residual.tensor == f"{path}.bn2"
            skip = anatomy.site(f"{path}.add:skip")
            entry = anatomy.site(f"{path}.conv1:input").tensor
            assert anatomy.root(skip.tensor) == anatomy.root(entry)
            total = anatomy.site(f"{path}.add:sum")
            assert anatomy.op(total.tensor).kind is Kind.ACTIVATION
            assert anatomy.tensors[total.tensor].non_negative
            assert not anatomy.tensors[residual.tensor].non_negative
            assert skip.shape == residual.shape == total.shape == (8 * 2**stage, 64 // 2**stage, 64 // 2**stage)


def test_option_a_shortcuts_are_transparent(zoo) -> None:
    anatomy = zoo.anatomy("resnet20")
    skip = anatomy.site("layer2.0.add:skip")
    assert anatomy.op(skip.tensor).kind is Kind.TRANSPARENT
    assert anatomy.root(skip.tensor) == anatomy.site("layer1.2.add:sum").tensor


@pytest.mark.parametrize(
    ("name", "shortcuts", "additions"),
    [
        ("resnet18", ["layer2.0.downsample.0", "layer3.0.downsample.0", "layer4.0.downsample.0"], 8),
        ("resnet50", [f"layer{stage}.0.downsample.0" for stage in (1, 2, 3, 4)], 16),
    ],
)
def test_torchvision_resnets_have_shortcut_convolutions(zoo, name: str, shortcuts: list[str], additions: int) -> None:
    anatomy = zoo.anatomy(name)
    assert list(anatomy.shortcut_layers) == shortcuts
    assert len(anatomy.of_kind(Kind.ADD)) == additions
    for shortcut in shortcuts:
        block = shortcut.removesuffix(".downsample.0")
        assert anatomy.site(f"{block}.add:skip").tensor == f"{block}.downsample.1"
    assert roles(anatomy, Role.POOL_INPUT, Role.POOL_OUTPUT) == ["avgpool:pool-input", "avgpool:pool-output"]
    assert anatomy.op("maxpool").kind is Kind.TRANSPARENT
    assert anatomy.first_output == "relu"


def test_mobilenet_adds_linear_bottlenecks(zoo) -> None:
    anatomy = zoo.anatomy("mobilenet_v2")
    additions = anatomy.of_kind(Kind.ADD)
    assert len(additions) == 10
    for addition in additions:
        total = anatomy.site(f"{addition.name}:sum")
        assert total.tensor == addition.name  # no activation function follows the sum of linear bottlenecks
        assert not anatomy.tensors[total.tensor].non_negative
        assert anatomy.op(anatomy.site(f"{addition.name}:residual").tensor).kind is Kind.BATCH_NORM
    assert sum(op.kind is Kind.WEIGHTED for op in anatomy.ops) == 53


def test_shufflenet_concatenates_instead_of_adding(zoo) -> None:
    anatomy = zoo.anatomy("shufflenet")
    assert not anatomy.of_kind(Kind.ADD)
    assert len(anatomy.of_kind(Kind.CONCAT)) == 16
    assert len(anatomy.of_kind(Kind.WEIGHTED)) == 57
    # A unit's input is what the channel shuffle of the unit before made of a concatenation.
    entry = anatomy.site("stage3.0.branch2.0:input").tensor
    assert anatomy.op(anatomy.root(entry)).kind is Kind.CONCAT
    assert anatomy.tensors[entry].non_negative


def test_efficientnet_has_a_gate_in_every_block(zoo) -> None:
    anatomy = zoo.anatomy("efficientnet")
    products = anatomy.of_kind(Kind.PRODUCT)
    assert len(products) == 16
    assert len(anatomy.of_kind(Kind.AVERAGE_POOL)) == 17  # one a gate, one before the classifier
    assert len(anatomy.of_kind(Kind.ADD)) == 9
    for product in products:
        sides = [anatomy.op(operand.tensor).function for operand in product.operands]
        assert sorted(sides) == ["SiLU", "Sigmoid"]
    assert not anatomy.tensors["features.0.2"].non_negative  # SiLU dips below zero


@pytest.mark.parametrize("name", ["deit_tiny", "deit_small"])
def test_deit_blocks(zoo, name: str) -> None:
    anatomy = zoo.anatomy(name)
    for index in range(12):
        path = f"blocks.{index}"
        inside = [op for op in anatomy.ops if op.name.startswith(f"{path}.")]
        kinds = [op.kind for op in inside]
        assert kinds.count(Kind.MATMUL) == 2
        assert kinds.count(Kind.SOFTMAX) == 1
        assert kinds.count(Kind.NORMALIZATION) == 2
        assert kinds.count(Kind.ADD) == 2
        assert kinds.count(Kind.WEIGHTED) == 4
        assert anatomy.site(f"{path}.add:residual").tensor.startswith(f"{path}.")
        assert anatomy.root(anatomy.site(f"{path}.add:residual").tensor) == f"{path}.attn.proj"
        assert anatomy.root(anatomy.site(f"{path}.add_1:residual").tensor) == f"{path}.mlp.fc2"
        assert anatomy.root(anatomy.site(f"{path}.add_1:skip").tensor) == f"{path}.add"
        probabilities = anatomy.site(f"{path}.attn.matmul_1:left").tensor
        assert anatomy.root(probabilities) == f"{path}.attn.softmax"
        assert anatomy.tensors[probabilities].non_negative
    # Adding the positional embedding is no residual addition: it belongs to the first layer.
    assert len(anatomy.of_kind(Kind.ADD)) == 24
    assert anatomy.first_output == "add"
    assert anatomy.op("add").kind is Kind.AFFINE
    assert len(anatomy.of_kind(Kind.NORMALIZATION)) == 25


def test_every_layer_has_a_weight_and_an_input(zoo, any_model: str) -> None:
    anatomy = zoo.anatomy(any_model)
    layers = {
        name for name, module in zoo.model(any_model).named_modules() if isinstance(module, nn.Conv2d | nn.Linear)
    }
    assert {name.removesuffix(":weight") for name in roles(anatomy, Role.WEIGHT)} == layers
    assert {name.removesuffix(":input") for name in roles(anatomy, Role.INPUT)} == layers
    for site in anatomy.sites:
        if site.role is Role.WEIGHT:
            module = zoo.model(any_model).get_submodule(site.op)
            assert site.shape == tuple(module.weight.shape)


def test_names_are_unique_and_repeat(zoo, any_model: str) -> None:
    from suite.plan import dissect

    anatomy = zoo.anatomy(any_model)
    names = [site.name for site in anatomy.sites]
    assert len(set(names)) == len(names)
    if any_model in ("tiny-resnet", "tiny-mixed", "resnet20"):
        again = dissect(zoo.model(any_model), zoo.images(any_model, 3))
        assert again == anatomy  # nor does the batch size matter


def test_unknown_names_get_a_suggestion(zoo) -> None:
    with pytest.raises(UnknownName, match=r"did you mean 'layer1\.0\.add:skip'"):
        zoo.anatomy("resnet20").site("layer1.0.add:skp")


class ScaledByItsWidth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x))
        return self.second(hidden / math.sqrt(hidden.size(-1)))


def test_functions_of_math_are_followed_where_a_size_enters_them() -> None:
    anatomy = dissect(ScaledByItsWidth(), torch.zeros(2, 16))
    assert [site.name for site in anatomy.sites if site.role is Role.WEIGHT] == ["first:weight", "second:weight"]
