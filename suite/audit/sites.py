"""Laboratory, the audit: one site, with what the plan says of it and what was seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from suite.audit.fits import SiteFit, State
from suite.audit.views import View
from suite.bits import FLOAT_BITS, bits_for
from suite.plan.anatomy import Role, Site
from suite.plan.table import PlanRow


@dataclass(frozen=True)
class SiteEvidence:
    """One site: what the plan says of it, and what was seen there.

    `missing` says why nothing was. `by_choice`: its bits are the method's choice. `mixed`: and unknown, so as many as
    are needed. `unasked`: its switch declares it full precision, and no axis of another site accounts for the plan's
    grid. `seen_precisions`: bits -> number of weights, where they were read off the values of each weight.
    """

    row: PlanRow
    site: Site
    switch: str | None
    bits_axis: str
    fit: SiteFit | None
    views: tuple[View, ...]
    missing: str | None = None
    mixed: bool = False
    unasked: bool = False
    by_choice: bool = False
    seen_precisions: Mapping[int, int] | None = None

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
        """Bits that hold the site's values: those declared where they suffice, 32 where there is no grid.

        An extra level is no excuse: 2^b + 1 codes need ceil(log2(2^b + 1)) = b + 1 bits.
        """
        return self._bits(0)

    @property
    def nominal_bits(self) -> int:
        """The same as the axes of bits tell it: b bits, and the extra level beside them where the card has one."""
        return self._bits(1 if self.row.spec is not None and self.row.spec.has_extra_level else 0)

    @property
    def precisions(self) -> Mapping[int, int]:
        """Bits -> number of weights: as many as hold the whole weight, unless each weight has bits of its own."""
        return self.seen_precisions or {self.observed_bits: self.row.elements}

    @property
    def nominal_precisions(self) -> Mapping[int, int]:
        """The same as the axes of bits tell it."""
        return self.seen_precisions or {self.nominal_bits: self.row.elements}

    @property
    def removed(self) -> bool:
        """Whether a method that chooses bits chose none: a weight of zeros. With fixed bits, zeros are stored, too."""
        return self.is_weight and self.by_choice and bool(self.views) and not any(view.nonzero for view in self.views)

    def _bits(self, spare: int) -> int:
        """Bits that hold all positions but `spare`."""
        spec, fit = self.row.spec, self.fit
        if spec is None or fit is None or self.missing is not None:
            return FLOAT_BITS
        if self.removed:
            return 0
        if fit.state in (State.FLOAT, State.UNEVEN, State.MISSES_ZERO):
            return FLOAT_BITS
        # Between two odd codes lies a position that no weight may have, so only every second one is a level.
        codes = max(fit.distinct, (fit.positions + 1) // 2) if spec.without_zero else fit.positions
        needed = bits_for(max(1, codes - spare))
        if self.mixed and fit.positions > 1:
            return needed
        held = spec.positions if spec.binary or spec.odd else 2**spec.bits + spare
        return max(spec.bits, needed if fit.positions > held else 0)

    @property
    def allowed_positions(self) -> int:
        """Positions of a grid of the declared bits."""
        spec = self.row.spec
        if spec is None:
            return 0
        if spec.binary or spec.odd:
            return spec.positions
        return int(2**spec.bits + (1 if spec.has_extra_level else 0))
