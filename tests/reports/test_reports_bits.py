"""The bits of a run on its pages: where the map draws what, what the sums say, and hostile names as text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bits_samples import ASYMMETRIC_FIRST, FLOAT_FIRST, per_layer, per_weight
from markdown_it import MarkdownIt
from report_pages import Page
from report_samples import make_card, make_record

from suite.bits import BitAccount, Convention, FeatureMap, LayerBits, Widths
from suite.reports import entry_of, render_card_html, render_card_markdown
from suite.reports.precision_chart import precision_figure, steps
from suite.reports.precision_page import bar, precision_page


def page_of(account: BitAccount) -> Page:
    return Page(render_card_html(make_card(), make_record(bits=account.to_dict())))


def figure_rows(page: Page) -> list[str]:
    """What a screen reader hears of each layer."""
    return [value for tag, value in page.attributes("aria-label") if tag == "g"]


def test_a_layer_stands_as_high_as_its_bits() -> None:
    account = per_layer((8, 4, 2, 0, 4))
    figure = precision_figure(account)
    assert figure is not None
    heights = {tick.label: tick.x for tick in figure.y_ticks}
    assert list(heights) == [str(bits) for bits in range(9)]
    assert [column.y for column in figure.columns] == [heights[str(bits)] for bits in (8, 4, 2, 0, 4)]
    # A bit is a ninth and a bit of the height everywhere: 8 steps, and a margin of 0.6 below and above.
    assert heights["3"] - heights["4"] == pytest.approx(100 / 9.2, abs=2e-3)
    assert heights["0"] == figure.base == pytest.approx(100 - 60 / 9.2, abs=2e-3)
    assert figure.average_y == pytest.approx(heights["0"] - 100 / 9.2 * (18 / 5), abs=3e-3)
    assert [column.x for column in figure.columns] == pytest.approx([10, 30, 50, 70, 90])
    assert not figure.varies
    assert all(column.cells == () for column in figure.columns)


def test_a_cell_for_each_width_inside_of_a_layer_stronger_where_more_weights_have_it() -> None:
    layer = LayerBits("a:weight", (10,), Convention.SIGNED, {0: 1, 2: 7, 3: 2}, widths=Widths.PER_WEIGHT)
    figure = precision_figure(BitAccount((layer,)))
    assert figure is not None
    heights = {tick.label: tick.x for tick in figure.y_ticks}
    cells = figure.columns[0].cells
    assert [cell.y + cell.height / 2 for cell in cells] == pytest.approx([heights[b] for b in "023"], abs=2e-3)
    assert [cell.opacity for cell in cells] == pytest.approx([0.15 + 0.085, 0.15 + 0.595, 0.15 + 0.17])
    assert all(cell.y >= 0 and cell.y + cell.height <= 100 for cell in cells)
    assert figure.columns[0].label == "1. a: 2 bits on average; 0: 10 %, 2: 70 %, 3: 20 %"


def test_float_and_sixteen_bits_do_not_press_the_rest_together() -> None:
    assert [steps(bits) for bits in (0, 1, 8, 12, 16, 24, 32)] == [0, 1, 8, 8.5, 9, 9.5, 10]
    figure = precision_figure(per_weight(first=FLOAT_FIRST))
    assert figure is not None
    assert [tick.label for tick in figure.y_ticks] == [*(str(bits) for bits in range(9)), "16", "32"]
    assert figure.compressed
    assert figure.columns[0].is_float
    assert [column.is_float for column in figure.columns[1:]] == [False] * 19


@pytest.mark.parametrize(("layers", "labels"), [(1, ["1"]), (8, [*"12345678"]), (20, ["1", "5", "10", "15", "20"])])
def test_layers_are_numbered_sparsely(layers: int, labels: list[str]) -> None:
    figure = precision_figure(per_layer((4,) * layers))
    assert figure is not None
    assert [tick.label for tick in figure.x_ticks] == labels


@pytest.mark.parametrize("layers", [9, 48, 49, 100, 801, 3000])
def test_any_number_of_layers_can_be_drawn(layers: int) -> None:
    figure = precision_figure(per_layer((4,) * layers))
    assert figure is not None
    assert 1 <= len(figure.x_ticks) <= 9
    assert (figure.pixels is None) == (layers <= 48)
    assert figure.pixels is None or figure.pixels >= 10 * layers
    assert precision_figure(BitAccount(())) is None


def test_the_page_draws_every_layer_and_says_what_it_draws() -> None:
    account = per_weight(first=ASYMMETRIC_FIRST)
    page = page_of(account)
    rows = figure_rows(page)
    assert len(rows) == len(account.layers)
    assert rows[0] == "1. conv1: 8 bits"
    assert rows[1].startswith("2. layer1.1.conv1: 3.94 bits on average; 3: 31 %, 4: 50 %")
    assert "Bits, layer by layer" in page.text
    assert [tag for tag, _ in page.elements].count("rect") == 4 * 19


def test_sums_are_those_of_the_account() -> None:
    account = per_weight(first=FLOAT_FIRST)
    page = precision_page(account, scales_counted=False)
    assert [one.amount for one in page.averages] == [
        account.average_weight_bits(),
        account.average_weight_bits(Convention.IMPLICIT_SIGN),
        account.stored_weight_bits,
    ]
    sizes = {one.what: one.amount for one in page.sizes}
    weights, plan, scales, other, counted, bare, floats = sizes.values()
    assert counted == weights + plan + scales + other
    assert bare == counted - scales
    assert floats == account.float_bytes
    assert [what for what in sizes if "as the card counts" in what] == [
        "model, without scales and zero points, as the card counts"
    ]


def test_the_size_is_set_against_that_of_the_same_numbers_in_float() -> None:
    account = per_layer((8, 4, 4))
    text = Page(render_card_html(None, make_record(bits=account.to_dict(), model_bytes=4976))).text
    # Three layers of 2048 weights and 70 other numbers, 4 bytes each.
    assert "the same numbers take 24.9 kB in float, 5 times as much" in text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_page_without_an_account_has_no_map() -> None:
    assert "Bits, layer by layer" not in Page(render_card_html(make_card(), make_record())).text
    assert "Bits, layer by layer" not in render_card_markdown(make_card(), make_record())
    assert entry_of(make_card()).bits is None


@pytest.mark.parametrize(
    ("bits", "drawn"),
    [(0, ""), (0.1, "▏"), (1, "█"), (2.5, "██▌"), (7.99, "████████"), (8, "████████"), (32, "████████→")],
)
def test_bars_of_blocks(bits: float, drawn: str) -> None:
    assert bar(bits) == drawn


def test_the_markdown_twin_has_the_same_rows() -> None:
    account = per_weight(first=FLOAT_FIRST)
    text = render_card_markdown(make_card(), make_record(bits=account.to_dict()))
    part = text[text.index("## Bits, layer by layer") : text.index("## Quantization method")]
    parsed = MarkdownIt("commonmark").enable("table").parse(part)
    assert [token.type for token in parsed].count("table_open") == 3
    assert [token.type for token in parsed].count("tr_open") == (1 + 20) + (1 + 3) + (1 + 7)
    row = next(line for line in part.splitlines() if "layer1.1.conv1" in line)
    assert "| 2 304 | 3.94 | ████ | 3: 31 %, 4: 50 %, 5: 12 %, 6: 6 % |" in row


def test_a_map_of_many_layers_stays_small() -> None:
    html = render_card_html(make_card(), make_record(bits=per_weight(400).to_dict()))
    assert len(html.encode()) < 600_000


@pytest.mark.parametrize("payload", ['"><script>alert(1)</script>', "' onload='x", "</title><img src=x>", "a | b `c`"])
def test_names_of_layers_and_tensors_are_shown_as_text(payload: str) -> None:
    def account(name: str) -> BitAccount:
        whole = per_weight(6)
        layers = (replace(whole.layers[0], site=f"{name}:weight"), *whole.layers[1:])
        return BitAccount(layers, (FeatureMap(name, 4, 4),))

    expected, page = page_of(account("conv1")), page_of(account(payload))
    assert page.skeleton == expected.skeleton
    assert payload in page.text
    assert any(payload in label for label in figure_rows(page))
    shapes = [
        [token.type for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)]
        for text in (
            render_card_markdown(make_card(), make_record(bits=account(name).to_dict())) for name in ("conv1", payload)
        )
    ]
    assert shapes[0] == shapes[1]
