"""Models: `char-transformer`, a decoder of four layers and about 0.8 million weights for 128 characters of context."""

from __future__ import annotations

import torch
from torch import nn

LAYERS, WIDTH, HEADS, CONTEXT = 4, 128, 4, 128


class Block(nn.Module):
    """Attention to earlier positions and a feed-forward part, each behind a layer norm and around a skip connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.ln1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.softmax = nn.Softmax(dim=-1)
        self.proj = nn.Linear(width, width)
        self.ln2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.proj(self.attend(self.qkv(self.ln1(x))))
        result: torch.Tensor = x + self.fc2(self.gelu(self.fc1(self.ln2(x))))
        return result

    def attend(self, packed: torch.Tensor) -> torch.Tensor:
        """softmax(Q K^T / sqrt(d)) V, masked: no position reads a later one. Written out, so that its products show."""
        examples, length, width = packed.shape[0], packed.shape[1], packed.shape[2] // 3
        parts = packed.view(examples, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)
        scores = (queries @ keys.transpose(-2, -1)) * self.scale
        steps = torch.arange(length, device=packed.device)
        scores = scores.masked_fill(steps > steps[:, None], -torch.inf)
        joined: torch.Tensor = self.softmax(scores) @ values
        return joined.transpose(1, 2).reshape(examples, length, width)


class CharTransformer(nn.Module):
    """Tokens [N, T] -> logits [N, classes, T], the classes in axis 1 as torch's cross-entropy has them."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.tok = nn.Embedding(classes, WIDTH)
        self.pos = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(LAYERS))
        self.ln = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, classes, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tok(tokens) + self.pos(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        result: torch.Tensor = self.head(self.ln(x)).transpose(1, 2)
        return result


def build(classes: int = 65) -> nn.Module:
    """A decoder whose vocabulary is its classes."""
    return CharTransformer(classes)
