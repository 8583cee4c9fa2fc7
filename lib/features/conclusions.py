"""What follows from a fact sheet, in a few sentences computed from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lib.features.analysis import PLACES, Analysis
from lib.records.metrics_advice import FEW_IMAGES
from lib.records.schema import DataSetFacts

RARE_SHARE = 0.25
"""Of the mean class: a smaller one is called rare."""

SMALL_DEFECT = 0.005
LIGHT_TELLS = 0.25
NAMES_TOLD = 6


def conclusions_of(
    facts: DataSetFacts,
    counts: Sequence[tuple[str, int]],
    near_duplicates: tuple[int, int],
    analysis: Analysis,
) -> tuple[str, ...]:
    """Sentences about classes and metric, duplicates, defects, light and augmentation, as far as they apply.

    `counts`: images a class; `near_duplicates`: images, in groups.
    """
    return tuple(
        sentence
        for part in (
            _classes(facts, counts),
            _alike(analysis, *near_duplicates),
            _defects(analysis),
            _light(analysis),
            _augmentation(analysis),
        )
        for sentence in part
    )


def _classes(facts: DataSetFacts, counts: Sequence[tuple[str, int]]) -> Iterator[str]:
    if not counts:
        return
    mean = sum(n for _, n in counts) / len(counts)
    rare = [
        f"{name} ({n} images)" for name, n in counts if n < max(RARE_SHARE * mean, min(FEW_IMAGES, mean / 2))
    ]
    first = (
        f"Rare: {_list(rare)}"
        if rare
        else f"No class is rare ({min(n for _, n in counts)} to {max(n for _, n in counts)} images)"
    )
    yield f"{first}; trust {facts.trusted_metric}: {facts.trusted_because}."


def _alike(analysis: Analysis, images: int, groups: int) -> Iterator[str]:
    if images:
        yield f"{images} images have near-duplicates ({groups} groups); folds keep them on one side."
    if analysis.conflicts:
        files = sum(len(one.files) for one in analysis.conflicts)
        first = analysis.conflicts[0]
        example = ", ".join(
            f"{file} is {name}" for file, name in zip(first.files[:2], first.classes, strict=False)
        )
        yield f"{files} images that look alike are labelled differently (e.g. {example}): look at them before training."


def _defects(analysis: Analysis) -> Iterator[str]:
    small = [f"{one.name} ({100 * one.median:.2g} %)" for one in analysis.sizes if one.median < SMALL_DEFECT]
    if small:
        yield f"Half of the defects cover less than 0.5 % of the image in {_list(small)}: small inputs will lose them."
    if analysis.places:
        fields = np.sort(np.array(analysis.places).ravel())[::-1]
        share = fields[: PLACES * PLACES // 10].sum() / max(fields.sum(), 1e-12)
        where = "lie in preferred places" if share > 0.25 else "lie anywhere"
        yield f"Defects {where}: the busiest tenth of the image holds {100 * share:.0f} % of their area."
    counts = np.array(analysis.together)
    if len(counts) > 1:
        apart = np.triu(counts, 1)
        i, j = np.unravel_index(int(apart.argmax()), apart.shape)
        if apart[i, j]:
            names = [one.name for one in analysis.sizes]
            pair = (
                f"{names[i]} and {names[j]}" if len(names) == len(counts) else f"classes {i + 1} and {j + 1}"
            )
            yield f"Classes share images: {pair} meet in {apart[i, j]}, the most of all pairs."
        else:
            yield "No image holds two classes."


def _light(analysis: Analysis) -> Iterator[str]:
    if analysis.light_ratio is not None and analysis.light_ratio > LIGHT_TELLS:
        dark, bright = (pick(analysis.light, key=lambda one: one.mean) for pick in (min, max))
        yield (
            f"Brightness alone tells classes apart (η² {analysis.light_ratio:.2f}; {dark.name} {dark.mean:.2f}, "
            f"{bright.name} {bright.mean:.2f}): make sure that it is the object, not the camera."
        )


def _augmentation(analysis: Analysis) -> Iterator[str]:
    by_verdict = {
        verdict: [one for one in analysis.augmentations if one.verdict == verdict]
        for verdict in ("safe", "harmful", "unclear")
    }
    told = {
        "safe": [one.name for one in by_verdict["safe"]],
        "harmful": [f"{one.name} ({100 * (one.with_copies - one.without):+.1f} points)" for one in by_verdict["harmful"]],
        "unclear": [one.name for one in by_verdict["unclear"]],
    }  # fmt: skip
    parts = [f"{verdict}: {_list(names)}" for verdict, names in told.items() if names]
    if parts:
        yield f"Augmentation, by a quick classifier trained with and without changed copies: {'; '.join(parts)}."


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(names[:NAMES_TOLD]) + more
