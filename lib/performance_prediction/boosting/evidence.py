"""Which runs count: finished ones of one task, metric and epoch; real images and pretrained weights before substitutes."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.cells import Cell, Pair, cell_of, mean_known, pair_of
from lib.performance_prediction.boosting.kinds import consistent_runs
from lib.records import CHANCE_HEAD, DataSetFacts, RunRecord
from lib.records.schema import METRICS, PRIMARY_METRIC, Metric, Task
from lib.registry import unknown_name

__all__ = ["Cell", "Evidence", "Pair", "families_of", "family_of", "gather_evidence", "pair_of"]


@dataclass(frozen=True)
class Evidence:
    """The runs that an answer rests on, already averaged into cells, and the facts of their data sets.

    `families`: data set name → name of the original it comes from (related originals share one name). `chance`: data set name →
    what always saying the largest class reached there. `incompatible`: pairs that cannot work, with the reason, and that no
    run shows to work. `left_out`: one sentence for each kind of run that was not used, and why.
    """

    epoch: int
    task: Task
    metric: Metric
    domains: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    cells: tuple[Cell, ...]
    families: Mapping[str, str]
    facts: Mapping[str, DataSetFacts]
    chance: Mapping[str, float]
    incompatible: Mapping[Pair, str]
    left_out: tuple[str, ...]

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

    def without(self, families: Collection[str]) -> Evidence:
        """The same evidence without anything of these families of data sets."""
        kept = {name for name, family in self.families.items() if family not in families}
        return replace(
            self,
            runs=tuple(run for run in self.runs if run.data_set.name in kept),
            cells=tuple(cell for cell in self.cells if cell.data_set in kept),
            facts={name: facts for name, facts in self.facts.items() if name in kept},
            chance={name: quality for name, quality in self.chance.items() if name in kept},
        )

    def quality(self, run: RunRecord) -> float:
        """Quality of one of its runs: at `epoch`, or at the run's last where it planned fewer."""
        value = run.quality(min(self.epoch, run.recipe.epochs), self.metric)
        assert value is not None
        return value

    def digest(self) -> str:
        """Hash (16 hex digits) of runs, facts and families: derived results carry it, so that stale ones are noticed."""
        lines = [
            f"{self.task} {self.metric} {self.epoch}",
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
    _refuse_unknown_domains(finished, domains)
    notes: list[str] = []
    chosen_task = task or _task_of_metric(metric) or _commonest_task(finished, domains, notes)
    chosen_metric = _metric_of_task(metric, chosen_task)
    of_task = [run for run in finished if run.data_set.task == chosen_task and _in_domains(run, domains)]
    if not any(run.head.name != CHANCE_HEAD for run in of_task):
        raise TooLittleDataError(_nothing_of_task(finished, domains, chosen_task))
    kept = _real_before_substitute(of_task, notes)
    measured = _measured(kept, epoch, chosen_metric, notes)
    measured, mixed = consistent_runs(measured)
    families = families_of(records, related)
    runs = tuple(run for run in measured if run.head.name != CHANCE_HEAD)
    last = epoch or max(run.recipe.epochs for run in runs)
    names = {run.data_set.name for run in runs}
    return Evidence(
        epoch=last,
        task=chosen_task,
        metric=chosen_metric,
        domains=tuple(domains),
        runs=runs,
        cells=_cells(runs, families, last, chosen_metric),
        families=families,
        facts={name: entry for name, entry in (facts or {}).items() if name in names},
        chance=_chance(measured, last, chosen_metric),
        incompatible=_incompatible(records, chosen_task, {pair_of(run) for run in runs}),
        left_out=(*notes, *mixed),
    )


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


def _in_domains(run: RunRecord, domains: Sequence[str]) -> bool:
    return not domains or run.data_set.domain in domains


def _refuse_unknown_domains(finished: list[RunRecord], domains: Sequence[str]) -> None:
    known = sorted({run.data_set.domain for run in finished})
    for domain in domains:
        if domain not in known:
            raise TooLittleDataError(
                f"no finished run in domain '{domain}': {unknown_name('domain', domain, known)}; "
                f"domains with runs: {', '.join(known)}"
            )


def _task_of_metric(metric: Metric | None) -> Task | None:
    return next((task for task, metrics in METRICS.items() if metric in metrics), None)


def _metric_of_task(metric: Metric | None, task: Task) -> Metric:
    if metric is not None and metric not in METRICS[task]:
        raise TooLittleDataError(
            f"{metric} is no metric of {task}: expected one of {', '.join(METRICS[task])}"
        )
    return metric or PRIMARY_METRIC[task]


def _commonest_task(finished: list[RunRecord], domains: Sequence[str], notes: list[str]) -> Task:
    counts = Counter(run.data_set.task for run in finished if _in_domains(run, domains))
    task, _ = counts.most_common(1)[0]
    for other in counts.keys() - {task}:
        notes.append(
            f"{counts[other]} {other} runs left out: accuracy and Dice do not mix (--task={other} for those)"
        )
    return task


def _nothing_of_task(finished: list[RunRecord], domains: Sequence[str], task: str) -> str:
    place = f" in domain '{', '.join(domains)}'" if domains else ""
    there = Counter(
        f"{run.data_set.task} in {run.data_set.domain}"
        for run in finished
        if _in_domains(run, domains) or run.data_set.task == task
    )
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(there.items()))
    return f"no finished {task} run{place}; finished runs there are: {listed}"


def _measured(runs: list[RunRecord], epoch: int | None, metric: Metric, notes: list[str]) -> list[RunRecord]:
    """The runs that have `metric` at `epoch`; raises TooLittleDataError without any but chance."""
    measured = [run for run in runs if run.quality(epoch, metric) is not None]
    if not any(run.head.name != CHANCE_HEAD for run in measured):
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
    trained = [run for run in kept if run.backbone.weights_origin != "random"]
    pretrained = any(run.backbone.weights_origin != "none" for run in trained)
    if pretrained and len(trained) < len(kept):
        notes.append(
            f"{len(kept) - len(trained)} runs with random weights left out: there are pretrained ones"
        )
    if not pretrained and len(trained) < len(kept):
        notes.append(
            "RANDOM WEIGHTS: no run had pretrained weights, the numbers say nothing about pretrained networks"
        )
    return trained if pretrained else kept


def _cells(
    runs: Iterable[RunRecord], families: Mapping[str, str], epoch: int, metric: Metric
) -> tuple[Cell, ...]:
    grouped: defaultdict[tuple[str, Pair], list[RunRecord]] = defaultdict(list)
    for run in runs:
        grouped[run.data_set.name, pair_of(run)].append(run)
    return tuple(
        cell_of(of_cell, families[name], epoch, metric) for (name, _), of_cell in sorted(grouped.items())
    )


def _chance(runs: Sequence[RunRecord], epoch: int, metric: Metric) -> dict[str, float]:
    grouped: defaultdict[str, list[float | None]] = defaultdict(list)
    for run in runs:
        if run.head.name == CHANCE_HEAD:
            grouped[run.data_set.name].append(run.quality(min(epoch, run.recipe.epochs), metric))
    return {name: mean for name, values in grouped.items() if (mean := mean_known(values)) is not None}


def _incompatible(records: Sequence[RunRecord], task: Task, working: set[Pair]) -> dict[Pair, str]:
    return {
        pair_of(record): record.reason or ""
        for record in records
        if record.status == "incompatible"
        and record.data_set.task == task
        and record.head.name != CHANCE_HEAD
        and pair_of(record) not in working
    }
