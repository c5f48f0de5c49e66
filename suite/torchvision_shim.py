"""Ground floor: the one place that imports torchvision, also where its compiled operators cannot be loaded.

Some builds of torch refuse torchvision's binary. Importing torchvision then fails with "operator torchvision::nms does
not exist", because it describes the shapes of two operators (`nms` and `qnms`, for object detection) that its
binary would have declared. The suite uses neither. Declaring their signatures, without an implementation, lets the
import through: classifiers, transforms and data sets work, and a call of `nms` fails with a clear message. Where
torchvision imports by itself nothing is declared.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType

import torch

from suite.errors import Unsupported

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_lock = threading.Lock()
# The declarations live as long as this object does.
_library: torch.library.Library | None = None


def ensure_torchvision() -> ModuleType:
    """Import torchvision and return it; declares the two missing operators only where the import asks for them."""
    global _library  # noqa: PLW0603 - the declarations must outlive the call
    with _lock:
        try:
            return importlib.import_module("torchvision")
        except ModuleNotFoundError as error:
            if error.name != "torchvision":
                raise
            raise Unsupported("torchvision is not installed", hint="pip install torchvision") from error
        except RuntimeError as error:
            if "operator torchvision::nms does not exist" not in str(error) or _library is not None:
                raise
        # A failed import leaves submodules behind that would be taken for complete.
        for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for signature in _SIGNATURES:
            _library.define(signature)  # type: ignore[no-untyped-call]
        return importlib.import_module("torchvision")


def operators_declared() -> bool:
    """Whether this process runs on the declared signatures instead of torchvision's binary."""
    return _library is not None
