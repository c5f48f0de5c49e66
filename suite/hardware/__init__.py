"""Reading wing, hardware: what a piece of hardware can run, as data, and which cards and methods obey. No torch."""

from __future__ import annotations

from suite.hardware.find import Found, MethodFound, RunSetting, find
from suite.hardware.judge import Judgement, Violation, judge
from suite.hardware.load import load_profile, shipped_profiles
from suite.hardware.profile import Document, Profile, Restriction
from suite.hardware.reach import Declaration, Obstacle, Reached, reach

__all__ = [
    "Declaration",
    "Document",
    "Found",
    "Judgement",
    "MethodFound",
    "Obstacle",
    "Profile",
    "Reached",
    "Restriction",
    "RunSetting",
    "Violation",
    "find",
    "judge",
    "load_profile",
    "reach",
    "shipped_profiles",
]
