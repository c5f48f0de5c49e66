"""Models that the tests of the plan share. Random weights, statistics of batch norm that matter, nothing downloaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from suite.axes import Setting
from suite.models import build_model
from suite.plan import Anatomy, dissect


class Shortcut(nn.Module):
    """A residual block whose skip path is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return F.relu(y)


class TinyResNet(nn.Module):
    """Stem, max pool, an identity block, a block with a shortcut convolution, average pool, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(2)
        self.blocks = nn.Sequential(Shortcut(8, 8, 1), Shortcut(8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.maxpool(self.relu(self.bn(self.conv(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Squeeze(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.down = nn.Conv2d(width, 4, 1)
        self.up = nn.Conv2d(4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(self.pool(x)))))


class SelfAttention(nn.Module):
    """One head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.scale = width**-0.5

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.qkv(x).chunk(3, dim=-1)
        weights = ((queries * self.scale) @ keys.transpose(-2, -1)).softmax(dim=-1)
        return self.out(weights @ values)


class TinyMixed(nn.Module):
    """What a ResNet lacks: a gate, tokens with a positional embedding, attention, layer norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.gate = Squeeze(8)
        self.position = nn.Parameter(torch.randn(1, 16, 8) * 0.1)
        self.norm1 = nn.LayerNorm(8)
        self.attention = SelfAttention(8)
        self.norm2 = nn.LayerNorm(8)
        self.up = nn.Linear(8, 16)
        self.gelu = nn.GELU()
        self.down = nn.Linear(16, 8)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(F.relu(self.stem(x))).flatten(2).transpose(1, 2) + self.position
        x = x + self.attention(self.norm1(x))
        x = x + self.down(self.gelu(self.up(self.norm2(x))))
        return self.head(x.mean(1))


def _timm(name: str) -> nn.Module:
    from suite.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    timm = pytest.importorskip("timm")
    model: nn.Module = timm.create_model(name, img_size=32, num_classes=10)  # fused attention stays on
    return model


# name -> (constructor, input shape)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tiny-resnet": (TinyResNet, (3, 16, 16)),
    "tiny-mixed": (TinyMixed, (3, 8, 8)),
    "digits-resnet": (lambda: build_model("digits-resnet", 10), (1, 8, 8)),
    "resnet20": (lambda: build_model("resnet20", 10), (3, 32, 32)),
    "resnet18": (lambda: build_model("torchvision:resnet18", 10), (3, 64, 64)),
    "resnet50": (lambda: build_model("torchvision:resnet50", 10), (3, 64, 64)),
    "mobilenet_v2": (lambda: build_model("torchvision:mobilenet_v2", 10), (3, 64, 64)),
    "shufflenet": (lambda: build_model("torchvision:shufflenet_v2_x1_0", 10), (3, 64, 64)),
    "efficientnet": (lambda: build_model("torchvision:efficientnet_b0", 10), (3, 64, 64)),
    "deit_tiny": (lambda: _timm("deit_tiny_patch16_224"), (3, 32, 32)),
    "deit_small": (lambda: _timm("deit_small_patch16_224"), (3, 32, 32)),
}


@cache
def model_of(name: str) -> nn.Module:
    """One model in evaluation mode, the same object throughout the tests: nothing may change it."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[name][0]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return model


def images_of(name: str, count: int = 2) -> Tensor:
    return torch.randn(count, *MODELS[name][1], generator=torch.Generator().manual_seed(2))


@cache
def anatomy_of(name: str) -> Anatomy:
    return dissect(model_of(name), images_of(name))


class Zoo:
    """What a test asks for by name."""

    names = tuple(MODELS)
    model = staticmethod(model_of)
    images = staticmethod(images_of)
    anatomy = staticmethod(anatomy_of)


@pytest.fixture(scope="session")
def zoo() -> Zoo:
    torch.set_num_threads(1)
    return Zoo()


@pytest.fixture(scope="session")
def base() -> Setting:
    """Four bits everywhere, one policy less than the defaults: no end of the network is special."""
    return Setting.default().replace(
        weight_bits=4,
        activation_bits=4,
        weight_symmetry="symmetric",
        activation_symmetry="symmetric",
        weight_granularity="per-channel",
        first_layer_weights="same",
        last_layer_weights="same",
        first_layer_activations="same",
        last_layer_activations="same",
        network_input="same",
        batch_norm="float",
    )


@pytest.fixture(params=Zoo.names)
def any_model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
