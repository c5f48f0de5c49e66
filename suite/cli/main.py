"""The command line's front door: finds the file of a command, and turns errors into exit codes.

Exit codes: 0 done, 1 done but the answer is no (a contradicted card, a failed check), 2 the request was wrong.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from suite import __version__
from suite.cli.stopping import last_words
from suite.errors import SuiteError
from suite.registry import suggestion

COMMANDS: Mapping[str, tuple[str, str]] = {
    "evaluate": ("suite.cli.evaluate:command", "Run one method under one card: measure, audit, record, report."),
    "compare": ("suite.cli.compare:command", "Compare cards or runs; refuse to rank what is not comparable."),
    "explain": ("suite.cli.explain:command", "Split the gap between two cards or runs into axes and method."),
    "audit": ("suite.cli.audit:command", "Observe a saved quantized model and compare it with a card."),
    "study": ("suite.cli.study:command", "Run many cells as one question, and say whether what was expected holds."),
    "reproduce": ("suite.cli.reproduce:command", "Put a paper's claims beside what is measured here."),
    "scale": ("suite.cli.scale:command", "Find the largest network that fits into a memory budget at given bits."),
    "report": ("suite.cli.report:command", "Write pages that work offline: many runs compared, or the whole site."),
    "card": ("suite.cli.card:command", "Write, check, compare, find, render and migrate quantization cards."),
    "runs": ("suite.cli.runs:command", "Look at what runs left behind."),
    "list": ("suite.cli.listing:command", "List methods, axes, tasks, models, baselines, studies, hardware or claims."),
    "show": ("suite.cli.show:command", "Explain one method, axis, task, model, hardware or claim, or print a plan."),
    "baseline": ("suite.cli.baseline:command", "List, train and verify the float models."),
    "download": ("suite.cli.download:command", "Fetch the data of a task, on request only."),
    "method": ("suite.cli.method:command", "Start a new method, and check that one keeps the contract."),
    "completion": ("suite.cli.completion:command", "Print the completion script of a shell."),
}

EPILOG = """\b
Examples:
  suite evaluate --method lsq --card cards/lsq.yaml
  suite compare runs/RUN_A runs/RUN_B --to comparison
  suite card new --method rtn > my-card.yaml
  suite list axes
"""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help lines, and imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = suggestion(args[0], list(COMMANDS))
            raise click.UsageError(f"no command is called '{args[0]}' ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="suite")
def cli() -> None:
    """Honest comparisons of neural-network quantization methods.

    A card declares every tradeoff, the suite enforces it while the method runs, observes the quantized model from
    outside, and only then calls results comparable.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; a bug shows its traceback, a user's mistake one line."""
    try:
        result: Any = cli.main(
            args=None if arguments is None else list(arguments), prog_name="suite", standalone_mode=False
        )
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.UsageError as error:
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        _complain(" ".join(error.format_message().split()) + where)
        return 2
    except click.ClickException as error:
        _complain(error.format_message())
        return 2
    except SuiteError as error:
        _complain(str(error))
        return 2
    except (click.Abort, KeyboardInterrupt) as stop:
        words, code = last_words(stop)
        _complain(words)
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result if isinstance(result, int) else 0


def _complain(message: str) -> None:
    click.echo(f"suite: {message}", err=True)
