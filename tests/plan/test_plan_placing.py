"""Placed models: bit for bit the original with everything off, and on the plan's grids with everything on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from suite.axes import Setting
from suite.errors import SuiteError, Unsupported
from suite.plan import (
    Block,
    Place,
    all_off,
    calibrating,
    dissect,
    initialize_weights,
    make_plan,
    op_names,
    place,
    quantizers_of,
    weights_of,
)


def ready(model: nn.Module, images: Tensor, anatomy: Any, setting: Setting) -> nn.Module:
    """A placed and calibrated model."""
    placed = place(model, make_plan(anatomy, setting))
    initialize_weights(placed)
    with torch.no_grad(), calibrating(placed):
        placed(images)
    return placed


@torch.no_grad()
def test_everything_off_is_the_original_bit_for_bit(zoo, base: Setting, any_model: str) -> None:
    model, images = zoo.model(any_model), zoo.images(any_model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    types = [type(module) for module in model.modules()]
    plan = make_plan(zoo.anatomy(any_model), base)
    placed = place(model, plan)
    with all_off(placed):
        assert torch.equal(placed(images), model(images))
    # The author's model is as it was.
    assert [type(module) for module in model.modules()] == types
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # Everything of the model is where it was, under the same names and in the same order.
    state = placed.state_dict()
    assert [name for name in state if "quantizer" not in name] == list(before)
    assert all(torch.equal(state[name], value) for name, value in before.items())
    paths = [path for path, _ in model.named_modules()]
    assert [path for path, _ in placed.named_modules() if "quantizer" not in path] == paths
    assert set(quantizers_of(placed)) == {quantizer.name for quantizer in plan.quantizers}


@torch.no_grad()
def test_calibrated_models_compute(zoo, base: Setting, any_model: str) -> None:
    model, images = zoo.model(any_model), zoo.images(any_model)
    setting = base.replace(weight_bits=8, activation_bits=8, batch_norm="folded")
    placed = ready(model, images, zoo.anatomy(any_model), setting)
    quantized, original = placed(images), model(images)
    assert not torch.equal(quantized, original)
    assert (quantized - original).norm() < 0.6 * original.norm()
    # A copy is a model of its own, quantizers included.
    copied = copy.deepcopy(placed)
    assert torch.equal(copied(images), quantized)
    for quantizer in quantizers_of(copied).values():
        quantizer.enabled = False
    assert torch.equal(placed(images), quantized)
    assert not torch.equal(copied(images), quantized)


class Additions(TorchDispatchMode):
    """Watches from outside every addition of two feature maps that really runs: levels of operands."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.add.Tensor and all(isinstance(x, Tensor) and x.dim() == 4 for x in args[:2]):
            left, right = args[:2]
            if left.shape == right.shape:
                self.levels.append((left.unique().numel(), right.unique().numel()))
        return func(*args, **(kwargs or {}))


@contextmanager
def inputs_of_layers(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """What convolutions and linear layers really read."""
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Any:
        return lambda module, arguments: seen.__setitem__(name, arguments[0].detach().clone())

    handles = [
        module.register_forward_pre_hook(hook(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(
    ("modes", "few"),
    [
        (("full-precision", "full-precision"), (False, False)),
        (("quantized", "full-precision"), (True, False)),
        (("quantized", "quantized"), (True, True)),
    ],
    ids=["float", "skip", "both"],
)
@pytest.mark.parametrize("name", ["tiny-resnet", "resnet20", "mobilenet_v2"])
@torch.no_grad()
def test_additions_read_the_grids_of_their_mode(
    zoo, base: Setting, name: str, modes: tuple[str, str], few: tuple[bool, bool]
) -> None:
    setting = base.replace(skip_connection=modes[0], residual_connection=modes[1], activation_bits=3)
    model, images = zoo.model(name), zoo.images(name)
    placed = ready(model, images, zoo.anatomy(name), setting)
    with Additions() as additions, inputs_of_layers(placed) as inputs:
        placed(images)
    assert len(additions.levels) == {"tiny-resnet": 2, "resnet20": 9, "mobilenet_v2": 10}[name]
    for pair in additions.levels:
        # The skip is the operand on a grid in mode "skip"; which operand that is differs between architectures.
        assert sorted(levels <= 8 for levels in pair) == sorted(few)
        assert max(pair) > 8 or all(few)
    assert all(tensor.unique().numel() <= 8 for tensor in inputs.values())
    # The sum of one block reaches the next on its grid in mode "both", raw in the other modes.
    sums = {row.tensor for row in make_plan(zoo.anatomy(name), setting).rows if row.site.endswith(":sum")}
    blocks = {path for path, module in placed.named_modules() if isinstance(module, Block)}
    outputs = {}
    for path in sorted(blocks & {tensor.rpartition(".")[0] for tensor in sums}):
        placed.get_submodule(path).register_forward_hook(
            lambda module, arguments, output, path=path: outputs.__setitem__(path, output.unique().numel())
        )
    placed(images)
    assert outputs
    assert all((levels <= 8) == few[1] for levels in outputs.values())


@pytest.mark.parametrize("pooling", ["full-precision", "requantized", "low-precision-integer"])
@torch.no_grad()
def test_pooling_modes_really_differ(zoo, base: Setting, pooling: str) -> None:
    model, images = zoo.model("tiny-resnet"), zoo.images("tiny-resnet", 32)
    setting = base.replace(
        pooling=pooling,
        activation_bits=2,
        last_layer_activations="same" if pooling == "low-precision-integer" else "8-bit",
        skip_connection="full-precision",
        residual_connection="full-precision",
        activation_symmetry="asymmetric",
    )
    placed = ready(model, images, zoo.anatomy("tiny-resnet"), setting)
    seen: dict[str, Tensor] = {}
    pool, head = placed.get_submodule("avgpool"), placed.get_submodule("fc")
    pool.register_forward_hook(lambda module, arguments, output: seen.update(read=arguments[0], mean=output))
    head.register_forward_pre_hook(lambda module, arguments: seen.update(head=arguments[0]))
    placed(images)
    read, head_input = seen["read"].unique(), seen["head"].unique()
    assert (read.numel() <= 4) == (pooling != "full-precision")
    assert seen["mean"].unique().numel() > 4  # the mean itself is accumulated at high precision
    if pooling == "low-precision-integer":
        assert set(head_input.tolist()) <= set(read.tolist())  # still on the grid of the pool's input
    else:
        assert 4 < head_input.numel() <= 256


@torch.no_grad()
def test_integer_means_are_rounded_means_of_codes(zoo, base: Setting) -> None:
    for granularity in ("per-tensor", "per-channel"):
        model, images = zoo.model("resnet20"), zoo.images("resnet20")
        setting = base.replace(pooling="low-precision-integer", activation_granularity=granularity)
        placed = ready(model, images, zoo.anatomy("resnet20"), setting)
        with inputs_of_layers(placed) as inputs:
            placed(images)
        placed.get_submodule("layer3").register_forward_hook(
            lambda module, arguments, output: inputs.__setitem__("sum", output)
        )
        placed(images)
        scale = quantizers_of(placed)["layer3.2.add:sum"].scale.double()
        codes = (inputs["sum"].double() / scale).round()
        means = codes.mean((2, 3))
        given = inputs["linear" if "linear" in inputs else "fc"].double() / scale.reshape(-1)
        assert torch.allclose(given, given.round(), atol=1e-4)
        assert ((given - means).abs() <= 0.5 + 1e-4).all()


@torch.no_grad()
def test_transformer_operands_are_on_grids(zoo, base: Setting) -> None:
    setting = base.replace(
        weight_bits=8,
        activation_bits=3,
        softmax="quantized",
        normalization="quantized",
        activation_function="quantized",
    )
    model, images = zoo.model("deit_tiny"), zoo.images("deit_tiny")
    placed = ready(model, images, zoo.anatomy("deit_tiny"), setting)
    products: list[tuple[int, int]] = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.bmm.default:
                products.append((args[0].unique().numel(), args[1].unique().numel()))
            return func(*args, **(kwargs or {}))

    with Products(), inputs_of_layers(placed) as inputs:
        placed(images)
    assert len(products) == 24  # two in each of twelve blocks; no fused kernel hides them
    assert all(left <= 8 and right <= 8 for left, right in products)
    assert all(tensor.unique().numel() <= 8 for tensor in inputs.values())


def test_one_tensor_one_quantizer(zoo, base: Setting) -> None:
    """The first convolution of a block, its shortcut convolution and a skip path read the same tensor."""
    model = zoo.model("tiny-resnet")
    setting = base.replace(skip_connection="quantized", residual_connection="full-precision")
    placed = ready(model, zoo.images("tiny-resnet"), zoo.anatomy("tiny-resnet"), setting)
    with inputs_of_layers(placed) as inputs, torch.no_grad():
        placed(zoo.images("tiny-resnet"))
    assert torch.equal(inputs["blocks.1.conv1"], inputs["blocks.1.shortcut.0"])
    holders = [path for path, module in placed.named_modules() if path.endswith("quantizers")]
    assert holders == ["blocks.0.quantizers", "blocks.1.quantizers", "quantizers"]
    inside = quantizers_of(placed.get_submodule("blocks.1"))
    assert set(inside) == {
        "blocks.1.conv1:weight", "blocks.1.conv2:weight", "blocks.1.shortcut.0:weight",
        "blocks.1.conv1:input", "blocks.1.conv2:input", "blocks.1.add:skip",
    }  # fmt: skip
    assert isinstance(placed.get_submodule("blocks"), nn.Sequential)  # it computes nothing itself
    assert isinstance(placed.get_submodule("blocks.1.conv1"), nn.Conv2d)


class Branches(nn.Module):
    """A tensor that is read on a grid inside two containers, and raw inside one of them."""

    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) - torch.tanh(x).amax(1, keepdim=True)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.left = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.right = Branches.Raw()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((self.left(x) + self.right(x)).mean((2, 3)))


def test_a_container_that_needs_the_raw_tensor_too_receives_both(base: Setting) -> None:
    from suite.plan import dissect

    torch.manual_seed(0)
    model, images = Branches().eval(), torch.randn(4, 3, 6, 6)
    anatomy = dissect(model, images)
    setting = base.replace(activation_bits=2)
    placed = ready(model, images, anatomy, setting)
    raw: dict[str, Tensor] = {}
    with torch.no_grad(), inputs_of_layers(placed) as inputs:
        placed.get_submodule("stem").register_forward_hook(lambda m, a, output: raw.update(stem=output))
        placed(images)
    assert torch.equal(inputs["left.0"], inputs["right.conv"])
    assert inputs["left.0"].unique().numel() <= 4
    # The other reader sees raw values: recompute the branch from them.
    right = placed.get_submodule("right")
    with torch.no_grad():
        given = right(raw["stem"], inputs["right.conv"])
        conv = right.get_submodule("conv")
        assert torch.equal(given, conv(inputs["right.conv"]) - torch.tanh(raw["stem"]).amax(1, keepdim=True))
    with all_off(placed), torch.no_grad():
        assert torch.equal(placed(images), model(images))


def test_gradients_reach_every_weight_and_training_mode_is_obeyed(zoo, base: Setting) -> None:
    model, images = zoo.model("resnet20"), zoo.images("resnet20", 4)
    placed = ready(model, images, zoo.anatomy("resnet20"), base)
    placed.train()
    assert all(module.training for module in placed.modules())
    placed(images).square().sum().backward()
    for name, (_, weight) in weights_of(placed).items():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_compiles_without_graph_breaks(zoo, base: Setting) -> None:
    """Dynamo has to take the whole training step in one graph; which backend then compiles it does not matter."""
    model, images = zoo.model("tiny-resnet"), zoo.images("tiny-resnet", 4)
    setting = base.replace(
        weight_range="learned-step",
        activation_range="learned-step",
        gradient_mask="clip-then-round",
        step_gradient_scale="features",
    )
    placed = ready(model, images, zoo.anatomy("tiny-resnet"), setting)
    for quantizer in quantizers_of(placed).values():
        quantizer.learn_step()
    placed.train()
    torch._dynamo.reset()
    compiled = torch.compile(placed, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(images), copy.deepcopy(placed)(images))
    compiled(images).sum().backward()
    assert all(quantizer.scale.grad is not None for quantizer in quantizers_of(placed).values())


@torch.no_grad()
def test_calibration_passes_raw_values_and_ends_cleanly(zoo, base: Setting) -> None:
    model, images = zoo.model("resnet20"), zoo.images("resnet20")
    placed = place(model, make_plan(zoo.anatomy("resnet20"), base))
    with pytest.raises(SuiteError, match="before it has a scale"):
        placed(images)
    initialize_weights(placed)
    weights = [quantizer for quantizer in quantizers_of(placed).values() if quantizer.is_weight]
    for quantizer in weights:
        quantizer.enabled = False
    with calibrating(placed):
        assert torch.equal(placed(images), model(images))
    assert all(quantizer.initialized and not quantizer.observing for quantizer in quantizers_of(placed).values())
    assert not any(quantizer.enabled for quantizer in weights)
    with pytest.raises(RuntimeError, match="inside"), calibrating(placed):
        raise RuntimeError("inside")
    assert not any(quantizer.observing for quantizer in quantizers_of(placed).values())
    with pytest.raises(RuntimeError, match="inside"), all_off(placed):
        raise RuntimeError("inside")
    assert all(quantizer.enabled for quantizer in quantizers_of(placed).values() if not quantizer.is_weight)


@pytest.mark.parametrize("name", ["tiny-resnet", "tiny-mixed", "resnet20", "mobilenet_v2", "deit_tiny"])
def test_nodes_lead_back_to_operations(zoo, base: Setting, name: str) -> None:
    """Whoever runs the blocks node by node finds every operation with sites, under its own name."""
    anatomy = zoo.anatomy(name)
    placed = place(zoo.model(name), make_plan(anatomy, base))
    found = {
        operation
        for path, module in placed.named_modules()
        if isinstance(module, Block)
        for operation in op_names(path, module.graph).values()
    }
    wanted = {site.op for site in anatomy.sites} - {"network", "network.output"}
    assert wanted <= found


def test_placing_where_it_cannot_be_done(zoo, base: Setting) -> None:
    plan = make_plan(zoo.anatomy("resnet20"), base)
    placed = place(zoo.model("resnet20"), plan)
    with pytest.raises(Unsupported, match="has quantizers already"):
        place(placed, plan)
    with pytest.raises(Unsupported, match="which this model does not have"):
        place(zoo.model("tiny-resnet"), plan)
    assert {quantizer.place for quantizer in plan.quantizers} == set(Place)


class Tied(nn.Module):
    """Two layers whose weight is one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(torch.relu(self.second(torch.relu(self.first(x)))))
        return result


def test_layers_on_grids_of_their_own_have_weights_of_their_own() -> None:
    model, images = Tied().eval(), torch.randn(2, 4, 5, 5)
    setting = Setting.default().replace(first_layer_weights="same", last_layer_weights="same", weight_bits=3)
    placed = place(model, make_plan(dissect(model, images), setting))
    first, second = placed.get_submodule("first"), placed.get_submodule("second")
    assert first.weight is not second.weight
    assert torch.equal(first.weight, second.weight)
    assert model.first.weight is model.second.weight  # the author's stays as it was
    assert {"first.weight", "second.weight"} <= dict(placed.named_parameters()).keys()
