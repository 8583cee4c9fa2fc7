"""`zoo.py run --tracker`: the options, and what they make of whoever watches a sweep."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lib.command_line import FOLDER
from lib.config import Settings

NAMES = ("tensorboard", "wandb", "mlflow")


def tracker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --tracker and --tracker-dir; the command receives `tracked(listener)`, a context that gives the listener to use."""

    @click.option(
        "--tracker", "names", type=click.Choice(NAMES), multiple=True, help="Export to it too; repeatable."
    )
    @click.option("--tracker-dir", type=FOLDER, help="Where trackers write [cache_dir/trackers].")
    @functools.wraps(command)
    def with_trackers(
        settings: Settings, names: tuple[str, ...], tracker_dir: Path | None, **kwargs: Any
    ) -> Any:
        def tracked(listener: Any) -> Any:
            from lib.benchmark.trackers import tracked

            return tracked(listener, names, tracker_dir or settings.cache_dir / "trackers")

        return command(settings=settings, tracked=tracked, **kwargs)

    return with_trackers
