"""The cells that a design may draw from: those of a request that can work."""

from __future__ import annotations

from lib.benchmark.prepare import cells_of
from lib.benchmark.selection import Request, select
from lib.config import Settings
from lib.records.design import DesignCell
from lib.zoo.pairing import incompatibility


def possible_cells(request: Request, settings: Settings) -> list[DesignCell]:
    """Raises CvAutomlError that lists every wrong name."""
    return [
        DesignCell(cell.data_set.name, cell.backbone.name, cell.column)
        for cell in cells_of(select(request, settings), settings, "fp32")
        if not incompatibility(cell.data_set, cell.backbone, cell.head, cell.recipe.finetune)
    ]
