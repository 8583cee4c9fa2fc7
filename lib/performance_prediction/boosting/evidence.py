"""Which runs count: finished ones of one task, metric and epoch; real images and pretrained weights before substitutes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lib.config import Settings
from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.cells import (
    MASK_PROBE_PAIRS,
    PROBE_PAIRS,
    Cell,
    Pair,
    cells_of,
    consistent_runs,
    nothing_to_tune,
    pair_of,
)
from lib.performance_prediction.boosting.views import View, parted_views, views_of
from lib.records import CHANCE_HEAD, BrokenRecord, DataSetFacts, RecordStore, RunRecord
from lib.records.index import read_for_answers
from lib.records.schema import METRICS, PRIMARY_METRIC, Metric, Task
from lib.registry import unknown_name

__all__ = [
    "Cell",
    "Evidence",
    "Pair",
    "families_of",
    "family_of",
    "gather_evidence",
    "pair_of",
    "read_evidence",
]


@dataclass(frozen=True)
class Evidence:
    """The runs that an answer rests on, already averaged into cells, and the facts of their data sets.

    `families`: data set name → name of the original it comes from (related originals share one name). `incompatible`: pairs
    that cannot work, with the reason, and that no run shows to work. `left_out`: one sentence for each kind of run that was
    not used, and why. `probed`: the pairs that are measured on a new set before it is asked about;
    `views`: cells on parts of training sets.
    """

    epoch: int
    task: Task
    metric: Metric
    domains: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    cells: tuple[Cell, ...]
    families: Mapping[str, str]
    facts: Mapping[str, DataSetFacts]
    incompatible: Mapping[Pair, str]
    left_out: tuple[str, ...]
    probed: tuple[Pair, ...] = PROBE_PAIRS
    views: tuple[View, ...] = ()

    @property
    def domain(self) -> str | None:
        """The domains it was asked for, in words; None for all."""
        return ", ".join(self.domains) or None

    @cached_property
    def data_sets(self) -> tuple[str, ...]:
        """Names of the data sets with at least one cell, sorted."""
        return tuple(sorted({cell.data_set for cell in self.cells}))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs with at least one cell, sorted."""
        return tuple(sorted({cell.pair for cell in self.cells}))

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """Qualities (n_data_sets, n_pairs), NaN where not measured."""
        of = {(cell.data_set, cell.pair): cell.quality for cell in self.cells}
        values = [[of.get((name, pair), np.nan) for pair in self.pairs] for name in self.data_sets]
        return np.array(values).reshape(len(self.data_sets), len(self.pairs))

    def without(self, families: Collection[str]) -> Evidence:
        """The same evidence without anything of these families of data sets."""
        kept = {name for name, family in self.families.items() if family not in families}
        return replace(
            self,
            runs=tuple(run for run in self.runs if run.data_set.name in kept),
            cells=tuple(cell for cell in self.cells if cell.data_set in kept),
            views=tuple(view for view in self.views if view.cell.family not in families),
            facts={name: facts for name, facts in self.facts.items() if name in kept},
        )

    def own_families(self, facts: DataSetFacts) -> set[str]:
        """The families with runs on exactly the images that `facts` describes."""
        same = {r.data_set.name for r in self.runs if r.data_set.fingerprint == facts.fingerprint}
        return {self.families[name] for name in same}

    def quality(self, run: RunRecord) -> float:
        """Quality of one of its runs: at `epoch`, or at the run's last where it planned fewer."""
        value = run.quality(min(self.epoch, run.recipe.epochs), self.metric)
        assert value is not None
        return value

    def digest(self) -> str:
        """Hash (16 hex digits) of runs, facts and families: derived results carry it, so that stale ones are noticed."""
        lines = [
            f"{self.task} {self.metric} {self.epoch}",
            *(() if self.probed in (PROBE_PAIRS, MASK_PROBE_PAIRS) else (str(self.probed),)),
            *sorted(f"{run.data_set.name}:{run.key}:{self.quality(run)}" for run in self.runs),
            *(f"{name}:{self.families[name]}" for name in self.data_sets),
            *(f"{n}:{self.facts[n].model_dump_json()}" for n in self.data_sets if n in self.facts),
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @property
    def procedural(self) -> bool:
        """True where every run was on generated images."""
        return all(run.data_set.procedural for run in self.runs)

    @property
    def random_weights(self) -> bool:
        """True where some run's backbone had random weights."""
        return any(run.backbone.weights_origin == "random" for run in self.runs)


def gather_evidence(
    records: Sequence[RunRecord],
    epoch: int | None = None,
    domains: Sequence[str] = (),
    task: Task | None = None,
    related: Sequence[Sequence[str]] = (),
    metric: Metric | None = None,
    facts: Mapping[str, DataSetFacts] | None = None,
) -> Evidence:
    """The runs of one task and of `domains` (none: all) at `epoch` (None: each run's last), averaged over seeds.

    Without `task` that of `metric`, else the one with most finished runs is taken, and `left_out` says so. Procedural sets are
    used only where there is no real one, random weights only where there are no pretrained ones; a cell holds one kind of run.
    Raises TooLittleDataError with the domains, tasks, metrics or epochs that exist where nothing is left.
    """
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        raise TooLittleDataError(
            "there is no finished run: run the zoo first, e.g. `scripts/zoo.py run --dataset DIR "
            "--backbone handcrafted --head linear`, or point --runs to a folder of run records"
        )
    there = [run for run in finished if not domains or run.data_set.domain in domains]
    _refuse_unknown_domains(finished, domains)
    notes: list[str] = []
    task = task or next((t for t, metrics in METRICS.items() if metric in metrics), None)
    task = task or _commonest_task(there, notes)
    metric = _metric_of_task(metric, task)
    of_task = [run for run in there if run.data_set.task == task]
    if not _ranked(of_task):
        raise TooLittleDataError(_nothing_of_task(finished, domains, task))
    measured = _measured(_real_before_substitute(of_task, notes), epoch, metric, notes)
    consistent, mixed = consistent_runs(measured)
    families, (runs, parts) = families_of(records, related), parted_views(_ranked(consistent))
    if parts:
        notes.append(
            f"{len(parts)} runs on parts of training sets tell what more images bring, and nothing else"
        )
    last = epoch or max(run.recipe.epochs for run in runs)
    names = {run.data_set.name for run in runs}
    working = {pair_of(run) for run in runs}
    refused = [r for r in records if r.status == "incompatible" and r.data_set.task == task]
    reasons = {pair_of(r): r.reason or "" for r in refused if r.head.name != CHANCE_HEAD}
    reasons |= nothing_to_tune(runs)
    return Evidence(
        epoch=last,
        task=task,
        metric=metric,
        domains=tuple(domains),
        runs=tuple(runs),
        cells=cells_of(runs, families, last, metric),
        families=families,
        facts={name: entry for name, entry in (facts or {}).items() if name in names},
        incompatible={pair: reason for pair, reason in reasons.items() if pair not in working},
        left_out=(*notes, *mixed),
        views=views_of(parts, runs, families, last, metric),
        probed=PROBE_PAIRS if task == "classification" else MASK_PROBE_PAIRS,
    )


def read_evidence(
    settings: Settings,
    epoch: int | None,
    domains: Sequence[str],
    task: Task | None,
    metric: Metric | None,
    skipped: Callable[[BrokenRecord], None],
) -> Evidence:
    """`gather_evidence` of the records and facts in `settings.runs_dir`; `skipped` hears of each file there that is neither."""
    store = RecordStore(settings.runs_dir)
    records, broken = read_for_answers(store, settings.cache_dir)
    facts, broken_facts = store.read_facts()
    for one in (*broken, *broken_facts):
        skipped(one)
    return gather_evidence(records, epoch, domains, task, settings.related_data_sets, metric, facts)


def families_of(records: Iterable[RunRecord], related: Sequence[Sequence[str]] = ()) -> dict[str, str]:
    """Data set name → its original; originals that `related` names together share the first of their names."""
    parents = {r.data_set.name: r.data_set.parent for r in records}
    return {name: family_of(name, parents, related) for name in parents}


def family_of(name: str, parents: Mapping[str, str | None], related: Sequence[Sequence[str]] = ()) -> str:
    """The original that `name` derives from, through any number of derivations."""
    seen: set[str] = set()
    while (parent := parents.get(name)) and name not in seen:
        seen.add(name)
        name = parent
    return next((group[0] for group in related if name in group), name)


def _ranked(runs: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
    """All but the chance line."""
    return tuple(run for run in runs if run.head.name != CHANCE_HEAD)


def _refuse_unknown_domains(finished: list[RunRecord], domains: Sequence[str]) -> None:
    known = sorted({run.data_set.domain for run in finished})
    for domain in domains:
        if domain not in known:
            raise TooLittleDataError(
                f"no finished run in domain '{domain}': {unknown_name('domain', domain, known)}; "
                f"domains with runs: {', '.join(known)}"
            )


def _metric_of_task(metric: Metric | None, task: Task) -> Metric:
    if metric is not None and metric not in METRICS[task]:
        raise TooLittleDataError(
            f"{metric} is no metric of {task}: expected one of {', '.join(METRICS[task])}"
        )
    return metric or PRIMARY_METRIC[task]


def _commonest_task(runs: list[RunRecord], notes: list[str]) -> Task:
    (task, _), *others = Counter(run.data_set.task for run in runs).most_common()
    notes += [
        f"{count} {other} runs left out: accuracy and Dice do not mix (--task={other} for those)"
        for other, count in others
    ]
    return task


def _nothing_of_task(finished: list[RunRecord], domains: Sequence[str], task: str) -> str:
    place = f" in domain '{', '.join(domains)}'" if domains else ""
    infos = [run.data_set for run in finished]
    named = [info for info in infos if not domains or info.domain in domains or info.task == task]
    counts = Counter(f"{info.task} in {info.domain}" for info in named)
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
    return f"no finished {task} run{place}; finished runs there are: {listed}"


def _measured(runs: list[RunRecord], epoch: int | None, metric: Metric, notes: list[str]) -> list[RunRecord]:
    """The runs that have `metric` at `epoch`; raises TooLittleDataError without any but chance."""
    measured = [run for run in runs if run.quality(epoch, metric) is not None]
    if not _ranked(measured):
        longest = max(run.recipe.epochs for run in runs)
        if epoch is None or epoch <= longest:
            raise TooLittleDataError(f"none of the {len(runs)} runs chosen has measured {metric}")
        raise TooLittleDataError(
            f"no run was trained for {epoch} epochs: the {len(runs)} runs chosen have epochs 1 to {longest}, pass --epoch={longest} or less"
        )
    if len(measured) < len(runs):
        at = f" at epoch {epoch}" if epoch else ""
        notes.append(f"{len(runs) - len(measured)} runs left out: they have no {metric}{at}")
    return measured


def _real_before_substitute(runs: list[RunRecord], notes: list[str]) -> list[RunRecord]:
    real = [run for run in runs if not run.data_set.procedural]
    if real and len(real) < len(runs):
        notes.append(f"{len(runs) - len(real)} runs on procedural images left out: there are real ones")
    if not real:
        notes.append("every data set is procedural: the numbers say nothing about real images")
    kept = real or runs
    # A backbone that was tuned on one set is no column of a table of sets.
    kept = [run for run in kept if run.backbone.weights_origin != "tuned"]
    trained = [run for run in kept if run.backbone.weights_origin != "random"]
    pretrained = any(run.backbone.weights_origin != "none" for run in trained)
    if len(trained) < len(kept):
        notes.append(
            f"{len(kept) - len(trained)} runs with random weights left out: there are pretrained ones"
            if pretrained
            else "RANDOM WEIGHTS: no run had pretrained weights, the numbers say nothing about pretrained networks"
        )
    return trained if pretrained else kept
