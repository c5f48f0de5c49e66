"""Reading wing, records: what a run left behind. Schema, store, identity and per-example outcomes, without torch."""

from __future__ import annotations

from suite.records.ids import check_run_id, make_run_id
from suite.records.outcomes import Outcomes, pack_outcomes, unpack_outcomes
from suite.records.record import SCHEMA_VERSION, AxisResult, Record, Status
from suite.records.store import Damaged, Leftover, Listing, Store, Verification, default_root

__all__ = [
    "SCHEMA_VERSION",
    "AxisResult",
    "Damaged",
    "Leftover",
    "Listing",
    "Outcomes",
    "Record",
    "Status",
    "Store",
    "Verification",
    "check_run_id",
    "default_root",
    "make_run_id",
    "pack_outcomes",
    "unpack_outcomes",
]
