"""Runs that must not be averaged: of one data set those on one division of the same images, of one cell those of one recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from lib.performance_prediction.boosting.cells import pair_of
from lib.records import RunRecord


def consistent_runs(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], tuple[str, ...]]:
    """The runs that may stand in one table, and a sentence for each sort that was left out.

    Of a data set: the images and the division that most pairs ran on. Of a pair on it: the recipe, weights and head's
    version that most data sets have for that pair, then the one with most folds. Ties: the newest.
    """
    divisions = [_division(run) for run in runs]
    pairs = Counter(kind for kind, _ in {(d, pair_of(run)) for d, run in zip(divisions, runs, strict=True)})
    divided = _of_one_kind(runs, [run.data_set.name for run in runs], divisions, pairs)
    recipes = [_recipe(run) for run in divided]
    sets = Counter(
        kind for kind, _ in {(r, run.data_set.name) for r, run in zip(recipes, divided, strict=True)}
    )
    kept = _of_one_kind(divided, [(run.data_set.name, pair_of(run)) for run in divided], recipes, sets)
    notes = [
        *_left_out(runs, divided, "on other images or another division than most pairs of their data set"),
        *_left_out(divided, kept, "of another recipe, other weights or another version of the head"),
    ]
    return kept, tuple(notes)


def _division(run: RunRecord) -> tuple[Hashable, ...]:
    return run.data_set.fingerprint, run.data_set.split, run.data_set.split_hash


def _recipe(run: RunRecord) -> tuple[Hashable, ...]:
    backbone = run.backbone
    recipe = run.recipe.model_dump_json()
    return pair_of(run), recipe, backbone.weights_hash, backbone.input_hash, run.head.version


def _of_one_kind(
    runs: Sequence[RunRecord], places: Sequence[Hashable], kinds: Sequence[Hashable], cover: Counter[Any]
) -> list[RunRecord]:
    """Of the runs of each place those of its best kind, in their order."""
    best: dict[Hashable, tuple[tuple[int, int, str], Hashable]] = {}
    for run, place, kind in zip(runs, places, kinds, strict=True):
        merit = (cover[kind], len(run.folds), run.environment.started_at)
        if place not in best or merit > best[place][0]:
            best[place] = merit, kind
    return [run for run, place, kind in zip(runs, places, kinds, strict=True) if kind == best[place][1]]


def _left_out(before: Sequence[RunRecord], after: Sequence[RunRecord], why: str) -> list[str]:
    if len(before) == len(after):
        return []
    kept = {id(run) for run in after}
    names = sorted({run.data_set.name for run in before if id(run) not in kept})
    shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    return [f"{len(before) - len(after)} runs left out, {why}: {shown}"]
