"""Methods: every Python file in this folder is one quantization method, found by its file name.

Beside them, as packages, lies what methods are written with: `api/` (what a method is, and what it is given) and
`engines/` (calibration, training). A third-party distribution adds methods through the entry-point group
`suite.methods`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suite.registry import Registry

if TYPE_CHECKING:
    from suite.methods.api import Method

__all__ = ["METHODS"]

METHODS: Registry[type[Method]] = Registry("method", "suite.methods")
METHODS.register_package("suite.methods", "METHOD")
