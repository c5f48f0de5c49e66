"""Reading wing, studies: what varies, what is fixed, what is expected. Runs are started as processes; no torch."""

from __future__ import annotations

from suite.studies.cells import Cell, expand
from suite.studies.load import examine_text, find_study, load_study, shipped_studies
from suite.studies.study import Study

__all__ = ["Cell", "Study", "examine_text", "expand", "find_study", "load_study", "shipped_studies"]
