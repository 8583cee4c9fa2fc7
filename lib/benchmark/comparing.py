"""Trains every head on the folds of one data set and keeps what each answered for every tested image; writes no record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lib.benchmark.cell_run import Bench, job_of, train_folds
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell
from lib.benchmark.prepare import DEAR_FOLDS, cells_of
from lib.benchmark.selection import Request, select
from lib.config import Settings
from lib.errors import CvAutomlError
from lib.zoo.comparison import REFERENCE, Answered, Comparison
from lib.zoo.devices import choose_device, choose_precision, set_threads
from lib.zoo.heads import HEADS, TrainingResult
from lib.zoo.latency import backbone_latency, head_latency, together
from lib.zoo.metrics import labels_of
from lib.zoo.pairing import incompatibility


def compared(request: Request, settings: Settings, listener: Listener) -> Comparison:
    """Every head of the request on every backbone, and fine-tuned beside frozen where the request says so; `linear`, what all are
    measured against, always among them.

    What cannot be compared is left out with a sentence. Raises CvAutomlError for wrong names, for masks and where nothing is left.
    """
    heads = tuple(dict.fromkeys((REFERENCE, *request.heads)))
    folds = request.folds or (DEAR_FOLDS if request.finetune else None)
    frozen = replace(request, heads=heads, finetune=False, folds=folds)
    selection = select(frozen, settings)
    if len(selection.data_sets) != 1:
        raise CvAutomlError("heads are compared on one data set: name one with --dataset")
    data_set = selection.data_sets[0].data_set
    labels = labels_of(data_set)
    set_threads(settings.threads)
    answered: list[Answered] = []
    left_out, rows = [*selection.left_out], None
    bench: Bench | None = None
    precision = choose_precision(settings.precision, choose_device(settings.device))
    cells = list(cells_of(selection, settings, precision))
    if request.finetune:
        tuned = replace(selection, request=replace(frozen, finetune=True))
        cells += [c for c in cells_of(tuned, settings, precision) if HEADS[c.head].can_finetune]
    for cell in cells:
        if bench is None or bench.backbone_name != cell.backbone.name:
            bench = Bench(data_set, cell.backbone.name, settings)
        try:
            if reason := incompatibility(cell.data_set, cell.backbone, cell.head, cell.recipe.finetune):
                raise CvAutomlError(reason)
            rows, one = _answered(cell, bench, listener)
        except CvAutomlError as error:
            left_out.append(f"{cell.backbone.name} × {cell.column}: {error}")
            continue
        answered.append(one)
    if rows is None:
        raise CvAutomlError(f"nothing to compare on '{data_set.name}': " + "; ".join(left_out))
    return Comparison(selection.data_sets[0].info, labels[rows], tuple(answered), tuple(left_out))


def _answered(cell: Cell, bench: Bench, listener: Listener) -> tuple[np.ndarray, Answered]:
    """The positions of the tested images in the order of the folds, and what was answered for them."""
    listener.cell_starts(cell)
    folds, _ = train_folds(
        cell, job_of(cell, bench, choose_device(bench.settings.device), listener), listener
    )
    answers = [one.result.answers for one in folds]
    if any(one is None for one in answers):
        raise CvAutomlError(f"'{cell.column}' does not tell what it answered for each image")
    rows = np.concatenate([one.data_set.indices("test") for one in folds])
    found = np.concatenate([one.argmax(axis=1) for one in answers if one is not None])
    return rows, _timed(cell, bench, folds[0].result, found)


def _timed(cell: Cell, bench: Bench, result: TrainingResult, answers: np.ndarray) -> Answered:
    alone = result.predict and head_latency(cell.backbone.embedding_width, result.predict)
    whole = together(backbone_latency(bench.backbone, bench.settings.cache_dir), alone) if alone else None
    return Answered(cell.backbone, cell.column, result.parameters, answers, alone or None, whole)
