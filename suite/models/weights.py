"""Models: reading weights files that others wrote, without running anything inside them.

Two formats: safetensors, and torch files through `weights_only=True`. Both are bounded in size before they are read.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from suite.errors import DataMissing, WeightsError

LARGEST_BYTES = 8 * 2**30
_SHOWN = 4
_COUNTER = "num_batches_tracked"


def weights_hash(path: Path) -> str:
    """SHA-256 of the file: what names these weights in records and identities."""
    _require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_hash(model: nn.Module) -> str:
    """SHA-256 of names, shapes and values of a state dict, whatever file they came from.

    Counters of batch norm are left out: inference never reads them, and copies of one network differ in them.
    """
    sha = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if name.endswith(_COUNTER):
            continue
        array = value.detach().cpu().contiguous()
        sha.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        sha.update(array.flatten().view(torch.uint8).numpy().tobytes() if array.numel() else b"")
    return sha.hexdigest()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name, on the CPU; wrappers ("state_dict", "model", "module.") taken off."""
    _require_file(path)
    _require_size(path, path.stat().st_size)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for wrapper in ("state_dict", "model"):
        inner = content.get(wrapper) if isinstance(content, Mapping) else None
        if isinstance(inner, Mapping):
            content = inner
            break
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path} holds no state dict", hint="save model.state_dict(), not the model")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise WeightsError(f"{path}: entry {name!r} is {type(value).__name__}, not a tensor with a name")
    tensors = {str(name): value.detach() for name, value in content.items()}
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise WeightsError(
            f"{path}: NaN or infinite values in {_some(broken)}", hint="the training that wrote it diverged"
        )
    return tensors


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` with the tensors of a file; every name and shape must fit."""
    tensors = read_weights(path)
    expected = model.state_dict()
    # A counter that inference never reads, and that older files lack.
    optional = {name for name in expected if name.endswith(_COUNTER)}
    missing = sorted(expected.keys() - tensors.keys() - optional)
    unexpected = sorted(tensors.keys() - expected.keys())
    shapes = [
        f"{name} is {_shape(tensors[name])}, expected {_shape(value)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    problems = []
    if missing:
        problems.append(f"missing {_some(missing)}")
    if unexpected:
        problems.append(f"unexpected {_some(unexpected)}")
    if shapes:
        problems.append(f"of another shape: {_some(shapes)}")
    if problems:
        raise WeightsError(
            f"{path} does not fit {type(model).__name__}: {'; '.join(problems)}",
            hint="are these the weights of another architecture or number of classes?",
        )
    model.load_state_dict({name: tensors.get(name, value) for name, value in expected.items()})


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict as safetensors."""
    save_file({name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}, path)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error


def _read_torch(path: Path) -> object:
    if zipfile.is_zipfile(path):
        # A few kilobytes can unpack to terabytes; the archive says how much before anything is unpacked.
        try:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
        except (zipfile.BadZipFile, OSError) as error:
            raise WeightsError(f"{path} is a damaged weights file: {error}") from error
        _require_size(path, unpacked)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is not a plain weights file", hint="only tensors are read, never objects that run code"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is not a readable weights file: {reason}") from error


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataMissing(f"no weights file at {path}", hint="give the path of a .pt or .safetensors file")


def _require_size(path: Path, size: int) -> None:
    if size > LARGEST_BYTES:
        raise WeightsError(f"{path} holds {size} bytes, more than the {LARGEST_BYTES} that are read")


def _shape(value: torch.Tensor) -> str:
    return "x".join(str(length) for length in value.shape) or "scalar"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
