"""What every script shares: its common options, one-sentence errors instead of tracebacks, and JSON output."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lib.config import load_settings
from lib.errors import CvAutomlError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config, --runs and --out; the command receives one `settings: Settings` keyword in their place."""

    @click.option("--config", type=click.Path(path_type=Path), help="Settings file instead of config.yaml.")
    @click.option("--runs", type=click.Path(path_type=Path), help="Folder of run records [config: runs_dir].")
    @click.option(
        "--out", type=click.Path(path_type=Path), help="Folder for derived results [config: out_dir]."
    )
    @functools.wraps(command)
    def with_settings(
        *args: Any, config: Path | None, runs: Path | None, out: Path | None, **kwargs: Any
    ) -> Any:
        return command(
            *args,
            settings=load_settings(config).override(runs_dir=_absolute(runs), out_dir=_absolute(out)),
            **kwargs,
        )

    return with_settings


def _absolute(path: Path | None) -> Path | None:
    return path.resolve() if path else None


def echo_json(value: Any) -> None:
    """Prints `value` (pydantic models welcome) as indented JSON on standard output, NaN as null."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        return None
    return str(value) if isinstance(value, Path) else value


def run_command(command: click.Command) -> None:
    """Runs a script's click command: bad input is one sentence on standard error and exit code 2, Ctrl-C exits with 130."""
    try:
        code = command.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CvAutomlError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: what was finished is kept; run the same command again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(
            f"error: {place}{error.strerror or error}; check that it exists, may be used and has room",
            err=True,
        )
        sys.exit(EXIT_BAD_INPUT)
