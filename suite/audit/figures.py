"""Laboratory, the audit: sizes and average bits, counted from what was observed.

model bytes = sum over weights of numel x bits / 8 (each weight packed, rounded up to bytes)
            + 4 bytes a scale and 4 bytes a zero point (asymmetric grids)
            + 4 bytes for every other number the model keeps (biases, normalization).
"""

from __future__ import annotations

from math import prod

from torch import nn

from suite.audit.evidence import Evidence
from suite.audit.fits import State
from suite.audit.report import Figures
from suite.audit.sites import SiteEvidence
from suite.plan.anatomy import NETWORK, Role
from suite.quantizers.quantizer import Quantizer
from suite.quantizers.spec import Granularity, QuantizerSpec

NUMBER_BYTES = 4


def count_figures(evidence: Evidence, model: nn.Module) -> Figures:
    """All figures of one audit."""
    weights = evidence.weights
    elements = sum(one.row.elements for one in weights)
    packed = sum(-(-one.row.elements * one.observed_bits // 8) for one in weights)
    scales = NUMBER_BYTES * _scales(evidence)
    rest = NUMBER_BYTES * _other_numbers(evidence, model)
    maps = _feature_maps(evidence)
    total = sum(count for count, _ in maps)
    return Figures(
        average_weight_bits=sum(one.row.elements * one.observed_bits for one in weights) / max(1, elements),
        average_activation_bits=sum(count * bits for count, bits in maps) / max(1, total),
        model_bytes=packed + rest + (scales if evidence.setting["scales_in_size"] == "counted" else 0),
        model_bytes_without_scales=packed + rest,
        scale_bytes=scales,
        feature_map_largest_bytes=max((-(-count * bits // 8) for count, bits in maps), default=0),
        feature_map_total_bytes=sum(-(-count * bits // 8) for count, bits in maps),
    )


def nominal_average(evidence: Evidence, what: str) -> float:
    """Average bits of weights or activations as the axes of bits tell them: a declared extra level beside b bits."""
    if what == "weight":
        found = [(one.row.elements, one.nominal_bits) for one in evidence.weights]
    else:
        found = _feature_maps(evidence, nominal=True)
    return sum(count * bits for count, bits in found) / max(1, sum(count for count, _ in found))


def _scales(evidence: Evidence) -> int:
    """Scales and zero points that have to be stored; dynamic ones are computed at run time."""
    count = 0
    for one in evidence.weights:
        if one.row.spec is not None and one.observed_bits < 32:
            sets = one.fit.sets if one.fit is not None and one.fit.state is State.FINER_SHARING else 0
            count += max(sets, _sets(one.row.shape, one.row.spec)) * (1 if one.row.spec.symmetric else 2)
    names: set[str] = set()
    for one in evidence.activations:
        spec = one.row.spec
        if spec is None or spec.dynamic or one.row.quantizer is None or one.row.quantizer in names:
            continue
        names.add(one.row.quantizer)
        # Shapes of activations are those of one example, mostly without the axis of the batch.
        missing = evidence.anatomy.tensors[one.site.tensor].axes - len(one.row.shape)
        sets = one.row.shape[spec.channel_axis - missing] if spec.granularity is Granularity.PER_CHANNEL else 1
        count += sets * (1 if spec.symmetric else 2)
    return count


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


def _feature_maps(evidence: Evidence, *, nominal: bool = False) -> list[tuple[int, int]]:
    """(elements, bits) of every tensor that an operation reads, for one example; the widest reader decides."""
    found: dict[str, tuple[int, int]] = {}
    for one in evidence.activations:
        if one.site.role is Role.NETWORK_OUTPUT:
            continue
        root = evidence.anatomy.root(one.site.tensor)
        size = evidence.anatomy.tensors[root].elements if root != NETWORK else one.row.elements
        bits = _bits_read(one, nominal=nominal)
        found[root] = (size, max(bits, found.get(root, (0, 0))[1]))
    return list(found.values())


def _bits_read(one: SiteEvidence, *, nominal: bool) -> int:
    """Bits at which a site's tensor is read; a result that only others read counts nothing by itself."""
    if one.row.spec is None and one.site.operand is None and not one.views:
        return 0
    return one.nominal_bits if nominal else one.observed_bits
