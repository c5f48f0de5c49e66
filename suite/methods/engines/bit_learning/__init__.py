"""Methods, bit-learning engine: learns how many bits each tensor gets, on frozen weights, under a bound on averages.

`widths` holds what is learned and what bounds it, `grids` makes the placed quantizers work with it, `learning` is the
loop, and `keeping` chooses the state that is left.
"""

from __future__ import annotations

from suite.methods.engines.bit_learning.learning import BitRecipe, learn_bits

__all__ = ["BitRecipe", "learn_bits"]
