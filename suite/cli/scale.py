"""`suite scale`: the largest network that fits into a memory budget at given bits; nothing is trained."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from suite.cli.output import columns, emit, json_option
from suite.errors import SuiteError, Unsupported
from suite.registry import unknown

if TYPE_CHECKING:
    from suite.models.fitting import Fit, Network

UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
WIDTHS = ("1", "2", "3", "4", "5", "6", "7", "8", "16", "32")
LARGEST_BUDGET = 64 * 2**30
_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?P<unit>[A-Za-z]{0,3})")


@click.command(
    "scale",
    epilog="""\b
Examples:
  suite scale --model resnet20 --budget 20kB --weights 2 --k 2
  suite scale --model efficientnet-light --compression 5 --weights 8 --weights 4 --weights 2 --scaling compound
  suite scale --model resnet20 --compression 10 --weights 3 --json
""",
)
@click.option("--model", required=True, metavar="ID", help="The architecture that is scaled.")
@click.option(
    "--budget", metavar="SIZE", help="Memory for parameters and the largest activation: 20kB is 20,000 bytes."
)
@click.option(
    "--compression", type=click.FloatRange(min=0.01, max=10_000), metavar="C",
    help="Instead of --budget: the footprint of the unscaled network in float, divided by this.",
)  # fmt: skip
@click.option(
    "--weights", "widths", multiple=True, type=click.Choice(WIDTHS), default=("8", "4", "3", "2"), show_default=True,
    help="Bits of a parameter; 32 is float. Several times for several rows.",
)  # fmt: skip
@click.option(
    "--k", default=0, show_default=True, type=click.IntRange(0, 8), help="Activations have this many bits more."
)
@click.option(
    "--scaling", type=click.Choice(["width", "compound", "both"]), default="both", show_default=True,
    help="What is scaled: the width, or width and depth by the same factor.",
)  # fmt: skip
@click.option("--task", default="cifar10", show_default=True, metavar="ID", help="Its inputs and classes decide sizes.")
@json_option
def command(
    model: str,
    budget: str | None,
    compression: float | None,
    widths: tuple[str, ...],
    k: int,
    scaling: str,
    task: str,
    as_json: bool,
) -> None:
    """The largest network of one kind that fits into a memory budget, for each number of bits.

    The footprint is (P b_p + A b_a) / 8 bytes, with P parameters of b_p bits and the A elements of the largest
    activation at b_a = b_p + K bits. Networks are really built, without memory for their weights, so footprints are
    exact. The name in the table is a model id: 'suite evaluate --model NAME --set baseline_weights=untrained' trains
    it from nothing.
    """
    if (budget is None) == (compression is None):
        raise click.UsageError("give either --budget or --compression", click.get_current_context())
    limit = parse_size(budget) if budget is not None else None
    network = _network(model, task)
    from suite.models.fitting import Scaling, activation_bits_for, fit, float_footprint

    if limit is None:
        limit = Fraction(float_footprint(network)) / Fraction(str(compression))
    ways = list(Scaling) if scaling == "both" else [Scaling(scaling)]
    fits = [
        fit(network, way, int(bits), activation_bits_for(int(bits), k), limit)
        for way in ways
        for bits in dict.fromkeys(widths)
    ]
    emit(_data(network, limit, k, fits), _text(network, limit, fits), as_json)


def parse_size(text: str) -> Fraction:
    """Bytes of a size as people write it: `20kB` is 20,000 bytes, `20KiB` 20,480, a plain number bytes."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise SuiteError(f"'{text[:40]}' is not a size", hint="a number and a unit, for example 20kB or 1.5MiB")
    unit = found["unit"] or "B"
    if unit not in UNITS:
        raise SuiteError(f"no unit is called '{unit}'", hint=f"known: {', '.join(UNITS)} (kB is 1,000 bytes)")
    size = Fraction(found["number"]) * UNITS[unit]
    if not 1 <= size <= LARGEST_BUDGET:
        raise SuiteError(f"'{text[:40]}' is no budget", hint=f"from 1 byte to {LARGEST_BUDGET // 2**30} GiB")
    return size


def _network(model: str, task: str) -> Network:
    from suite.models import SCALABLE
    from suite.tasks import FACTS

    if task not in FACTS:
        raise unknown("task", task, list(FACTS))
    if model not in SCALABLE:
        raise unknown("scalable model", model, SCALABLE.ids())
    from suite.models.fitting import Network
    from suite.models.scaling import Scale

    facts = FACTS[task]
    network = Network(model, facts.classes, facts.input_shape)
    try:
        network.dimensions(Scale())
    except RuntimeError:  # torch refuses the shape
        shape = "x".join(str(length) for length in facts.input_shape)
        raise Unsupported(
            f"'{model}' cannot read the {shape} inputs of '{task}'",
            hint=f"--task chooses them; the model of '{task}' is '{facts.default_model}'",
        ) from None
    return network


def _data(network: Network, limit: Fraction, k: int, fits: list[Fit]) -> dict[str, Any]:
    from suite.models.fitting import float_footprint
    from suite.models.scaling import Scale

    base = network.dimensions(Scale())
    return {
        "model": network.base,
        "parameters": base.parameters,
        "largest_activation": base.largest_activation,
        "float_footprint_bytes": float_footprint(network),
        "budget_bytes": float(limit),
        "budget_compression": float_footprint(network) / float(limit),
        "k": k,
        "fits": [
            {
                "model": one.name,
                "scaling": one.scaling.value,
                "weight_bits": one.weight_bits,
                "activation_bits": one.activation_bits,
                "width": one.scale.width / 1000,
                "depth": one.scale.depth / 1000,
                "alpha": one.alpha,
                "alpha_nominal": one.scale.nominal,
                "parameters": one.dimensions.parameters,
                "largest_activation": one.dimensions.largest_activation,
                "footprint_bytes": one.footprint_bytes,
                "unused": one.unused,
                "compression": one.compression,
                "compression_by_bits": one.compression_by_bits,
            }
            for one in fits
        ],
    }


def _text(network: Network, limit: Fraction, fits: list[Fit]) -> str:
    from suite.models.fitting import float_footprint
    from suite.models.scaling import Scale

    base = network.dimensions(Scale())
    whole = float_footprint(network)
    rows = [
        [
            one.scaling.value,
            f"W{one.weight_bits}A{one.activation_bits}",
            one.name,
            f"{one.alpha:.3g}",
            f"{one.dimensions.parameters:,}",
            f"{one.dimensions.largest_activation:,}",
            f"{one.footprint_bytes:,}",
            f"{one.unused:.2%}",
            f"{one.compression:.3g}",
            f"{one.compression_by_bits:.3g}",
        ]
        for one in fits
    ]
    heads = (
        "scaling", "bits", "model", "alpha", "parameters", "activation", "bytes", "unused", "smaller", "by bits",
    )  # fmt: skip
    return "\n".join(
        [
            f"{network.base}: {base.parameters:,} parameters, largest activation {base.largest_activation:,}; "
            f"{whole:,} bytes in float",
            f"budget {float(limit):,.0f} bytes, {whole / float(limit):.3g} times smaller",
            "",
            columns(rows, heads),
            "",
            "alpha: parameters over those of the unscaled network; unused: part of the budget that is left;",
            "smaller: than the unscaled network in float; by bits: than this network in float",
        ]
    )
