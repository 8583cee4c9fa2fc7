"""The course of a fit: fact sheet, prediction, search within the budget, choice, training again, one measurement, the files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib.config import Settings
from lib.datasets import load_data_set
from lib.datasets.loading import locate
from lib.errors import CvAutomlError, TooLittleDataError
from lib.features.fact_sheet import FactSheet, fact_sheet
from lib.files import short_hash
from lib.fit.candidates import Chosen, chosen_of
from lib.fit.division import Division, divided
from lib.fit.hearing import Hearing, Watch
from lib.fit.networks import Latencies, networks, within
from lib.fit.place import Place, State, require_place
from lib.fit.request import Request
from lib.fit.search import Search
from lib.recommendation.budget_policy import BudgetPolicy
from lib.records import RecordStore
from lib.records.costs import Rates
from lib.records.intervals import NORMAL_95
from lib.records.schema import Metric, Task
from lib.zoo.devices import choose_device, device_name, set_threads
from lib.zoo.upscaling import LEARNED

FINISH_S = 10.0  # what choice, export and report take on one slow core, found by running them
FINISH_SHARE = 0.06
MOST_FINISH = 0.35  # of the budget
# A budget is shared by so many networks at most: seconds of it for each.
NETWORK_S: dict[Task, float] = {"classification": 12.0, "segmentation": 60.0}
FEWEST = 2


@dataclass
class Fit:
    """A fit that is going on. `clock`: seconds that pass; `began`: when this run did; `before_s`: spent by earlier runs."""

    request: Request
    settings: Settings
    place: Place
    division: Division
    metric: Metric
    sheet: FactSheet
    watch: Watch
    clock: Callable[[], float]
    began: float
    search: Search | None = None
    latencies: Latencies = field(default_factory=lambda: Latencies(Settings()))
    policy: BudgetPolicy | None = None
    predicted: tuple[dict[str, Any], ...] = ()
    warnings: list[str] = field(default_factory=list)
    before_s: float = 0.0
    interrupted: bool = False

    @property
    def place_settings(self) -> Settings:
        """Settings whose records are those of OUT."""
        return self.settings.override(runs_dir=self.place.records)

    def spent(self) -> float:
        """Seconds of the budget so far, those of earlier runs of the same command included."""
        return self.before_s + self.clock() - self.began

    @property
    def finish_s(self) -> float:
        """What follows the search, beside training the chosen pairs again: test, export, report."""
        return min(FINISH_S + FINISH_SHARE * self.request.budget_s, MOST_FINISH * self.request.budget_s)


def begun(
    request: Request,
    settings: Settings,
    watch: Watch,
    clock: Callable[[], float] = time.perf_counter,
    began: float | None = None,
) -> Fit:
    """Reads the folder, puts the test part aside, and looks at the rest. Raises CvAutomlError, one sentence, for a folder that
    nothing can be fitted to and an OUT that cannot be used."""
    began = clock() if began is None else began
    if settings.upscale == LEARNED:
        raise CvAutomlError(f"upscale: {LEARNED} cannot be handed over with a model: choose another upscale")
    root, _ = locate(request.folder, settings)
    require_place(request.out, root)
    set_threads(settings.threads)
    watch.status("reading the images")
    data_set = load_data_set(request.folder, settings, unlabelled=True)
    division = divided(data_set, request.test_fold)
    metric = request.metric_of(data_set.task)
    test_part = short_hash("\n".join(data_set.files[i] for i in division.test))
    state = State(
        data_set=data_set.name, fingerprint=data_set.fingerprint, test_part=test_part, seed=request.seed
    )
    place = Place.opened(request.out, state)
    place.keep(place.state.spent_s)
    watch.line(f"{data_set.name}: {len(data_set.used)} images; put aside to test on: {division.told}")
    watch.status("looking at the images")
    sheet = fact_sheet(division.inner, settings.split.near_duplicate_bits)
    for sentence in sheet.analysis.conclusions:
        watch.line(f"  {sentence}")
    before = place.state.spent_s
    return Fit(request, settings, place, division, metric, sheet, watch, clock, began, before_s=before)


def prepare(fit: Fit) -> None:
    """Finds the networks, reads the records of other data sets, and predicts from them."""
    own = fit.place_settings
    fit.latencies = Latencies(own)
    fit.watch.status("finding networks")
    each = NETWORK_S[fit.division.inner.task]
    found = within(
        networks(fit.request.backbones, own, max(FEWEST, int(fit.request.budget_s / each))),
        fit.latencies,
        fit.request.max_latency_ms,
        fit.request.max_parameters,
    )
    fit.warnings += [
        f"RANDOM WEIGHTS, never trained: {one.name}" for one in found if one.weights_origin == "random"
    ]
    fit.watch.status("predicting from what other data sets taught")
    store = RecordStore(fit.settings.runs_dir)
    known, facts = store.read_all(("finished",))[0], store.read_facts()[0]
    info = fit.division.inner.info()
    facts[info.name] = fit.sheet.facts
    fit.policy = BudgetPolicy(known, facts, fit.settings.related_data_sets, fit.metric)
    hearing = Hearing(fit.place, fit.metric, fit.spent, fit.request.budget_s - fit.finish_s, fit.watch)
    rates = Rates.of(known, device_name(choose_device(own.device)), set_threads(own.threads))
    fit.search = Search(fit.division.inner, found, own, rates, fit.policy, hearing, fit.request.seed)
    fit.search.store.write_facts(fit.sheet.facts)
    fit.predicted = tuple(predicted_rows(fit))
    fit.warnings += fit.policy.reasons
    _tell_prediction(fit)


def predicted_rows(fit: Fit) -> list[dict[str, Any]]:
    """Every pair that could be run here, as the records of other data sets predict it, the best first."""
    assert fit.policy and fit.search
    names = {one.name for one in fit.search.networks}
    rows = [one for one in fit.policy.expected(fit.search.info, []) if one.pair.backbone in names]
    return [
        {
            "rank": rank,
            "backbone": one.pair.backbone,
            "head": one.pair.head,
            "quality": one.quality,
            "low": one.low,
            "high": one.high,
            "basis": "predicted",
            "evidence": "predicted from runs on other data sets",
        }
        for rank, one in enumerate(rows, 1)
    ]


def _tell_prediction(fit: Fit) -> None:
    if fit.predicted:
        first = fit.predicted[0]
        fit.watch.line(
            f"predicted best: {first['backbone']} × {first['head']}, {fit.metric} {first['quality']:.3f} "
            f"({first['low']:.3f} to {first['high']:.3f})"
        )


def searched(fit: Fit) -> None:
    """Runs pairs until time is up or nothing promising is left; Ctrl-C ends the search and keeps what it found."""
    assert fit.search
    try:
        fit.search.run(fit.request.finetune)
    except KeyboardInterrupt:
        fit.interrupted = True
        fit.search.stopped = "interrupted"
        if not fit.search.finished():
            raise
    finally:
        fit.place.keep(fit.spent())
    fit.watch.line(f"searched for {fit.spent():.0f} s: {fit.search.stopped}")


def chosen(fit: Fit) -> Chosen:
    """The model to hand over; raises TooLittleDataError where nothing was finished, with the reason."""
    assert fit.search
    fit.watch.status("choosing")
    found = chosen_of(fit.search, fit.place, fit.latencies, fit.request, fit.metric)
    if found is not None:
        interval = "" if found.error is None else f" ± {NORMAL_95 * found.error:.4f}"
        quality = (
            "" if found.quality is None else f"; {fit.metric} on the folds {found.quality:.4f}{interval}"
        )
        fit.watch.line(f"chosen: {found.name}, {found.reason}{quality}")
        return found
    failed = [one.reason for one in fit.search.store.read_all(("failed", "incompatible"))[0] if one.reason]
    if failed:
        raise CvAutomlError(f"no pair could be trained on {fit.search.info.name}: {failed[0]}")
    raise TooLittleDataError(
        f"nothing was finished in {fit.request.budget_s:.0f} s: {fit.search.stopped or 'the time is up'}; give more with --budget"
    )


def oof_answers(fit: Fit, found: Chosen, tested: Any) -> Any:
    """Answers (n_files, n_classes) to every image by models that had not seen it: out of fold, and of the handed-over model to
    the test part. None for masks."""
    if found.candidate is None:
        return None
    answers = found.candidate.answers.copy()
    if tested is not None:
        answers[fit.division.test] = tested
    return answers


def parts_of(division: Division) -> Any:
    """`folds` for images that were answered out of fold, `test`, `unused`."""
    final = division.final.parts
    return np.where(final == "train", "folds", final)
