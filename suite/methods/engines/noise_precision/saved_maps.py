"""Methods, engine of precisions learned by noise: the map of a saved model, read off its weights alone.

The file may come from anybody. Nothing in it is executed, of its tensors only those of this model's weights are read,
and only after their shapes have proved to be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from suite.errors import DataMissing, WeightsError
from suite.quantizers.noise_precision import common_unit, precision_shown

MODEL = "model.safetensors"
"""What a run whose model was saved keeps it as in its folder."""
HINT = "give the folder, or the file, that suite evaluate --save-model left of smol or smol_layer on the same model"


@dataclass(frozen=True)
class SavedMap:
    """Precisions by weight, and the SHA-256 of the file that they were read from."""

    precisions: Mapping[str, Tensor]
    sha256: str


def read_map(file: Path, weights: Mapping[str, Tensor]) -> SavedMap:
    """The precisions that a saved model has for `weights`, which are those of this model by name."""
    if not file.is_file():
        raise DataMissing(f"no saved model at {file}, so there is no map of precisions", hint=HINT)
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            known = set(opened.keys())
            found = {name: _precision(opened, known, name, weight, file) for name, weight in weights.items()}
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(f"{file} is not a readable safetensors file: {reason}", hint=HINT) from error
    return SavedMap(found, digest)


def _precision(opened: safe_open, known: set[str], name: str, weight: Tensor, file: Path) -> Tensor:
    """The precision of each value of one weight."""
    layer = name.removesuffix(":weight")
    values = _tensor(opened, known, f"{layer}.weight", tuple(weight.shape), file)
    step = _tensor(opened, known, f"{layer}.weight_quantizer.scale", (), file)
    unit = common_unit(values, float(step)) if float(step) > 0 else None
    if unit is None:
        raise WeightsError(f"{file}: the weights of {layer} are no multiples of their step", hint=HINT)
    shown = precision_shown(values, unit)
    if not bool(shown.isfinite().all()):
        raise WeightsError(f"{file}: weights of {layer} are on no grid of single precisions", hint=HINT)
    return shown.to(weight)


def _tensor(opened: safe_open, known: set[str], key: str, shape: tuple[int, ...], file: Path) -> Tensor:
    if key not in known:
        raise WeightsError(f"{file} holds the map of another model: it has no {key}", hint=HINT)
    seen = tuple(opened.get_slice(key).get_shape())  # type: ignore[no-untyped-call]
    if seen != shape:
        raise WeightsError(
            f"{file} holds the map of another model: {key} is {_sizes(seen)}, not {_sizes(shape)}", hint=HINT
        )
    tensor: Tensor = opened.get_tensor(key)  # type: ignore[no-untyped-call]
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise WeightsError(f"{file}: {key} holds no finite real numbers", hint=HINT)
    return tensor.double()


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
