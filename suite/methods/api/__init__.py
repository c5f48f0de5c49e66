"""What a method is and what it is given: the whole vocabulary of a method file. Imports no torch."""

from __future__ import annotations

from suite.methods.api.method import Claims, Diverged, Method, Needs, Note, Paper, Refusal
from suite.methods.api.options import OptionField, Options, option
from suite.methods.api.support import HALF_RANGE, LEARNED_ROUNDING, LEARNED_STEPS, POST_TRAINING, TANH_WEIGHTS
from suite.methods.api.workbench import Batch, Checkpoint, Checkpoints, DataDoor, Fact, Progress, Workbench

__all__ = [
    "HALF_RANGE",
    "LEARNED_ROUNDING",
    "LEARNED_STEPS",
    "POST_TRAINING",
    "TANH_WEIGHTS",
    "Batch",
    "Checkpoint",
    "Checkpoints",
    "Claims",
    "DataDoor",
    "Diverged",
    "Fact",
    "Method",
    "Needs",
    "Note",
    "OptionField",
    "Options",
    "Paper",
    "Progress",
    "Refusal",
    "Workbench",
    "option",
]
