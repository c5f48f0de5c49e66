"""Methods, reconstruction engine: learns how weights are rounded, unit by unit, so that outputs stay what they were.

    reconstruct(work, options, AdaRound)

Rooms: `settings` (options and presets), `units` (what is reconstructed at once), `flow` and `rows` (inputs of units,
carried through the network once), `losses`, `fisher` and `gram` (distances), `learning`, `layerwise` and `compiling`
(the loop of one unit), `in_place` (what stands in a unit meanwhile), `whole` (the order of everything, and going on
after an interruption).
"""

from __future__ import annotations

from suite.methods.engines.reconstruction.settings import FRAME_NOTES, PRESETS, ReconstructionOptions, Regularizer
from suite.methods.engines.reconstruction.whole import reconstruct

__all__ = ["FRAME_NOTES", "PRESETS", "ReconstructionOptions", "Regularizer", "reconstruct"]
