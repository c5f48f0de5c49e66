"""Models: `resnet20`, the CIFAR ResNet-20 with parameter-free shortcuts (0.27 million weights).

He, Zhang, Ren and Sun 2015, Deep Residual Learning for Image Recognition, section 4.2, shortcut option A. Parameter
names follow the public CIFAR ResNets, so their weights load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import nn

from suite.models.scaling import Scale

BLOCKS, CHANNELS = 3, (16, 32, 64)


class PadShortcut(nn.Module):
    """Option A: every second pixel, and zero channels on both sides (an odd one behind); no weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.zero_channels = (outputs - inputs) // 2
        self.zero_channels_behind = outputs - inputs - self.zero_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.zero_channels, self.zero_channels_behind))


class BasicBlock(nn.Module):
    """y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = PadShortcut(inputs, outputs) if stride != 1 else None
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        skip = x if self.shortcut is None else self.shortcut(x)
        result: torch.Tensor = self.relu2(branch + skip)
        return result


class CifarResNet(nn.Module):
    """Stem, three stages of `blocks` blocks with `channels` each, global average pool, linear.

    The stem has the channels of the first stage; the second and the third stage begin with a stride of 2.
    """

    def __init__(self, blocks: int, classes: int, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        first, second, third = channels
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.layer1 = _stage(first, first, 1, blocks)
        self.layer2 = _stage(first, second, 2, blocks)
        self.layer3 = _stage(second, third, 2, blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(third, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer3(self.layer2(self.layer1(x))))
        result: torch.Tensor = self.linear(torch.flatten(x, 1))
        return result


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, stride=1) for _ in range(blocks - 1)))


def build(classes: int = 10) -> nn.Module:
    """ResNet-20: 6 * 3 + 2 layers."""
    return CifarResNet(BLOCKS, classes)


def build_scaled(classes: int, scale: Scale) -> nn.Module:
    """6 n + 2 layers with other widths: n blocks in every stage, channels of every stage multiplied."""
    return CifarResNet(scale.repeats(BLOCKS), classes, [scale.channels(count) for count in CHANNELS])
