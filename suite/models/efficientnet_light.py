"""Models: `efficientnet-light`, an EfficientNet of about 0.25 million weights for 32x32 images, with ReLU.

The paper on complexity against precision (edge-tradeoff, section 4.1 and table 2) says three things of its network:
it is of EfficientNet's type (Tan and Le 2019), it has 254 thousand parameters, and its largest activation has 49
thousand elements, which are 48 channels of 32x32; SiLU is replaced by ReLU, so that activations need no sign.
Everything else is our reading: a stem of 8 channels at stride 1, whose expansion by 6 is that largest activation; five
stages whose widths, blocks and kernels follow EfficientNet-B0 and are tuned to 254,032 parameters with ten classes;
squeeze-and-excitation as in B0, its gate a sigmoid; no dropout and no stochastic depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from suite.models.scaling import Scale

STEM, HEAD, EXPANSION, REDUCTION = 8, 160, 6, 4


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; the first of them has the stride."""

    channels: int
    blocks: int
    stride: int
    kernel: int


STAGES = (
    Stage(channels=8, blocks=1, stride=1, kernel=3),
    Stage(channels=16, blocks=2, stride=2, kernel=3),
    Stage(channels=24, blocks=3, stride=2, kernel=5),
    Stage(channels=40, blocks=3, stride=1, kernel=3),
    Stage(channels=72, blocks=2, stride=2, kernel=5),
)


class SqueezeExcitation(nn.Module):
    """x times a gate per channel: sigmoid(W2 relu(W1 mean(x)))."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.gate(self.fc2(self.relu(self.fc1(self.avgpool(x)))))
        return gate * x


class InvertedBottleneck(nn.Module):
    """Expand to six times the channels, filter each by itself, gate, project; a skip where shapes are equal."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = EXPANSION * inputs
        self.expand = _convolution(inputs, wide, 1)
        self.depthwise = _convolution(wide, wide, kernel, stride=stride, groups=wide)
        self.excite = SqueezeExcitation(wide, max(1, inputs // REDUCTION))
        self.project = _convolution(wide, outputs, 1, activation=False)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch: torch.Tensor = self.project(self.excite(self.depthwise(self.expand(x))))
        return branch + x if self.skips else branch


class EfficientNetLight(nn.Module):
    """Stem, five stages, a 1x1 convolution, global average pool, linear; blocks of stage i are `features.i.*`."""

    def __init__(self, classes: int, scale: Scale) -> None:
        super().__init__()
        inputs = scale.channels(STEM)
        self.stem = _convolution(3, inputs, 3)
        stages: list[nn.Module] = []
        for stage in STAGES:
            outputs = scale.channels(stage.channels)
            blocks = [InvertedBottleneck(inputs, outputs, stage.stride, stage.kernel)]
            for _ in range(scale.repeats(stage.blocks) - 1):
                blocks.append(InvertedBottleneck(outputs, outputs, 1, stage.kernel))
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.features = nn.Sequential(*stages)
        self.head = _convolution(inputs, scale.channels(HEAD), 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(scale.channels(HEAD), classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.avgpool(self.head(self.features(self.stem(x))))
        result: torch.Tensor = self.classifier(torch.flatten(x, 1))
        return result


def _convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )  # fmt: skip
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if activation else []))


def build(classes: int = 10) -> nn.Module:
    """The network at its own size."""
    return EfficientNetLight(classes, Scale())


def build_scaled(classes: int, scale: Scale) -> nn.Module:
    """Wider and deeper: channels of every layer and blocks of every stage multiplied."""
    return EfficientNetLight(classes, scale)
