"""From this fit's records to a choice: classes by their answers to each image, masks by their quality and its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lib.fit.choice import Candidate, Choice, choose
from lib.fit.hearing import pair_name
from lib.fit.networks import Latencies
from lib.fit.place import Place
from lib.fit.request import Request
from lib.fit.search import Search
from lib.records import RunRecord
from lib.records.schema import Metric
from lib.zoo.metrics import ranking_metrics, standard_errors


@dataclass(frozen=True)
class Chosen:
    """What is to be handed over. `quality`: of the folds, with its standard error; `names`: the equals, the cheapest first."""

    records: tuple[RunRecord, ...]
    name: str
    temperatures: tuple[float, ...]
    reason: str
    quality: float | None
    error: float | None
    equals: tuple[str, ...]
    latency_ms: float
    candidate: Candidate | None = None


def chosen_of(
    search: Search, place: Place, latencies: Latencies, request: Request, metric: Metric
) -> Chosen | None:
    """Out of everything that finished; None where nothing did, or nothing within the limits."""
    records = [one for one in search.finished() if one.quality(metric=metric) is not None]
    limit = request.max_parameters
    allowed = [
        one for one in records if limit is None or one.backbone.parameters + one.head.parameters <= limit
    ]
    if not allowed:
        return None
    if search.data_set.task == "segmentation":
        return _of_masks(allowed, latencies, metric)
    return _of_classes(allowed, search, place, latencies, request, metric)


def _of_masks(records: Sequence[RunRecord], latencies: Latencies, metric: Metric) -> Chosen:
    """The cheapest of those within half a standard error of the best: the same images are asked, so that the error of a
    difference is smaller than that of a quality."""
    quality = {one.key: one.quality(metric=metric) or 0.0 for one in records}
    best = max(records, key=lambda one: quality[one.key])
    slack = 0.5 * (best.standard_error(metric) or 0.0)
    equals = [one for one in records if quality[one.key] >= quality[best.key] - slack]
    equals.sort(key=lambda one: (latencies.of(one.backbone), one.head.parameters))
    first = equals[0]
    told = f"the cheapest of {len(equals)} that cannot be told from {pair_name(best)}"
    return Chosen(
        (first,),
        pair_name(first),
        (1.0, 1.0),
        told if len(equals) > 1 else "the best on the folds",
        quality[first.key],
        first.standard_error(metric),
        tuple(map(pair_name, equals)),
        latencies.of(first.backbone),
    )


def _of_classes(
    records: Sequence[RunRecord],
    search: Search,
    place: Place,
    latencies: Latencies,
    request: Request,
    metric: Metric,
) -> Chosen | None:
    data_set = search.data_set
    assert data_set.labels is not None
    frozen = {one.backbone.name: one for one in records if not one.recipe.finetune}
    singles = []
    for one in records:
        answers = place.read_answers(one.key, len(data_set), len(data_set.classes))
        if answers is None:
            continue
        cost = (
            latencies.of(one.backbone, frozen.get(one.backbone.name)),
            one.backbone.parameters + one.head.parameters,
        )
        singles.append(Candidate(pair_name(one), (one.key,), answers, *cost, network=one.backbone.name))
    if not singles:
        return None
    limits = request.max_latency_ms, request.max_parameters
    choice = choose(singles, data_set.labels, metric, *limits)
    return _told(choice, records, data_set.labels, metric)


def _told(choice: Choice, records: Sequence[RunRecord], labels: object, metric: Metric) -> Chosen:
    import numpy as np

    one, by_key = choice.chosen, {record.key: record for record in records}
    known = one.known
    truth = np.asarray(labels)[known]
    return Chosen(
        tuple(by_key[key] for key in one.keys),
        one.name,
        one.temperatures if len(one.keys) > 1 else (one.temperatures[0], 1.0),
        choice.reason,
        ranking_metrics(truth, one.answers[known]).get(metric),
        standard_errors(truth, one.answers[known]).get(metric),
        tuple(c.name for c in choice.equals),
        one.latency_ms,
        one,
    )
