"""Tasks: `cifar10-clean40k`, CIFAR-10 with train images 0-39,999 to learn from and 40,000-49,999 to test on."""

from __future__ import annotations

from suite.tasks.cifar10 import load_clean40k as load

__all__ = ["load"]
