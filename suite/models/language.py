"""Models: the door into transformers, whose networks are wrapped to take tokens and to return logits.

`transformers:HEAD/NAME`, where HEAD says what is asked of the network (`causal-lm` or `sequence-classification`).

* With weights by path, NAME is a type of model (`bert`, `opt`, `gpt_neo`) and the file is the `model.safetensors` of a
  folder that `save_pretrained` wrote: the `config.json` beside it gives the sizes.
* With the weights "pretrained", NAME is what the hub calls the model (`facebook/opt-125m`); transformers fetches it by
  its own code, tensors only.
* Without weights, NAME is a type of model, in the library's default size and with random weights.

Code that a config points to is never run. Attention is the written-out one, whose products are sites like any other.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from suite.errors import DataMissing, Unsupported, WeightsError
from suite.registry import unknown
from suite.torchvision_shim import ensure_torchvision

HEADS = {"causal-lm": "AutoModelForCausalLM", "sequence-classification": "AutoModelForSequenceClassification"}
_TYPES = {
    "causal-lm": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "sequence-classification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
}
WEIGHTS_NAME, CONFIG_NAME = "model.safetensors", "config.json"
_LARGEST_CONFIG_BYTES = 2**20
_SAFE = {"trust_remote_code": False, "attn_implementation": "eager", "dtype": torch.float32}


class LanguageModel(nn.Module):
    """Tokens [N, T] -> logits [N, classes] or, of a causal language model, [N, vocabulary, T]."""

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__()
        self.network = network
        self.per_position = head == "causal-lm"
        # A cache of earlier tokens is for writing text; here all tokens are given.
        self.options: dict[str, Any] = {"use_cache": False} if self.per_position else {}
        config: Any = network.config
        self.padding: int | None = None if self.per_position else config.pad_token_id

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = {} if self.padding is None else {"attention_mask": (tokens != self.padding).long()}
        logits: torch.Tensor = self.network(input_ids=tokens, **mask, **self.options).logits
        return logits.transpose(1, 2) if self.per_position else logits


def build_transformers(name: str, classes: int, weights: str | Path | None, pretrained: bool) -> nn.Module:
    """The network `HEAD/NAME`, its weights loaded where some are given; `classes` size a network without any."""
    head, _, of = name.partition("/")
    if head not in HEADS:
        raise unknown("head of a transformers model", head, list(HEADS))
    library = _transformers()
    kind = getattr(library, HEADS[head])
    if pretrained:
        try:
            network = kind.from_pretrained(of, use_safetensors=True, **_SAFE)
        except (OSError, ValueError) as error:
            raise DataMissing(f"'{of}' could not be loaded: {_line(error)}", hint="name it as the hub does") from error
        return LanguageModel(network, head)
    _require_type(library, head, of)
    if weights is None:
        size = {"vocab_size": classes} if head == "causal-lm" else {"num_labels": classes}
        config = library.AutoConfig.for_model(of, **size)
        return LanguageModel(kind.from_config(config, **_SAFE), head)
    return LanguageModel(_load(library, kind, of, Path(weights)), head)


def config_hash(weights: Path) -> str:
    """SHA-256 of the config beside a weights file: it decides, as the weights do, what the network computes."""
    return hashlib.sha256(_config_file(weights).read_bytes()).hexdigest()


def _load(library: ModuleType, kind: Any, of: str, weights: Path) -> nn.Module:
    file = _config_file(weights)
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(f"{file} is not a config: {error}") from error
    found = stated.get("model_type") if isinstance(stated, dict) else None
    if found != of:
        raise WeightsError(f"{file} is the config of a '{found}', not of a '{of}'", hint=f"transformers:HEAD/{found}")
    try:
        config = library.AutoConfig.from_pretrained(str(file.parent), local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            numbers = sum(parameter.numel() for parameter in kind.from_config(config).parameters())
        if numbers > weights.stat().st_size:
            raise WeightsError(f"{file} describes {numbers:,} weights, more than {weights.name} has bytes")
        network, report = kind.from_pretrained(
            str(file.parent),
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **_SAFE,
        )
    except WeightsError:
        raise
    except Exception as error:  # whatever the library raises where a stranger's config makes no sense
        raise WeightsError(f"{weights} does not load as a '{of}': {_line(error)}") from error
    missing = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if missing:
        raise WeightsError(f"{weights} lacks {', '.join(missing[:4])}", hint="were they saved with this head?")
    result: nn.Module = network
    return result


def _config_file(weights: Path) -> Path:
    if weights.name != WEIGHTS_NAME:
        raise Unsupported(
            f"{weights.name} is not a {WEIGHTS_NAME}", hint="save the model with save_pretrained, in one file"
        )
    file = weights.parent / CONFIG_NAME
    if not file.is_file():
        raise DataMissing(f"no {CONFIG_NAME} beside {weights}", hint="save the model with save_pretrained")
    if file.stat().st_size > _LARGEST_CONFIG_BYTES:
        raise WeightsError(f"{file} is larger than {_LARGEST_CONFIG_BYTES} bytes")
    return file


def _require_type(library: ModuleType, head: str, of: str) -> None:
    names = getattr(library.models.auto.modeling_auto, _TYPES[head])
    if of not in names:
        raise unknown(f"transformers model for {head}", of, sorted(names))


def _transformers() -> ModuleType:
    # transformers imports torchvision, so what mends torchvision comes first.
    ensure_torchvision()
    try:
        return import_module("transformers")
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise Unsupported(
            "models of transformers need an optional package", hint="pip install 'quantization-suite[language]'"
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
