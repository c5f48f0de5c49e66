"""Laboratory, harness: the surroundings of a run, for a reader who wonders why their figures differ.

No paths, no names of machines or people: records are made to be published.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import psutil
import torch

import suite

PACKAGES = ("numpy", "pillow", "torchvision", "timm", "transformers", "scikit-learn", "safetensors")


def capture_environment(device: torch.device | str = "cpu") -> dict[str, object]:
    """Versions, processor, threads, device and system, as JSON data."""
    device = torch.device(device)
    return {
        "suite": suite.__version__,
        "revision": suite_revision(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(logical=True),
        "memory_bytes": psutil.virtual_memory().total,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


@cache
def processor_name() -> str:
    """The marketing name of the processor where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware") and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def suite_revision() -> str | None:
    """The git revision of the checkout the suite runs from ("+" when files differ); None for an installed suite."""
    checkout = Path(suite.__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return None
    revision = _git(checkout, "rev-parse", "HEAD")
    if revision is None:
        return None
    return revision + ("+" if _git(checkout, "status", "--porcelain", "--untracked-files=no") else "")


def _git(checkout: Path, *arguments: str) -> str | None:
    quiet = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
        "GIT_OPTIONAL_LOCKS": "0"
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, timeout=5, check=False, env=quiet
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
