"""Models: `digits-resnet`, a residual CNN of about 38 thousand weights for 8x8 grey images."""

from __future__ import annotations

import torch
from torch import nn

from suite.models.scaling import Scale

CHANNELS, BLOCKS = (16, 32), (1, 2)


class ResidualBlock(nn.Module):
    """y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)); the shortcut is x or a strided 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        skip = x if self.shortcut is None else self.shortcut(x)
        result: torch.Tensor = self.relu2(branch + skip)
        return result


class DigitsResNet(nn.Module):
    """Stem, one block of 16 channels and two of 32 (the first of them halves the image), global average pool, linear.

    A scale multiplies the channels of every layer and the blocks of both stages.
    """

    def __init__(self, classes: int, scale: Scale) -> None:
        super().__init__()
        first, second = (scale.channels(count) for count in CHANNELS)
        self.conv1 = nn.Conv2d(1, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.layer1 = _stage(first, first, 1, scale.repeats(BLOCKS[0]))
        self.layer2 = _stage(first, second, 2, scale.repeats(BLOCKS[1]))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(second, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer2(self.layer1(x)))
        result: torch.Tensor = self.linear(torch.flatten(x, 1))
        return result


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def build(classes: int = 10) -> nn.Module:
    """The architecture with fresh random weights, at its own size."""
    return DigitsResNet(classes, Scale())


def build_scaled(classes: int, scale: Scale) -> nn.Module:
    """Wider and deeper: channels of every layer and blocks of both stages multiplied."""
    return DigitsResNet(classes, scale)
