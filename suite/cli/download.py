"""`suite download`: fetch the data of a task; nothing is ever fetched without being asked for."""

from __future__ import annotations

from pathlib import Path

import click

from suite.cli.output import emit, json_option


@click.command(
    "download",
    epilog="""\b
Examples:
  suite download cifar10 DATA
  suite baseline verify resnet20 --weights resnet20.pt --task cifar10 --data DATA
""",
)
@click.argument("task")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@json_option
def command(task: str, folder: Path, as_json: bool) -> None:
    """Fetch the data of TASK into FOLDER, from its official source and checked.

    Other commands find it through --data FOLDER or the variable SUITE_DATA.
    """
    from suite.tasks.download import download, require_downloadable

    require_downloadable(task)
    from suite.torchvision_shim import ensure_torchvision

    done = download(task, folder, ensure_torchvision().datasets)
    emit({"task": task, "data": str(done)}, f"{task} is in {done}; name it with --data or SUITE_DATA", as_json)
