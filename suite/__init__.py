"""The quantization suite: declared, enforced, observed, comparable.

Nothing is imported here, so that every torch-free command starts at once.
"""

__version__ = "0.1.0"
