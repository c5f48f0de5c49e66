"""Reports: from a template to a whole page. Everything a template prints is escaped for the language it prints in.

HTML uses the autoescape of jinja2. Markdown has no such thing, so a `finalize` hook escapes each printed value; what is
Markdown on purpose says so by its type.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from suite import __version__
from suite.reports import numbers

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")


class Markdown(str):
    """Text that is Markdown already."""


SIGNS = {
    "good": Markdown("✅"),
    "bad": Markdown("❌"),
    "doubtful": Markdown("⚠️"),
    "quiet": Markdown("◯"),
}


def html_page(template: str, *, embedded: Any, embedded_name: str, embedded_id: str = "data", **context: Any) -> str:
    """A page that loads nothing; `embedded` is what it shows, as JSON in the element of that id."""
    return (
        _html_engine()
        .get_template(template)
        .render(
            version=__version__,
            embedded=embedded,
            embedded_name=embedded_name,
            embedded_id=embedded_id,
            **context,
        )
    )


def markdown_page(template: str, **context: Any) -> str:
    """A page of Markdown; lines that a template leaves empty are not."""
    text = _markdown_engine().get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _html_engine() -> Environment:
    """Autoescape on for every template, undefined names are errors, JSON is escaped for a script element."""
    engine = Environment(
        loader=PackageLoader("suite.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": True, "separators": (",", ":")}
    engine.filters.update(_FILTERS)
    engine.globals.update(script=script, script_hash=script_hash)
    return engine


@cache
def _markdown_engine() -> Environment:
    """Values are escaped by `finalize`; undefined names are errors."""
    engine = Environment(
        loader=PackageLoader("suite.reports"),
        autoescape=False,
        finalize=escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters.update(_FILTERS)
    engine.filters["code"] = code
    engine.globals.update(sign=SIGNS, strong=strong, emphasis=emphasis, downloads=downloads)
    return engine


@cache
def script(name: str) -> Markup:
    """A script of the suite's own, as it stands in a page."""
    return Markup(resources.files("suite.reports").joinpath("templates", name).read_text(encoding="utf-8"))


@cache
def script_hash(name: str) -> str:
    """What a page's policy says of a script: this very text may run, and no other."""
    digest = hashlib.sha256(script(name).encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def escape_markdown(value: object) -> str:
    """A value as plain text of one line: nothing in it is Markdown, HTML, a table cell's end or a link."""
    if isinstance(value, Markdown):
        return value
    text = _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
    # A line of a paragraph that begins like a list or a rule would become one.
    return re.sub(r"^([-+=]|\d+[.)])(?=\s|$)", lambda match: match[1][:-1] + "\\" + match[1][-1], text)


def code(value: object) -> Markdown:
    """A code span of one line, fenced by more backticks than the text holds; a pipe would end a table cell."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text or not text else ""
    return Markdown(f"{fence}{pad}{text}{pad}{fence}")


def strong(text: object) -> Markdown:
    return Markdown(f"**{escape_markdown(text)}**")


def emphasis(text: object) -> Markdown:
    return Markdown(f"*{escape_markdown(text)}*")


def downloads(files: Iterable[str]) -> Markdown:
    """Files beside a page as links; their names are the suite's own."""
    return Markdown(", ".join(f"[{file}]({file})" for file in files))


_FILTERS = {
    "percent": numbers.percent,
    "points": numbers.points,
    "interval_points": numbers.interval_points,
    "byte_size": numbers.byte_size,
    "duration": numbers.duration,
    "number": numbers.number,
    "value_text": numbers.value_text,
    "cell_text": numbers.cell_text,
    "zipped": lambda first, second: zip(first, second, strict=True),
}
