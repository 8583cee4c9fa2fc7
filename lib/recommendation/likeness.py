"""Which known data sets look like the new one, and whether it is unlike all of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lib.performance_prediction.boosting.evidence import Evidence
from lib.performance_prediction.boosting.similarity import feature_space, feature_table, spanned
from lib.recommendation.answer import SimilarSet
from lib.records import DataSetFacts

MOST_SIMILAR = 3


def likeness(evidence: Evidence, new: DataSetFacts) -> tuple[tuple[SimilarSet, ...], list[str]]:
    """The nearest known families, nearest first, without the very same data set and its relatives; and a sentence where the
    new one is farther from all of them than any known original is from the sets of other families."""
    own = evidence.own_families(new) | {new.parent or new.name}
    known = {n: facts for n, facts in sorted(evidence.facts.items()) if evidence.families[n] not in own}
    space = feature_space(known)
    distances = space.distances(new) if known else {}
    nearest: dict[str, str] = {}
    for name in sorted(distances, key=distances.__getitem__):
        nearest.setdefault(evidence.families[name], name)
    similar = tuple(_similar(evidence, name, distances[name]) for name in [*nearest.values()][:MOST_SIMILAR])
    among = _largest_gap(evidence, known) if similar else None
    if among is None or similar[0].distance <= among:
        return similar, []
    odd = space.odd_features(new)[:3]
    why = f"; most unusual: {', '.join(name.replace('_', ' ') for name in odd)}" if odd else ""
    return similar, [
        f"these images are unlike every known data set: the nearest, {similar[0].name}, is {similar[0].distance:.2f} away, "
        f"no known set was farther than {among:.2f} from the others when it was new{why}; the numbers may be far off"
    ]


def _similar(evidence: Evidence, name: str, distance: float) -> SimilarSet:
    best = max((c for c in evidence.cells if c.data_set == name), key=lambda cell: cell.chosen_by)
    return SimilarSet(
        name=name,
        domain=evidence.facts[name].domain,
        distance=round(distance, 3),
        best_pair=best.pair.label,
        best_quality=round(best.quality, 4),
    )


def _largest_gap(evidence: Evidence, known: Mapping[str, DataSetFacts]) -> float | None:
    """The largest distance of a known original from the nearest set of another family, seen as a new one: the space is
    spanned by the others alone. None with fewer than three families."""
    names, features, values = feature_table(known)
    families = np.array([evidence.families[name] for name in names])
    gaps = []
    for family in {*families.tolist()} if len({*families.tolist()}) > 2 else ():
        rest = families != family
        space = spanned([names[i] for i in np.flatnonzero(rest)], features, values[rest])
        own = (known[names[i]] for i in np.flatnonzero(~rest))
        gaps += [min(apart.values()) for facts in own if (apart := space.distances(facts))]
    return max(gaps, default=None)
