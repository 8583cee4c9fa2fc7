"""zoo.py doctor: what is unsound among records, caches and models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from lib.command_line import FOLDER, echo_json, json_option, settings_options
from lib.config import Settings


@click.command()
@click.option("--move-to", type=FOLDER, help="Move them into this folder; nothing is deleted.")
@json_option
@settings_options
def doctor(settings: Settings, move_to: Path | None, as_json: bool) -> None:
    """Lists records, caches and models that are broken, foreign or stale, and what each would need."""
    from lib.reporting.doctor import examine, move_aside

    findings = examine(settings)
    if move_to:
        move_aside(findings, settings, move_to)
    if as_json:
        return echo_json([asdict(one) for one in findings])
    for one in findings:
        click.echo(f"{one.state}: {one.path}: {one.problem}; {one.needs}")
    click.echo(f"{len(findings)} unsound" if findings else "everything is sound")
