"""Laboratory, the audit: the bits of single weights, read off nothing but their values.

Where weights of several precisions share a scale, their grids are nested in one, and no two of them have a level in
common: each value tells the fewest bits that hold it. An ordinary grid read in this way has fewer bits on average than
it is wide, because every second of its codes would do with one bit less, if a map said which.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import torch

from suite.audit.fits import SiteFit, State
from suite.audit.views import View
from suite.bits import FLOAT_BITS
from suite.quantizers.noise_precision import precision_shown


def seen_precisions(view: View, fit: SiteFit) -> Mapping[int, int] | None:
    """Bits -> how many weights show them; None where the tensor lies on no single grid."""
    grid = view.grid
    if grid is None or view.levels is None or view.occurrences is None or not view.nonzero:
        return None
    if fit.state not in (State.ON_GRID, State.SILENT):
        return None
    # Two levels, one on either side, are seen as a grid that passes beside zero.
    shown = precision_shown(torch.from_numpy(view.levels), abs(grid.offset) or grid.spacing)
    found: dict[int, int] = {}
    for bits, count in zip(shown.tolist(), view.occurrences.tolist(), strict=True):
        width = int(bits) if isfinite(bits) else FLOAT_BITS
        found[width] = found.get(width, 0) + count
    return dict(sorted(found.items()))
