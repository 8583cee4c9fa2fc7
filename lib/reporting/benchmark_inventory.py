"""What the zoo holds: its backbones with their weights' whereabouts, and its heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from lib.config import Settings
from lib.errors import WeightsError
from lib.records import BackboneInfo
from lib.zoo.heads import HEADS

EXAMPLE_WIDTH = 384
EXAMPLE_CLASSES = 4
MISSING = "missing"


@dataclass(frozen=True)
class BackboneEntry:
    """A backbone and where its weights are: weights_dir, cache, hub, random, none needed, or missing (with the reason)."""

    info: BackboneInfo
    weights: str
    reason: str | None = None


@dataclass(frozen=True)
class HeadEntry:
    """A head; `example_parameters` for 384 features and 4 classes."""

    name: str
    tasks: tuple[str, ...]
    example_parameters: int
    can_finetune: bool
    description: str


def backbone_entries(settings: Settings) -> list[BackboneEntry]:
    """Every backbone of the curated list; nothing is downloaded."""
    from lib.zoo.backbones import backbone_names

    return [_backbone_entry(name, settings) for name in backbone_names()]


def _backbone_entry(name: str, settings: Settings) -> BackboneEntry:
    from lib.zoo.backbones import describe_backbone
    from lib.zoo.catalogue import entry_of

    try:
        info = describe_backbone(name, settings)
    except WeightsError as error:
        bare = describe_backbone(name, settings.override(weights="random"))
        entry = entry_of(name)
        pretraining = {
            "pretraining_data": entry.pretraining_data,
            "pretraining_method": entry.pretraining_method,
        }
        return BackboneEntry(bare.model_copy(update=pretraining), MISSING, str(error))
    return BackboneEntry(info, info.weights_origin)


def head_entries() -> list[HeadEntry]:
    """Every registered head."""
    return [_head_entry(name) for name in sorted(HEADS)]


def _head_entry(name: str) -> HeadEntry:
    head = HEADS[name]()
    return HeadEntry(
        name=name,
        tasks=head.tasks,
        example_parameters=head.parameters(EXAMPLE_WIDTH, EXAMPLE_CLASSES),
        can_finetune=head.can_finetune,
        description=(type(head).__doc__ or "").strip().splitlines()[0],
    )


def backbone_table(entries: Sequence[BackboneEntry]) -> Table:
    """Backbones for the terminal."""
    table = Table("backbone", "family", title="Backbones")
    for column in ("input", "width", "parameters", "GMACs"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("pretraining")
    table.add_column("weights")
    for entry in entries:
        info = entry.info
        table.add_row(
            info.name,
            info.family,
            f"{info.input_size_px} px",
            str(info.embedding_width),
            f"{info.parameters:,}",
            f"{info.flops / 1e9:.2f}",
            f"{info.pretraining_data}, {info.pretraining_method}",
            Text(entry.weights, {"missing": "red", "random": "bold red"}.get(entry.weights, "")),
        )
    return table


def head_table(entries: Sequence[HeadEntry]) -> Table:
    """Heads for the terminal."""
    table = Table("head", "tasks", title="Heads")
    table.add_column(f"parameters ({EXAMPLE_WIDTH} features, {EXAMPLE_CLASSES} classes)", justify="right")
    table.add_column("finetune")
    table.add_column("what it is")
    for entry in entries:
        finetune = "yes" if entry.can_finetune else "—"
        parameters = f"{entry.example_parameters:,}"
        table.add_row(entry.name, ", ".join(entry.tasks), parameters, finetune, Text(entry.description))
    return table
