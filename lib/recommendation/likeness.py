"""Which known data sets look like the new one, and whether it is unlike all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.boosting.cells import Cell
from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.similarity import feature_space
from lib.recommendation.answer import SimilarSet
from lib.records import DataSetFacts

MOST_SIMILAR = 3


@dataclass(frozen=True)
class Likeness:
    """`similar`: nearest known families, nearest first. `unlike`: a sentence where the new set is farther from all of
    them than any known one is from its own nearest relative-free neighbour; None where it is not."""

    similar: tuple[SimilarSet, ...]
    unlike: str | None


def likeness(evidence: Evidence, new: DataSetFacts) -> Likeness:
    """Compares `new` with the data sets of `evidence`; the very same data set and its relatives are left out."""
    same = {run.data_set.name for run in evidence.runs if run.data_set.fingerprint == new.fingerprint}
    own_families = {evidence.families[name] for name in same} | {new.parent or new.name}
    known = {
        name: evidence.facts[name]
        for name in evidence.data_sets
        if name in evidence.facts and evidence.families[name] not in own_families
    }
    if not known:
        return Likeness((), None)
    distances = {n: d for n, d in feature_space(known).distances(new).items() if np.isfinite(d)}
    similar = _nearest_families(evidence, known, distances)
    return Likeness(similar, _unlike(evidence, known, new, similar))


def _nearest_families(
    evidence: Evidence, known: Mapping[str, DataSetFacts], distances: Mapping[str, float]
) -> tuple[SimilarSet, ...]:
    nearest: dict[str, str] = {}
    for name in sorted(distances, key=distances.__getitem__):
        nearest.setdefault(evidence.families[name], name)
    similar = []
    for name in list(nearest.values())[:MOST_SIMILAR]:
        best = max((c for c in evidence.cells if c.data_set == name), key=_chosen_by)
        similar.append(
            SimilarSet(
                name=name,
                domain=known[name].domain,
                distance=round(distances[name], 3),
                best_pair=best.pair.label,
                best_quality=round(best.quality, 4),
            )
        )
    return tuple(similar)


def _chosen_by(cell: Cell) -> float:
    return cell.quality if cell.validation is None else cell.validation


def _unlike(
    evidence: Evidence,
    known: Mapping[str, DataSetFacts],
    new: DataSetFacts,
    similar: tuple[SimilarSet, ...],
) -> str | None:
    among = _largest_gap(evidence, known)
    if not similar or among is None or similar[0].distance <= among:
        return None
    odd = feature_space(known).odd_features(new)[:3]
    why = f"; most unusual: {', '.join(name.replace('_', ' ') for name in odd)}" if odd else ""
    return (
        f"these images are unlike every known data set: the nearest, {similar[0].name}, is {similar[0].distance:.2f} away, "
        f"no known set was farther than {among:.2f} from the others when it was new{why}; the numbers may be far off"
    )


def _largest_gap(evidence: Evidence, known: Mapping[str, DataSetFacts]) -> float | None:
    """The largest distance of a known original from the nearest set of another family, seen as a new one: the space is
    spanned by the others alone. None with fewer than three families."""
    families = {name: evidence.families[name] for name in known}
    if len(set(families.values())) < 3:
        return None
    gaps = []
    for family in sorted(set(families.values())):
        own = {name: facts for name, facts in known.items() if families[name] == family}
        space = feature_space({name: facts for name, facts in known.items() if families[name] != family})
        for facts in own.values():
            distances = [d for d in space.distances(facts).values() if np.isfinite(d)]
            gaps += [min(distances)] if distances else []
    return max(gaps) if gaps else None
