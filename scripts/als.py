"""Complete tables of scores: train (on our own run records), complete (any CSV), evaluate (against the rivals)."""

import click

from lib.command_line import run_command


@click.group()
def als() -> None:
    """Fills in the scores nobody measured, and says how sure that is."""


if __name__ == "__main__":
    run_command(als)
