"""The program: `suite …` and `python -m suite …`."""

from __future__ import annotations


def main() -> None:
    """Run the command line; user errors end with one line and exit code 2."""
    from suite.cli.main import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
