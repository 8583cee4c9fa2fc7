"""The options that name the cells of a sweep, shared by all commands that plan or run one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import (
    FILE,
    SEED,
    backbones_option,
    choice_option,
    data_sets_option,
    heads_option,
    names_of,
)

if TYPE_CHECKING:
    from lib.records.design import Design

DESIGNED = {"data_sets": ("--dataset", 0), "backbones": ("--backbone", 1), "heads": ("--head", 2)}
"""What a design names where the command line does not: option and place in its cells."""


def _seeds(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(SEED(text, option, context) for text in names_of(given))


def _design(context: click.Context, option: click.Parameter, path: Path | None) -> Design | None:
    from lib.records.design import read_design

    return None if path is None else read_design(path)


REQUEST_OPTIONS: tuple[Callable[..., Any], ...] = (
    data_sets_option(False, "Folder or name, with views (neu_cls@train10); comma separated or repeated; all."),
    backbones_option(False, "timm names or handcrafted; lists; all."),
    heads_option(False, "Heads, see `list`; lists; all that fit; `linear (fine-tuned)`."),
    click.option("--epochs", type=click.IntRange(min=1), help="Epochs [config: of the task's recipe, 10]."),
    click.option(
        "--seed", "seeds", multiple=True, default=("0",), show_default=True, callback=_seeds, help="Seeds; lists."
    ),
    click.option("--finetune", is_flag=True, help="Train the backbone too (default: frozen)."),
    choice_option("--split", "Cross-validation, or the set's own split for comparison with published figures.", "folds", "own"),
    click.option("--folds", type=click.IntRange(min=1), help="So many folds [all; fine-tuning and masks: 2]."),
    click.option("--design", type=FILE, callback=_design, help="Only the cells of this file of `design`, which names them."),
    click.option("--skip-failed", is_flag=True, help="Leave cells that failed before (default: try again)."),
)  # fmt: skip


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that name cells; the command receives one `request: Request` in their place."""

    @functools.wraps(command)
    def with_request(**kwargs: Any) -> Any:
        for name, (option, part) in DESIGNED.items():
            kwargs[name] = kwargs[name] or (kwargs["design"].names(part) if kwargs["design"] else ())
            if not kwargs[name]:
                raise click.MissingParameter(param_hint=f"'{option}'", param_type="option")
        from lib.benchmark.selection import Request  # imports torch

        request = Request(**{field.name: kwargs.pop(field.name) for field in fields(Request)})
        return command(request=request, **kwargs)

    return functools.reduce(lambda done, option: option(done), reversed(REQUEST_OPTIONS), with_request)
