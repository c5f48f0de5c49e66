"""A headless Chromium that opens a page beside a script, and says what the script found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def ask(page: Path, script: str, folder: Path, *, width: int = 1280, height: int = 900) -> Any:
    """What `script` leaves in `found`, run when the page stands in a frame as `view` (its window) and `page`.

    Time is real: the script works within the load event, so nothing waits and no clock is virtual.
    """
    if CHROMIUM is None:
        pytest.skip("needs a Chromium browser")
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f'<!doctype html><title></title><iframe width="{width}" height="{height}" style="border: 0"></iframe>'
        "<script>const frame = document.querySelector('iframe'); frame.onload = () => {"
        "const view = frame.contentWindow, page = frame.contentDocument; let found; "
        f"try {{ {script} }} catch (error) {{ found = String(error); }} document.title = JSON.stringify(found); }};"
        f"frame.src = {json.dumps(page.as_uri())};</script>",
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}", "--dump-dom", wrapper.as_uri(),
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    if title is None or not title[1]:
        pytest.skip(f"the browser does not start here: {done.stderr[-200:]}")
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
