"""Weights as planes of bits, against vectors that public code produced."""

from __future__ import annotations

import pytest
import torch
from golden_vectors import Vectors, case_parameters, check_close, check_gradient, check_output, check_rounded, load
from torch import Tensor
from torch.nn.functional import conv2d, linear

from suite.quantizers import Quantizer, QuantizerSpec
from suite.quantizers.bit_planes import (
    BitPlanes,
    WholeWeight,
    adjusted,
    group_lasso,
    represented,
    requantized,
    round_in_unit_range,
    weighted_group_lasso,
)
from suite.quantizers.spec import BIT_WIDTHS

FILE = "bsq"
MOST_PLANES = 8  # of the public code, as the index of the vectors says


def cases(last: str, start: str, end: str = "") -> list[object]:
    """The cases that begin and end so and have an array called `last`; a file without them must not pass."""
    found = [
        case
        for case in case_parameters(FILE, last)
        if not isinstance(case, str) or (case.startswith(start) and case.endswith(end))
    ]
    assert found, f"{FILE} holds no {start}*{end} with {last}"
    return found


def planes_of(case: str) -> BitPlanes:
    vectors = load(FILE)
    return BitPlanes(*(vectors.tensor(f"{case}.{name}") for name in ("p", "n", "scale")))


def check_same(found: BitPlanes, case: str) -> None:
    """The planes are whole numbers and must agree exactly, the scale nearly."""
    expected = planes_of(case)
    assert torch.equal(found.positive, expected.positive)
    assert torch.equal(found.negative, expected.negative)
    check_close(found.scale, expected.scale)


def leaf(vectors: Vectors, key: str) -> Tensor:
    return vectors.tensor(key).requires_grad_()


@pytest.mark.parametrize("case", cases("grad_x", "bit_ste"))
def test_rounding_to_bits_and_a_sign(case: str) -> None:
    vectors = load(FILE)
    bits = int(case.rpartition(".b")[2])
    x = leaf(vectors, f"{case}.x")
    y = round_in_unit_range(x, bits)
    y.backward(vectors.tensor(f"{case}.grad_out"))
    largest = 2**bits - 1
    check_rounded(y, vectors.tensor(f"{case}.y"), 1 / largest, x.detach().clamp(-1, 1) * largest)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))


@pytest.mark.parametrize("case", cases("grad_x", "ste_dynmax"))
def test_dynamic_symmetric_grids_round_to_the_largest_value(case: str) -> None:
    """The code rounds magnitudes to b bits and keeps the sign beside them: b + 1 bits where values are negative."""
    vectors = load(FILE)
    bits = int(case.rpartition(".b")[2])
    x = leaf(vectors, f"{case}.x")
    signed = bool((x < 0).any())
    if bits + signed not in BIT_WIDTHS:
        pytest.skip(f"no grid has {bits + signed} bits")
    quantizer = Quantizer(QuantizerSpec(bits + signed, signed=signed, symmetric=True, dynamic=True), is_weight=False)
    y = quantizer(x)
    y.backward(vectors.tensor(f"{case}.grad_out"))
    step = x.detach().abs().max() / (2**bits - 1)
    check_rounded(y, vectors.tensor(f"{case}.y"), step, x.detach() / step)
    check_gradient(x.grad, vectors.tensor(f"{case}.grad_x"))


@pytest.mark.parametrize("case", cases("inp", "linear") + cases("inp", "conv"))
def test_a_float_weight_becomes_planes(case: str) -> None:
    weight = load(FILE).tensor("w_lin" if case.startswith("linear") else "w_conv")
    check_same(BitPlanes.of_weight(weight, planes_of(case).count), case)


@pytest.mark.parametrize("case", cases("bias_scale", "linear"))
def test_a_bias_becomes_planes(case: str) -> None:
    vectors = load(FILE)
    expected = vectors.tensor(f"{case}.pb"), vectors.tensor(f"{case}.nb")
    found = BitPlanes.of_weight(vectors.tensor(f"{case}.bias"), expected[0].shape[-1])
    assert torch.equal(found.positive, expected[0])
    assert torch.equal(found.negative, expected[1])
    check_close(found.scale, vectors.tensor(f"{case}.bias_scale"))


@pytest.mark.parametrize("case", cases("exps", "linear"))
def test_what_a_plane_is_worth(case: str) -> None:
    """Planes with a single bit each show the values of their bits."""
    exponents = load(FILE).tensor(f"{case}.exps")
    count = len(exponents)
    single = torch.eye(count)
    check_close(represented(single, torch.zeros(count, count), torch.tensor(1.0)), exponents)


@pytest.mark.parametrize("case", cases("grad_scale", "linear"))
def test_a_linear_layer_and_its_gradients(case: str) -> None:
    vectors = load(FILE)
    # What is perturbed later shares input, bias and upstream gradient with the binary case.
    base = f"{case.rpartition('.')[0]}.binary"
    p, n, scale = (leaf(vectors, f"{case}.{name}") for name in ("p", "n", "scale"))
    pb, nb, bias_scale = (leaf(vectors, f"{base}.{name}") for name in ("pb", "nb", "bias_scale"))
    out = linear(vectors.tensor(f"{base}.inp"), represented(p, n, scale), represented(pb, nb, bias_scale))
    out.backward(vectors.tensor(f"{base}.grad_out"))
    check_output(out, vectors.tensor(f"{case}.out"), 0.0)
    found = {"p": p, "n": n, "scale": scale, "pb": pb, "bias_scale": bias_scale}
    for name, parameter in found.items():
        if f"{case}.grad_{name}" in vectors:
            check_gradient(parameter.grad, vectors.tensor(f"{case}.grad_{name}"))
    assert nb.grad is not None
    assert pb.grad is not None
    assert torch.equal(nb.grad, -pb.grad)


@pytest.mark.parametrize("case", cases("reg", "conv"))
def test_a_convolution_and_its_gradients(case: str) -> None:
    vectors = load(FILE)
    p, n, scale = (leaf(vectors, f"{case}.{name}") for name in ("p", "n", "scale"))
    inputs, expected = vectors.tensor(f"{case}.inp"), vectors.tensor(f"{case}.out")
    same_size = inputs.shape[-1] == expected.shape[-1]
    out = conv2d(inputs, represented(p, n, scale), padding=(p.shape[2] // 2, p.shape[3] // 2) if same_size else 0)
    out.backward(vectors.tensor(f"{case}.grad_out"))
    check_output(out, expected, 0.0)
    for name, parameter in {"p": p, "n": n, "scale": scale}.items():
        check_gradient(parameter.grad, vectors.tensor(f"{case}.grad_{name}"))
        parameter.grad = None
    penalty = weighted_group_lasso([(p, n)], total_weights=1)
    penalty.backward()
    assert p[..., 0].numel() == vectors.number(f"{case}.n_params")
    check_close(penalty, vectors.tensor(f"{case}.reg"))
    check_gradient(p.grad, vectors.tensor(f"{case}.reg_grad_p"))
    check_gradient(n.grad, vectors.tensor(f"{case}.reg_grad_n"))


@pytest.mark.parametrize("case", cases("value", "linear", ".reg"))
def test_the_group_lasso_of_a_linear_layer(case: str) -> None:
    vectors = load(FILE)
    trained = f"{case.rpartition('.')[0]}.continuous"
    p, n = leaf(vectors, f"{trained}.p"), leaf(vectors, f"{trained}.n")
    pb, nb = leaf(vectors, f"{case}.pb"), leaf(vectors, f"{case}.nb")
    value = weighted_group_lasso([(p, n), (pb, nb)], total_weights=1)
    value.backward()
    check_close(value, vectors.tensor(f"{case}.value"))
    by_hand = vectors.number(f"{case}.n_params_w") * p.shape[-1] * group_lasso(p, n)
    by_hand = by_hand + vectors.number(f"{case}.n_params_b") * pb.shape[-1] * group_lasso(pb, nb)
    check_close(by_hand, vectors.tensor(f"{case}.value"))
    for name, parameter in {"p": p, "n": n, "pb": pb}.items():
        check_gradient(parameter.grad, vectors.tensor(f"{case}.grad_{name}"))


@pytest.mark.parametrize("case", cases("nbits", "linear", ".requant"))
def test_trained_planes_become_binary_again(case: str) -> None:
    found = requantized(planes_of(f"{case.rpartition('.')[0]}.continuous"), MOST_PLANES)
    assert found.count == load(FILE).number(f"{case}.nbits")
    check_same(found, case)


@pytest.mark.parametrize("case", cases("dense", "adjust", ".after"))
def test_empty_planes_go(case: str) -> None:
    vectors, before = load(FILE), planes_of(case.replace(".after", ".before"))
    check_output(before.weight(), vectors.tensor(case.replace(".after", ".before") + ".dense"), 0.0)
    found = adjusted(before)
    assert before.count == vectors.number(case.replace(".after", ".before") + ".nbits")
    assert found.count == vectors.number(f"{case}.nbits")
    check_same(found, case)
    check_output(found.weight(), vectors.tensor(f"{case}.dense"), 0.0)


@pytest.mark.parametrize("case", cases("dense", "grow", ".after") + cases("dense", "grow", ".saturated"))
def test_a_carry_needs_another_plane_or_saturates(case: str) -> None:
    vectors, before = load(FILE), planes_of(f"{case.rpartition('.')[0]}.before")
    most = before.count if case.endswith(".saturated") else MOST_PLANES
    found = requantized(before, most)
    assert found.count == vectors.number(f"{case}.nbits")
    check_same(found, case)
    check_output(found.weight(), vectors.tensor(f"{case}.dense"), 0.0)
    # What trained planes stand for is moved to the nearest level, or to the end of the grid.
    original = vectors.tensor(f"{case.rpartition('.')[0]}.before.dense")
    within = original.clamp(-found.scale, found.scale)
    assert bool(((found.weight() - within).abs() <= found.step() * (0.5 + 1e-4)).all())


@pytest.mark.parametrize("case", cases("grad_w", "finetune"))
def test_fine_tuning_one_number_per_weight(case: str) -> None:
    vectors = load(FILE)
    bits = int(case.rpartition(".n")[2])
    start = BitPlanes.of_weight(vectors.tensor("w_lin"), bits)
    check_close(WholeWeight.of_planes(start).value, vectors.tensor(f"{case}.w_start"))
    value, scale = leaf(vectors, f"{case}.w"), leaf(vectors, f"{case}.scale")
    whole = WholeWeight(value, scale, bits)
    out = linear(vectors.tensor(f"{case}.inp"), whole.weight())
    out.backward(vectors.tensor(f"{case}.grad_out"))
    check_output(out, vectors.tensor(f"{case}.out"), 0.0)
    check_gradient(value.grad, vectors.tensor(f"{case}.grad_w"))
    check_gradient(scale.grad, vectors.tensor(f"{case}.grad_scale"))
    check_same(whole.to_planes(), f"{case}.to_bits")
