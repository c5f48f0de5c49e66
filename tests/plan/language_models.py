"""Tiny networks of transformers, built from a config with random weights, unedited, wrapped to return logits."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suite.plan import Anatomy, dissect
from suite.torchvision_shim import ensure_torchvision

VOCABULARY, CONTEXT, LENGTH = 50, 40, 16
NAMES = ("bert", "opt", "gpt-neo")
# Paths of what the papers call a transformer layer.
LAYERS = {
    "bert": "network.bert.encoder.layer.",
    "opt": "network.model.decoder.layers.",
    "gpt-neo": "network.transformer.h.",
}


class Logits(nn.Module):
    """A wrapper as a user would write it."""

    def __init__(self, network: nn.Module, **options: Any) -> None:
        super().__init__()
        self.network = network
        self.options = options

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.network(input_ids=tokens, **self.options).logits
        return result


@cache
def language_model(name: str, attention: str = "eager") -> nn.Module:
    """One of NAMES, or gpt-2; skips the test where transformers is not installed."""
    ensure_torchvision()
    transformers = pytest.importorskip("transformers", reason="needs the optional extra 'language'")
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "attn_implementation": attention}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    torch.manual_seed(0)
    if name == "bert":
        config = transformers.BertConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=3, **sizes
        )
        return Logits(transformers.BertForSequenceClassification(config)).eval()
    if name == "opt":
        config = transformers.OPTConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64, word_embed_proj_dim=32, **sizes
        )
        return Logits(transformers.OPTForCausalLM(config), use_cache=False).eval()
    if name == "gpt-neo":
        config = transformers.GPTNeoConfig(
            hidden_size=32, num_layers=2, num_heads=4, intermediate_size=64, window_size=4,
            attention_types=[[["global", "local"], 1]], **sizes, **ends,
        )  # fmt: skip
        return Logits(transformers.GPTNeoForCausalLM(config), use_cache=False).eval()
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=1,
        n_head=4,
        n_positions=CONTEXT,
        attn_implementation=attention,
        **ends,
    )
    return Logits(transformers.GPT2LMHeadModel(config), use_cache=False).eval()


def tokens(examples: int, length: int = LENGTH) -> Tensor:
    return torch.randint(VOCABULARY, (examples, length), generator=torch.Generator().manual_seed(examples + length))


@cache
def anatomy_of(name: str) -> Anatomy:
    return dissect(language_model(name), tokens(2))
