"""The one import of torchvision: declares two operators where its binary cannot load, and nothing elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from suite import torchvision_shim
from suite.errors import Unsupported

# A process that first imports torchvision as anybody would, and then through the shim.
FRESH = """
try:
    import torchvision
    plain = True
except RuntimeError:
    plain = False
from suite.torchvision_shim import ensure_torchvision, operators_declared
assert not operators_declared()
torchvision = ensure_torchvision()
import torch, torchvision as again
assert again is torchvision is ensure_torchvision()
model = torchvision.models.get_model("resnet18", weights=None, num_classes=3).eval()
assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
assert operators_declared() != plain
print("through")
"""


def test_operators_are_declared_exactly_where_the_plain_import_fails_and_a_failed_import_does_no_harm():
    answer = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "through"


def test_other_failures_of_the_import_are_not_hidden(monkeypatch):
    def broken(name):
        raise RuntimeError("something else")

    monkeypatch.setattr(torchvision_shim.importlib, "import_module", broken)
    declared = torchvision_shim.operators_declared()
    with pytest.raises(RuntimeError, match="something else"):
        torchvision_shim.ensure_torchvision()
    assert torchvision_shim.operators_declared() == declared


def test_a_missing_torchvision_is_answered_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(Unsupported, match=r"torchvision is not installed \(pip install torchvision\)"):
        torchvision_shim.ensure_torchvision()


def test_nothing_else_in_the_package_imports_torchvision_first():
    from pathlib import Path

    import suite

    root = Path(suite.__file__).parent
    for file in root.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "import torchvision" in text or "from torchvision" in text or "import timm" in text:
            assert "ensure_torchvision" in text, f"{file} imports torchvision without the shim"
