"""What a pair costs on a data set of a given size, from the times that run records hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from lib.performance_prediction.boosting.evidence import Evidence, Pair, pair_of
from lib.recommendation.answer import Cost
from lib.records import DataSetFacts, RunRecord


class CostBook:
    """Costs of pairs, from the runs of `evidence`.

    A pair that no run has is put together from other runs of its backbone and of its head. Computing features takes
    time by the image, training a head by the training image: medians over runs, scaled.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._runs = evidence.runs

    def cost(self, pair: Pair, facts: DataSetFacts) -> Cost:
        """Cost of one pair on the data set described by `facts`."""
        own = [run for run in self._runs if pair_of(run) == pair]
        of_backbone = [run for run in self._runs if run.backbone.name == pair.backbone]
        of_head = own or [run for run in self._runs if pair_of(run).head == pair.head]
        timed = own or of_backbone
        return Cost(
            parameters=of_backbone[0].backbone.parameters + round(median(r.head.parameters for r in of_head)),
            latency_ms=_median(timed, lambda r: r.latency.batch1_median_ms if r.latency else None),
            latency32_ms=_median(timed, lambda r: r.latency.batch32_median_ms if r.latency else None),
            training_s=_training_s(of_backbone, of_head, facts),
            device=", ".join(sorted({run.environment.device for run in timed})),
        )


def _training_s(of_backbone: list[RunRecord], of_head: list[RunRecord], facts: DataSetFacts) -> float | None:
    n_images = facts.meta_features.get("n_images")
    if n_images is None:
        return None
    n_train = facts.meta_features.get("n_train", n_images)
    features = _median(of_backbone, lambda r: r.timing.features_s / max(r.data_set.n_images, 1))
    training = _median(of_head, lambda r: r.timing.training_s / max(r.data_set.n_train, 1))
    if features is None or training is None:
        return None
    return features * n_images + training * n_train


def _median(runs: Iterable[RunRecord], value: Callable[[RunRecord], float | None]) -> float | None:
    values = [v for run in runs if (v := value(run)) is not None]
    return float(median(values)) if values else None
