"""`suite completion`: print the script that completes suite's commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from suite.cli.output import emit, json_option

INSTALL = {
    "bash": 'eval "$(suite completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(suite completion zsh)"   # in ~/.zshrc',
    "fish": "suite completion fish > ~/.config/fish/completions/suite.fish",
}


@click.command(
    "completion",
    epilog="\b\nExamples:\n" + "\n".join(f"  {line}" for line in INSTALL.values()),
)
@click.argument("shell", type=click.Choice(sorted(INSTALL)))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print the completion script of SHELL; the examples say where it goes."""
    from suite.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:  # click ships all three; a stripped installation may not
        raise click.UsageError(f"this installation of click has no completion for {shell}")
    script = kind(cli, {}, "suite", "_SUITE_COMPLETE").source()
    emit({"shell": shell, "script": script, "install": INSTALL[shell]}, script, as_json)
