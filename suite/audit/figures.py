"""Laboratory, the audit: what the model stores and reads, as observed. What bits and bytes mean says `suite.bits`."""

from __future__ import annotations

from math import prod

from torch import nn

from suite.audit.evidence import Evidence
from suite.audit.fits import State
from suite.audit.report import Figures
from suite.audit.sites import SiteEvidence
from suite.bits import FLOAT_BITS, BitAccount, Convention, FeatureMap, LayerBits, Widths, average
from suite.plan.anatomy import NETWORK, Role
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.spec import Granularity, QuantizerSpec


def count_bits(evidence: Evidence, model: nn.Module) -> BitAccount:
    """The account of one model, from observed levels and never from what a quantizer says."""
    scales, zero_points = _activation_scales(evidence)
    return BitAccount(
        layers=tuple(_layer(one, Widths(str(evidence.setting["bit_width_granularity"]))) for one in evidence.weights),
        feature_maps=tuple(FeatureMap(name, *found) for name, found in _feature_maps(evidence).items()),
        activation_scales=scales,
        activation_zero_points=zero_points,
        other_numbers=_other_numbers(evidence, model),
    )


def figures_of(account: BitAccount, *, scales_counted: bool) -> Figures:
    """The sums over an account that a record and a card keep."""
    return Figures(
        average_weight_bits=account.average_weight_bits(),
        average_activation_bits=account.average_activation_bits,
        model_bytes=account.model_bytes(scales=scales_counted),
        model_bytes_without_scales=account.model_bytes(scales=False),
        scale_bytes=account.scale_bytes,
        precision_map_bytes=account.map_bytes,
        feature_map_largest_bytes=account.feature_map_largest_bytes,
        feature_map_total_bytes=account.feature_map_total_bytes,
    )


def nominal_average(evidence: Evidence, what: str, convention: Convention = Convention.SIGNED) -> float:
    """Average bits of weights or activations as the axes of bits tell them: a declared extra level beside b bits.

    Of weights as `convention` counts them; of activations always as they are stored.
    """
    if what == "weight":
        return average(
            (count, convention.of_code(bits, signed=_convention(one.row.spec) is Convention.SIGNED))
            for one in evidence.weights
            for bits, count in one.nominal_precisions.items()
        )
    return average(_feature_maps(evidence, nominal=True).values())


def _convention(spec: QuantizerSpec | None) -> Convention | None:
    """What the codes of a weight are: those of an asymmetric grid have a zero point in the place of a sign."""
    if spec is None:
        return None
    return Convention.SIGNED if spec.signed and spec.symmetric else Convention.UNSIGNED


def _layer(one: SiteEvidence, widths: Widths) -> LayerBits:
    spec, fit = one.row.spec, one.fit
    on_grid = spec is not None and fit is not None and min(one.precisions) < FLOAT_BITS
    if not on_grid or spec is None or fit is None:
        return LayerBits(one.name, one.row.shape, None, one.precisions)
    # Nothing is stored of a weight without bits, not even its scale.
    stored = max(one.precisions) > 0
    sets = fit.sets if fit.state is State.FINER_SHARING else 0
    sets = max(sets, _sets(one.row.shape, spec)) if stored else 0
    return LayerBits(
        site=one.name,
        shape=one.row.shape,
        convention=_convention(spec),
        precisions=one.precisions,
        levels=fit.distinct or None,
        scales=sets,
        zero_points=0 if spec.symmetric else sets,
        widths=widths if len(one.precisions) > 1 else Widths.PER_LAYER,
    )


def _activation_scales(evidence: Evidence) -> tuple[int, int]:
    """Scales and zero points that have to be stored; dynamic ones are computed at run time."""
    scales, zero_points = 0, 0
    names: set[str] = set()
    for one in evidence.activations:
        spec = one.row.spec
        if spec is None or spec.dynamic or one.row.quantizer is None or one.row.quantizer in names:
            continue
        names.add(one.row.quantizer)
        # Shapes of activations are those of one example, mostly without the axis of the batch.
        missing = evidence.anatomy.tensors[one.site.tensor].axes - len(one.row.shape)
        sets = one.row.shape[spec.channel_axis - missing] if spec.granularity is Granularity.PER_CHANNEL else 1
        scales += sets
        zero_points += 0 if spec.symmetric else sets
    return scales, zero_points


def _sets(shape: tuple[int, ...], spec: QuantizerSpec) -> int:
    """How many scales a weight of this shape has."""
    match spec.granularity:
        case Granularity.PER_CHANNEL:
            return shape[0]
        case Granularity.PER_GROUP:
            assert spec.group_size is not None
            return shape[0] * -(-prod(shape[1:]) // spec.group_size)
        case Granularity.PER_WEIGHT:
            return prod(shape)
        case _:
            return 1


def _other_numbers(evidence: Evidence, model: nn.Module) -> int:
    """Parameters and kept buffers besides the weights of layers and the state of quantizers, which is counted above."""
    quantizers = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, Quantizer))
    weights = {one.site.tensor for one in evidence.weights}
    count = 0
    for name, value in model.state_dict().items():
        if name in weights or name.startswith(quantizers) or name.endswith("num_batches_tracked"):
            continue
        count += value.numel()
    return count


def _feature_maps(evidence: Evidence, *, nominal: bool = False) -> dict[str, tuple[int, int]]:
    """(elements, bits) of every tensor that an operation reads, for one example; the widest reader decides."""
    found: dict[str, tuple[int, int]] = {}
    for one in evidence.activations:
        if one.site.role is Role.NETWORK_OUTPUT:
            continue
        root = evidence.anatomy.root(one.site.tensor)
        size = evidence.anatomy.tensors[root].elements if root != NETWORK else one.row.elements
        bits = _bits_read(one, nominal=nominal)
        found[root] = (size, max(bits, found.get(root, (0, 0))[1]))
    return found


def _bits_read(one: SiteEvidence, *, nominal: bool) -> int:
    """Bits at which a site's tensor is read; a result that only others read counts nothing by itself."""
    if one.row.spec is None and one.site.operand is None and not one.views:
        return 0
    return one.nominal_bits if nominal else one.observed_bits
