"""Reports: numbers and values as a person reads them. One place, so that every page and every terminal agrees."""

from __future__ import annotations

import json
import math

from suite.axes import NOT_REPORTED

MINUS = "\N{MINUS SIGN}"
THIN = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"
LONGEST_VALUE = 400


def percent(fraction: float | None) -> str:
    """0.9153 -> '91.53 %'."""
    return NOTHING if fraction is None else f"{_signed(100.0 * fraction, 2)}{THIN}%"


def points(difference: float | None, *, unit: bool = True) -> str:
    """-0.0083 -> '−0.83 points': a difference of two fractions, always with its sign."""
    if difference is None:
        return NOTHING
    text = _signed(100.0 * difference, 2)
    plus = "+" if float(text.replace(MINUS, "-")) > 0 else ""
    return f"{plus}{text}{THIN}points" if unit else f"{plus}{text}"


def interval_points(interval: tuple[float, float] | None) -> str:
    """(-0.02, 0.001) -> '[−2.00, +0.10]'."""
    if interval is None:
        return NOTHING
    low, high = interval
    return f"[{points(low, unit=False)},{THIN}{points(high, unit=False)}]"


def byte_size(count: int | float | None) -> str:
    """Decimal units: 33124 -> '33.1 kB'."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(value) < 999.5 or unit == "GB":
            return f"{value:.0f}{THIN}{unit}" if unit == "bytes" else f"{_three_digits(value)}{THIN}{unit}"
        value /= 1000.0
    raise AssertionError("unreachable")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: '0.42 s', '12.3 s', '3 min 20 s', '2 h 5 min'."""
    if seconds is None:
        return NOTHING
    if seconds < 59.95:
        return f"{_three_digits(seconds)}{THIN}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{THIN}min{THIN}{whole % 60}{THIN}s"
    minutes = round(whole / 60)
    return f"{minutes // 60}{THIN}h{THIN}{minutes % 60}{THIN}min"


def number(value: float | int | None, digits: int = 2) -> str:
    """A plain number: integers with separated thousands, others with at most `digits` decimals."""
    if value is None:
        return NOTHING
    if float(value) == int(value):
        return f"{int(value):,}".replace(",", THIN).replace("-", MINUS)
    return _signed(float(value), digits)


def p_value(p: float) -> str:
    """A p-value as `p = 0.034`; what is smaller than a thousandth needs no digits."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def cell_text(value: str | int | float | None, kind: str) -> str:
    """A cell of a table, shown as its column says; the script of a page shows the same."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str):
        return value
    show = {
        "percent": percent,
        "points": lambda difference: points(difference, unit=False),
        "bytes": byte_size,
        "seconds": duration,
    }
    return show.get(kind, number)(value)


def value_text(value: object) -> str:
    """Any declared or observed value, on one line: lists joined by commas, numbers short, mappings as `name: value`."""
    return _shortened(_value_text(value))


def clean(text: str) -> str:
    """One line without characters that print nothing: escape sequences of terminals, reversed writing, NUL."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def is_reported(value: object) -> bool:
    """False for what a transcribed card could not find in its source."""
    return not (isinstance(value, str) and value == NOT_REPORTED)


def _value_text(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list | tuple):
        return ", ".join(_value_text(item) for item in value) or NOTHING
    if isinstance(value, dict):
        return "; ".join(f"{_value_text(key)}: {_value_text(item)}" for key, item in value.items()) or NOTHING
    return json.dumps(value, default=str)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 2]} …"


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")  # first, so that 0.9997 counts its digits as 1.00
    decimals = max(0, min(4, 2 - math.floor(math.log10(abs(rounded)))))
    return f"{rounded:.{decimals}f}"


def _signed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    if float(text) == 0.0:  # no '−0.00'
        text = text.lstrip("-")
    return text.replace("-", MINUS)
