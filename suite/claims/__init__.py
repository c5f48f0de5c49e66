"""Reading wing, claims: published numbers with their provenance, and what the suite's studies say of them. No torch."""

from __future__ import annotations

from suite.claims.claim import Claim, Doubt, Paper, Quantity
from suite.claims.library import Published, load_published

__all__ = ["Claim", "Doubt", "Paper", "Published", "Quantity", "load_published"]
