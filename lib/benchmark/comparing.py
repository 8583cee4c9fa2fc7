"""Trains every head on the folds of one data set and keeps what each answered for every tested image; writes no record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lib.benchmark.cell_run import Bench, job_of, train_folds
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell
from lib.benchmark.prepare import DEAR_FOLDS, prepared
from lib.benchmark.selection import Request
from lib.config import Settings
from lib.errors import CvAutomlError
from lib.zoo.comparison import REFERENCE, Answered, Comparison
from lib.zoo.devices import choose_device
from lib.zoo.heads import HEADS, TrainingResult
from lib.zoo.latency import HEAD_BUDGET_S, backbone_latency, head_latency, together
from lib.zoo.metrics import labels_of


def compared(request: Request, settings: Settings, listener: Listener) -> Comparison:
    """Every head of the request on every backbone, and fine-tuned beside frozen where the request says so; `linear`, what all are
    measured against, always among them.

    What cannot be compared is left out with a sentence. Raises CvAutomlError for wrong names, for masks and where nothing is left.
    """
    heads = tuple(dict.fromkeys((REFERENCE, *request.heads)))
    folds = request.folds or (DEAR_FOLDS if request.finetune else None)
    frozen = replace(request, heads=heads, finetune=False, folds=folds)
    sweep = prepared(frozen, settings)
    if len(sweep.selection.data_sets) != 1:
        raise CvAutomlError("heads are compared on one data set: name one with --dataset")
    chosen = sweep.selection.data_sets[0]
    labels = labels_of(chosen.data_set)
    planned = [*sweep.plan.cells]
    if request.finetune:
        tuned = prepared(replace(frozen, finetune=True), settings).plan.cells
        planned += [one for one in tuned if HEADS[one.cell.head].can_finetune]
    answered: list[Answered] = []
    left_out, rows = [*sweep.selection.left_out], None
    bench: Bench | None = None
    for one in planned:
        cell = one.cell
        if bench is None or bench.backbone_name != cell.backbone.name:
            bench = Bench(chosen.data_set, cell.backbone.name, settings)
        try:
            if one.state == "incompatible":
                raise CvAutomlError(one.reason or "")
            rows, found = _answered(cell, bench, listener)
        except CvAutomlError as error:
            left_out.append(f"{cell.backbone.name} × {cell.column}: {error}")
            continue
        answered.append(found)
    if rows is None:
        raise CvAutomlError(f"nothing to compare on '{chosen.info.name}': " + "; ".join(left_out))
    return Comparison(chosen.info, labels[rows], tuple(answered), tuple(left_out))


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
    alone = result.predict and head_latency(cell.backbone.embedding_width, result.predict, 3 * HEAD_BUDGET_S)
    whole = together(backbone_latency(bench.backbone, bench.settings.cache_dir), alone) if alone else None
    return Answered(cell.backbone, cell.column, result.parameters, answers, alone or None, whole)
