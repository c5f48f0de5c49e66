"""Models: `digits-vit`, a vision transformer of about 54 thousand weights for 8x8 grey images, built as DeiT is.

Tokens are [N, T, C]: a class token, then 16 patches of 2x2 pixels. Attention is written with the matrix products and
the softmax that it consists of, so that each operand is a place where a tensor can be quantized; a fused kernel would
hide them.
"""

from __future__ import annotations

import torch
from torch import nn

IMAGE_PIXELS = 8
PATCH_PIXELS = 2
TOKENS = 1 + (IMAGE_PIXELS // PATCH_PIXELS) ** 2
WIDTH = 40
HEADS = 4
HIDDEN = 2 * WIDTH
DEPTH = 4
EPSILON = 1e-6  # DeiT's, below torch's default for layer norms


class Attention(nn.Module):
    """out = proj(softmax(Q K^T / sqrt(d)) V) for each of the heads, whose queries, keys and values have d features."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.softmax = nn.Softmax(dim=-1)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        apart = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        queries, keys, values = apart.permute(2, 0, 3, 1, 4).unbind(0)  # each [N, heads, T, d]
        probabilities = self.softmax((queries * self.scale) @ keys.transpose(-2, -1))
        joined = (probabilities @ values).transpose(1, 2).reshape(batch, tokens, width)
        result: torch.Tensor = self.proj(joined)
        return result


class Mlp(nn.Module):
    """fc2(gelu(fc1(x))), token by token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.fc2(self.act(self.fc1(x)))
        return result


class TransformerBlock(nn.Module):
    """x + attn(norm1(x)), and then the same with the MLP: both residual sums stand in this block's own forward."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        result: torch.Tensor = x + self.mlp(self.norm2(x))
        return result


class DigitsViT(nn.Module):
    """Patch embedding, class token, learned positions, pre-norm blocks, and a classifier that reads the class token."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(1, WIDTH, PATCH_PIXELS, stride=PATCH_PIXELS)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, TOKENS, WIDTH))
        self.blocks = nn.Sequential(*(TransformerBlock(WIDTH, HEADS, HIDDEN) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.head = nn.Linear(WIDTH, classes)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(patches.shape[0], -1, -1), patches), dim=1) + self.pos_embed
        x = self.norm(self.blocks(x))
        result: torch.Tensor = self.head(x[:, 0])
        return result


def build(classes: int = 10) -> nn.Module:
    """The architecture with fresh random weights."""
    return DigitsViT(classes)
