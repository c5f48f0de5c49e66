"""How pages look: enough contrast in light, dark and print, and no page wider than a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape
from importlib import resources
from pathlib import Path

import pytest
from report_pages import PAGES


def style() -> str:
    return resources.files("suite.reports").joinpath("templates/style.css").read_text(encoding="utf-8")


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", block))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of WCAG 2: (L1 + 0.05) / (L2 + 0.05) of the relative luminances."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_stands_out_in_every_scheme(scheme: str) -> None:
    css = style()
    light = tokens(css[: css.index("@media (prefers-color-scheme: dark)")])
    dark = tokens(css[css.index("@media (prefers-color-scheme: dark)") : css.index("*, *::before")])
    printed = tokens(css[css.index("@media print") :])
    colours = {"light": light, "dark": {**light, **dark}, "print": {**light, **printed}}[scheme]
    pairs = [
        (ink, paper) for ink in ("ink", "muted", "accent", "bad", "good", "doubtful") for paper in ("paper", "sheet")
    ]
    pairs += [(tone, f"{tone}-soft") for tone in ("good", "doubtful", "bad", "quiet", "accent")]
    pairs += [(ink, f"{tone}-soft") for ink in ("ink", "muted") for tone in ("good", "doubtful", "bad", "quiet")]
    pairs += [("ink", "faint"), ("muted", "faint")]
    weak = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium browser")
def test_no_page_is_wider_than_a_phone(tmp_path: Path) -> None:
    """Each page in a frame of 390 pixels; the browser itself says how wide it became."""
    frames = "".join(
        f'<iframe id="{name}" width="390" height="800" srcdoc="{escape(render(), quote=True)}"></iframe>'
        for name, render in PAGES.items()
    )
    script = (
        "<script>onload = () => { document.title = JSON.stringify([...document.querySelectorAll('iframe')].map("
        "frame => { const page = frame.contentDocument.documentElement; "
        "return [frame.id, frame.contentWindow.innerWidth, page.scrollWidth - page.clientWidth]; })); }</script>"
    )
    wrapper = tmp_path / "phones.html"
    wrapper.write_text(f"<!doctype html><style>iframe {{ border: 0 }}</style>{frames}{script}", encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom", wrapper.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    if title is None:
        pytest.skip(f"the browser does not start here: {done.stderr[-200:]}")
    found = {name: (width, overflow) for name, width, overflow in json.loads(title[1])}
    assert found == dict.fromkeys(PAGES, (390, 0))
