"""`suite method`: start a new method, and check that one keeps the contract."""

from __future__ import annotations

from pathlib import Path

import click

from suite.cli.output import columns, emit, json_option, note
from suite.errors import SuiteError


@click.group(
    "method",
    epilog="""\b
Examples:
  suite method new my_method
  suite method new my_method --package --out my-method
  suite method check my_method
  suite method check lsq --json
""",
)
def command() -> None:
    """Start a new method, and check that one keeps the contract."""


@command.command(
    "new",
    short_help="Write a method that works already, with its card and its test.",
    epilog="""\b
Examples:
  suite method new my_method                               in a checkout: method, card and test in their places
  suite method new my_method --package --out my-method     a distribution of its own, with an entry point
""",
)
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write into; a checkout of the suite by default the current one.",
)
@click.option("--package", is_flag=True, help="Write a stand-alone distribution instead of files of the registry.")
@json_option
def new(name: str, out: Path | None, package: bool, as_json: bool) -> None:
    """Write a method called NAME that works already, with its card and its test.

    NAME is made of lower-case letters, digits and underscores. No existing file is replaced.
    """
    from suite.contract.skeleton import is_checkout, write_skeleton

    root = Path() if out is None else out
    if out is None and not package and not is_checkout(root):
        raise SuiteError(
            "the current folder is not a checkout of the suite",
            hint="go there, or name a folder with --out, or write a distribution of your own with --package",
        )
    paths = write_skeleton(name, root, package=package)
    steps = [
        *([f"pip install -e {root}"] if package else []),
        f"suite method check {name}",
        f"suite evaluate --method {name} --card {next(path for path in paths if path.suffix == '.yaml')}",
    ]
    human = "\n".join([*(f"wrote {path}" for path in paths), "next:", *(f"  {step}" for step in steps)])
    emit({"name": name, "files": [str(path) for path in paths], "next": steps}, human, as_json)


@command.command(
    "check",
    short_help="Run the contract's checks on a method, wherever it comes from.",
    epilog="""\b
Examples:
  suite method check rtn
  suite method check my_method --json
""",
)
@click.argument("name")
@click.option("--axis", "axes", multiple=True, metavar="AXIS", help="Try the values of these axes only.")
@click.option("--quick", is_flag=True, help="Try values of different axes together; one by one only where that fails.")
@json_option
def check(name: str, axes: tuple[str, ...], quick: bool, as_json: bool) -> int:
    """Run the contract's checks on the method NAME, wherever it comes from. Exit code 1 where one of them fails.

    Tries every axis value the method claims to support on the embedded digits, determinism, the data budget, options,
    documentation and how it fails.
    """
    from suite.contract.checks import check_method

    report = None if as_json else lambda result: note(str(result))
    results = check_method(name, axes=axes or None, quick=quick, report=report)
    failed = [result for result in results if not result.passed]
    groups: dict[str, list[bool]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result.passed)
    table = columns(
        [[group, str(sum(passed)), str(len(passed) - sum(passed))] for group, passed in groups.items()],
        ("check", "passed", "failed"),
    )
    verdict = f"{name} keeps the contract" if not failed else f"{name} breaks the contract in {len(failed)} checks"
    data = {
        "method": name,
        "passed": not failed,
        "checks": [result.to_dict() for result in results],
    }
    emit(data, "\n".join([table, *(str(result) for result in failed), verdict]), as_json)
    return 1 if failed else 0
