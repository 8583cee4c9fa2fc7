"""What a pair costs on a data set of a given size, from run records of one device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import median

from lib.performance_prediction.boosting.cells import Pair, pair_of
from lib.performance_prediction.boosting.evidence import Evidence
from lib.recommendation.answer import Cost
from lib.records import DataSetFacts, RunRecord
from lib.records.costs import Rates, usual_device
from lib.records.schema import head_of


class CostBook:
    """Costs of pairs, from the runs of `evidence` on the device that most of them ran on.

    A pair that no run has is put together from other runs of its backbone and of its head.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.device = usual_device(evidence.runs) or "unknown"
        self._epoch = evidence.epoch
        self._of: defaultdict[Pair | str, list[RunRecord]] = defaultdict(list)
        for run in evidence.runs:
            for name in (pair_of(run), run.backbone.name, pair_of(run).head):
                self._of[name].append(run)
        self._rates = Rates.of(evidence.runs, self.device)

    def cost(self, pair: Pair, facts: DataSetFacts) -> Cost:
        """Cost of one pair on the data set described by `facts`."""
        of_backbone, own = self._of[pair.backbone], self._of[pair]
        of_head = own or self._of[pair.head]
        timed = [run for run in own or of_backbone if run.environment.device == self.device]
        backbone = of_backbone[0].backbone.parameters if of_backbone else 0
        return Cost(
            parameters=backbone + round(median([run.head.parameters for run in of_head] or [0])),
            latency_ms=_median(timed, lambda r: r.latency.batch1_median_ms if r.latency else None),
            latency32_ms=_median(timed, lambda r: r.latency.batch32_median_ms if r.latency else None),
            training_s=self._training_s(pair, facts),
            device=self.device,
        )

    def _training_s(self, pair: Pair, facts: DataSetFacts) -> float | None:
        """Seconds to compute the features of all images once and to train the head on one training part."""
        n_images = facts.meta_features.get("n_images")
        if n_images is None:
            return None
        head, finetune = head_of(pair.head)
        n_train = int(facts.meta_features.get("n_train", n_images))
        training = self._rates.training_s(head, finetune, pair.backbone, n_train, self._epoch)
        reads_features = not finetune and any(run.timing.features_images for run in self._of[pair.head])
        features = self._rates.features_s(pair.backbone, int(n_images)) if reads_features else 0.0
        return None if training is None or features is None else features + training


def _median(runs: Iterable[RunRecord], value: Callable[[RunRecord], float | None]) -> float | None:
    values = [v for run in runs if (v := value(run)) is not None]
    return float(median(values)) if values else None
