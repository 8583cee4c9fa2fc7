"""What every script shares: its common options, one-sentence errors instead of tracebacks, and JSON output."""

from __future__ import annotations

import functools
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.clock import seconds_of
from lib.config import DEBUG_VARIABLE, Settings, load_settings
from lib.errors import CvAutomlError, printable
from lib.files import plain
from lib.records.schema import METRICS

if TYPE_CHECKING:
    from rich.console import Console

    from lib.records import BrokenRecord

EXIT_BAD_INPUT = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
PIPE_WIDTH = 160

SEED = click.IntRange(0, 2**31 - 1)


class _Positive(click.FloatRange):
    """A number above zero, and one at all: `nan` lies in every range, `inf` limits nothing."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        number = super().convert(value, parameter, context)
        return number if math.isfinite(number) else self.fail(f"{value} is no number", parameter, context)


class _Duration(click.ParamType):
    """`90`, `90s`, `10m`, `1h30m` → seconds."""

    name = "time"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        try:
            return seconds_of(str(value))
        except CvAutomlError as error:
            return self.fail(str(error), parameter, context)


POSITIVE = _Positive(min=0, min_open=True)
DURATION = _Duration()
FILE = click.Path(path_type=Path)
FOLDER = click.Path(path_type=Path, resolve_path=True)
METRIC_NAMES = tuple(metric for metrics in METRICS.values() for metric in metrics)
"""Every metric that can be ranked, completed and predicted, of all tasks."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def names_of(given: Iterable[str]) -> tuple[str, ...]:
    """Single names out of repeated, comma separated options, each once; an existing path with a comma stays whole."""
    pieces = [[text] if Path(text).exists() else text.split(",") for text in given]
    return tuple(dict.fromkeys(name.strip() for names in pieces for name in names if name.strip()))


def _names(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    names = names_of(given)
    if given and not names:
        raise click.BadParameter("holds no name", context, option)
    return names


def names_option(option: str, parameter: str, help: str, required: bool = False) -> Decorator:
    """An option that may be repeated and comma separated; the command receives `parameter`, a tuple of single names."""
    return click.option(option, parameter, multiple=True, required=required, callback=_names, help=help)


def data_sets_option(
    required: bool = False, help: str = "Names or folders of data sets; lists."
) -> Decorator:
    """Adds --dataset; the command receives `data_sets: tuple[str, ...]`."""
    return names_option("--dataset", "data_sets", help, required)


def backbones_option(required: bool = False, help: str = "Backbones by name; lists.") -> Decorator:
    """Adds --backbone; the command receives `backbones: tuple[str, ...]`."""
    return names_option("--backbone", "backbones", help, required)


def heads_option(required: bool = False, help: str = "Heads by name; lists.") -> Decorator:
    """Adds --head; the command receives `heads: tuple[str, ...]`."""
    return names_option("--head", "heads", help, required)


def domains_option(
    help: str = "Only data sets of these domains: --domain medical,biology [all].",
) -> Decorator:
    """Adds --domain; the command receives `domains: tuple[str, ...]`, empty for all."""
    return names_option("--domain", "domains", help)


def choice_option(option: str, help: str, *choices: str) -> Decorator:
    """An option with a fixed set of values, of which the first is the default."""
    return click.option(option, type=click.Choice(choices), default=choices[0], show_default=True, help=help)


def seed_option(default: int | None = 0, help: str = "Seed, 0 to 2147483647.") -> Decorator:
    """Adds --seed; the command receives `seed: int`."""
    return click.option("--seed", type=SEED, default=default, show_default=True, help=help)


def epoch_option(default: int | None = None, help: str = "Quality after this epoch [the last].") -> Decorator:
    """Adds --epoch; the command receives `epoch: int | None`."""
    return click.option("--epoch", type=click.IntRange(min=1), default=default, help=help)


def metric_option(help: str = "What is ranked by [accuracy; masks: dice].") -> Decorator:
    """Adds --metric; the command receives `metric: Metric | None`, None for the task's primary one."""
    return click.option("--metric", type=click.Choice(METRIC_NAMES), help=help)


def task_option(help: str = "Only data sets of this task [both].") -> Decorator:
    """Adds --task; the command receives `task: Task | None`."""
    return click.option("--task", type=click.Choice(list(METRICS)), help=help)


json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""Adds --json; the command receives `as_json: bool`."""


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config, --runs and --out; the command receives one `settings: Settings` keyword in their place."""

    @click.option("--config", type=FILE, help="Settings file instead of config.yaml.")
    @click.option("--runs", type=FOLDER, help="Folder of run records [config: runs_dir].")
    @click.option("--out", type=FOLDER, help="Folder for derived results [config: out_dir].")
    @functools.wraps(command)
    def with_settings(config: Path | None, runs: Path | None, out: Path | None, **kwargs: Any) -> Any:
        return command(settings=load_settings(config).override(runs_dir=runs, out_dir=out), **kwargs)

    return with_settings


def kept_model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --config, --models and --device; the command receives one `settings: Settings` keyword in their place."""

    @click.option("--config", type=FILE, help="Settings file instead of config.yaml.")
    @click.option("--models", type=FOLDER, help="Folder of kept models [config: models_dir].")
    @click.option("--device", help="auto, cpu, cuda or mps [config: device].")
    @functools.wraps(command)
    def with_settings(config: Path | None, models: Path | None, device: str | None, **kwargs: Any) -> Any:
        settings = load_settings(config).override(models_dir=models, device=device)
        return command(settings=settings, **kwargs)

    return with_settings


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --recipe and --set to a command that has settings; the last word is the last --set."""

    @click.option("--recipe", help="Settings that belong together, by name [config: recipes].")
    @click.option(
        "--set", "assignments", multiple=True, help="One setting, e.g. finetune.loss=focal; may be repeated."
    )
    @functools.wraps(command)
    def with_recipe(
        settings: Settings, recipe: str | None, assignments: tuple[str, ...], **kwargs: Any
    ) -> Any:
        settings = settings.with_recipe(recipe) if recipe else settings
        for assignment in assignments:
            settings = settings.with_value(assignment)
        return command(settings=settings, **kwargs)

    return with_recipe


def weights_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of weights and device; they override the settings before the command sees them."""

    @click.option("--weights-dir", type=FOLDER, help="Folder of <timm name>.safetensors.")
    @click.option(
        "--weights", type=click.Choice(["pretrained", "random"]), help="random: exercise code only."
    )
    @click.option("--device", help="auto, cpu, cuda or mps [config: device].")
    @click.option("--precision", type=click.Choice(["auto", "bf16", "fp32"]), help="[config: precision]")
    @functools.wraps(command)
    def with_weights(settings: Settings, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in ("weights_dir", "weights", "device", "precision")}
        return command(settings=settings.override(**given), **kwargs)

    return settings_options(recipe_options(with_weights))


shard_option: Decorator = click.option(
    "--shard", help="i/n: part i of n, alike wherever it is cut; n machines do the whole (docs/scaling.md)."
)
"""Adds --shard; the command receives `shard: str | None`."""


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of where a sweep runs; the command receives `how: dict[str, Any]` in their place."""

    @choice_option("--engine", "This machine, or a Ray cluster (docs/scaling.md).", "local", "ray")
    @click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes here.")
    @click.option("--address", help="Of the Ray cluster, host:port or auto [one is started here].")
    @click.option("--ship-data", is_flag=True, help="Send data sets to Ray nodes that do not share them.")
    @click.option(
        "--max-retries",
        type=click.IntRange(min=0),
        default=2,
        show_default=True,
        help="Per cell and lost worker.",
    )
    @functools.wraps(command)
    def with_engine(**kwargs: Any) -> Any:
        names = ("engine", "jobs", "address", "ship_data", "max_retries")
        return command(how={name: kwargs.pop(name) for name in names}, **kwargs)

    return with_engine


def terminal(stderr: bool = False) -> Console:
    """The terminal; pipes and files get lines wide enough that no column is folded away."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


def echo_json(value: Any) -> None:
    """Prints `value` (pydantic models welcome) as indented JSON on standard output, NaN as null."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def tell_skipped(entry: BrokenRecord) -> None:
    """One line on standard error about a file among the records that is none."""
    click.echo(f"note: skipped {entry.path}: {entry.reason}", err=True)


def run_command(command: click.Command) -> None:
    """Runs a script's click command.

    Bad input is one sentence on standard error and exit code 2, Ctrl-C exits with 130, what nobody foresaw with 70 and, where
    CVAUTOML_DEBUG=1 asks for it, a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal without Unicode shows ? where it has no character
            stream.reconfigure(errors="replace")
    try:
        code = command.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CvAutomlError as error:
        _refuse(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: what was finished is kept; run the same command again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _refuse(f"{place}{error.strerror or error}; check that it exists, may be used and has room")
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        _refuse(f"{what}; this is a bug: report it with what {DEBUG_VARIABLE}=1 shows", EXIT_BUG)


def _refuse(sentence: str, code: int = EXIT_BAD_INPUT) -> None:
    shown = printable(sentence)
    click.echo(f"error: {shown}", err=True)
    sys.exit(code)
