"""Laboratory, the audit: one site, with what the plan says of it and what was seen there."""

from __future__ import annotations

from dataclasses import dataclass

from suite.audit.fits import SiteFit, State
from suite.audit.views import View
from suite.plan.anatomy import Role, Site
from suite.plan.table import PlanRow


@dataclass(frozen=True)
class SiteEvidence:
    """One site: what the plan says of it, and what was seen there.

    `missing` says why nothing was. `mixed`: its bits are the method's choice, up to those of the plan's grid.
    """

    row: PlanRow
    site: Site
    switch: str | None
    bits_axis: str
    fit: SiteFit | None
    views: tuple[View, ...]
    missing: str | None = None
    mixed: bool = False

    @property
    def name(self) -> str:
        return self.row.site

    @property
    def is_weight(self) -> bool:
        return self.site.role is Role.WEIGHT

    @property
    def decider(self) -> str:
        """The axis that answers when the site is not on its grid at all."""
        return self.switch or self.bits_axis

    @property
    def observed_bits(self) -> int:
        """Bits that the site's values need: those declared where they suffice, 32 where there is no grid."""
        if self.row.spec is None or self.missing is not None or self.fit is None:
            return 32
        if self.fit.state in (State.FLOAT, State.UNEVEN, State.MISSES_ZERO):
            return 32
        if self.mixed and self.fit.positions > 1:
            return self.fit.bits
        return max(self.row.spec.bits, self.fit.bits if self.fit.positions > self.allowed_positions else 0)

    @property
    def allowed_positions(self) -> int:
        """Positions of a grid of the declared bits."""
        spec = self.row.spec
        if spec is None:
            return 0
        return 3 if spec.binary else int(2**spec.bits + (1 if spec.has_extra_level else 0))
