"""Which runs count: finished ones of one task, domain and epoch; real images and pretrained weights before substitutes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lib.errors import TooLittleDataError
from lib.records import RunRecord
from lib.records.schema import Task
from lib.registry import unknown_name


class Pair(NamedTuple):
    """One backbone with one head; a fine-tuned pair is another pair than the frozen one."""

    backbone: str
    head: str

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.backbone} × {self.head}"


@dataclass(frozen=True)
class Cell:
    """One pair measured on one data set: mean quality over its runs, and their standard deviation (NaN for one run)."""

    data_set: str
    family: str
    pair: Pair
    quality: float
    spread: float
    n_runs: int


@dataclass(frozen=True)
class Evidence:
    """The runs that an answer rests on, already averaged into cells.

    `families`: data set name → name of the original it comes from (related originals share one name).
    `incompatible`: pairs that cannot work, with the reason, and that no run shows to work.
    `left_out`: one sentence for each kind of run that was not used, and why.
    """

    epoch: int
    task: Task
    domain: str | None
    runs: tuple[RunRecord, ...]
    cells: tuple[Cell, ...]
    families: Mapping[str, str]
    incompatible: Mapping[Pair, str]
    left_out: tuple[str, ...]

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Names of the data sets with at least one cell, sorted."""
        return tuple(sorted({cell.data_set for cell in self.cells}))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs with at least one cell, sorted."""
        return tuple(sorted({cell.pair for cell in self.cells}))

    def without(self, families: Collection[str]) -> Evidence:
        """The same evidence without any run on these families of data sets."""
        return replace(
            self,
            runs=tuple(r for r in self.runs if self.families[r.data_set.name] not in families),
            cells=tuple(c for c in self.cells if c.family not in families),
        )

    def quality(self, run: RunRecord) -> float:
        """Quality of one of its runs: at `epoch`, or at the run's last where it planned fewer."""
        value = run.quality(min(self.epoch, run.recipe.epochs))
        assert value is not None
        return value

    def digest(self) -> str:
        """Hash (16 hex digits) of the runs it rests on: derived results carry it, so that stale ones are noticed."""
        keys = sorted(f"{run.data_set.name}:{run.key}:{self.quality(run)}" for run in self.runs)
        return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]

    @property
    def procedural(self) -> bool:
        """True where every run was on generated images."""
        return all(run.data_set.procedural for run in self.runs)

    @property
    def random_weights(self) -> bool:
        """True where some run's backbone had random weights."""
        return any(run.backbone.weights_origin == "random" for run in self.runs)


def pair_of(record: RunRecord) -> Pair:
    """The pair a run belongs to."""
    head = record.head.name + (" (fine-tuned)" if record.recipe.finetune else "")
    return Pair(record.backbone.name, head)


def gather_evidence(
    records: Sequence[RunRecord],
    epoch: int | None = None,
    domain: str | None = None,
    task: Task | None = None,
    related: Sequence[Sequence[str]] = (),
) -> Evidence:
    """The runs of one task and domain (None: all domains) at `epoch` (None: each run's last), averaged over seeds.

    Without `task` the one with most finished runs is taken, and `left_out` says so. Procedural sets are used only where
    there is no real one, random weights only where there are no pretrained ones: the kinds are never mixed.
    Raises TooLittleDataError with the domains, tasks or epochs that exist where nothing is left.
    """
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        raise TooLittleDataError(
            "there is no finished run: run the zoo first, e.g. `scripts/zoo.py run --dataset DIR "
            "--backbone handcrafted --head linear`, or point --runs to a folder of run records"
        )
    _refuse_unknown_domain(finished, domain)
    notes: list[str] = []
    chosen_task = task or _commonest_task(finished, domain, notes)
    of_task = [r for r in finished if r.data_set.task == chosen_task and _in_domain(r, domain)]
    if not of_task:
        raise TooLittleDataError(_nothing_of_task(finished, domain, chosen_task))
    kept = _real_before_substitute(of_task, notes)
    measured = [(record, quality) for record in kept if (quality := record.quality(epoch)) is not None]
    if not measured:
        raise TooLittleDataError(_nothing_at_epoch(kept, epoch))
    if len(measured) < len(kept):
        notes.append(f"{len(kept) - len(measured)} runs left out: they were not planned for {epoch} epochs")
    families = families_of(records, related)
    runs = tuple(record for record, _ in measured)
    return Evidence(
        epoch=epoch or max(run.recipe.epochs for run in runs),
        task=chosen_task,
        domain=domain,
        runs=runs,
        cells=_cells(measured, families),
        families=families,
        incompatible=_incompatible(records, chosen_task, {pair_of(run) for run in runs}),
        left_out=tuple(notes),
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


def _in_domain(record: RunRecord, domain: str | None) -> bool:
    return domain is None or record.data_set.domain == domain


def _refuse_unknown_domain(finished: list[RunRecord], domain: str | None) -> None:
    known = sorted({record.data_set.domain for record in finished})
    if domain is not None and domain not in known:
        raise TooLittleDataError(
            f"no finished run in domain '{domain}': {unknown_name('domain', domain, known)}; "
            f"domains with runs: {', '.join(known)}"
        )


def _commonest_task(finished: list[RunRecord], domain: str | None, notes: list[str]) -> Task:
    counts = Counter(record.data_set.task for record in finished if _in_domain(record, domain))
    task, _ = counts.most_common(1)[0]
    for other in counts.keys() - {task}:
        notes.append(
            f"{counts[other]} {other} runs left out: accuracy and Dice do not mix (--task={other} for those)"
        )
    return task


def _nothing_of_task(finished: list[RunRecord], domain: str | None, task: str) -> str:
    place = f" in domain '{domain}'" if domain else ""
    there = Counter(
        f"{record.data_set.task} in {record.data_set.domain}"
        for record in finished
        if domain is None or record.data_set.domain == domain or record.data_set.task == task
    )
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(there.items()))
    return f"no finished {task} run{place}; finished runs there are: {listed}"


def _nothing_at_epoch(runs: list[RunRecord], epoch: int | None) -> str:
    longest = max(run.recipe.epochs for run in runs)
    return f"no run was trained for {epoch} epochs: the {len(runs)} runs chosen have epochs 1 to {longest}, pass --epoch={longest} or less"


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


def _cells(measured: list[tuple[RunRecord, float]], families: Mapping[str, str]) -> tuple[Cell, ...]:
    grouped: dict[tuple[str, Pair], list[float]] = {}
    for record, quality in measured:
        grouped.setdefault((record.data_set.name, pair_of(record)), []).append(quality)
    return tuple(
        Cell(
            data_set=name,
            family=families[name],
            pair=pair,
            quality=float(np.mean(qualities)),
            spread=float(np.std(qualities, ddof=1)) if len(qualities) > 1 else float("nan"),
            n_runs=len(qualities),
        )
        for (name, pair), qualities in sorted(grouped.items())
    )


def _incompatible(records: Sequence[RunRecord], task: Task, working: set[Pair]) -> dict[Pair, str]:
    return {
        pair_of(record): record.reason or ""
        for record in records
        if record.status == "incompatible" and record.data_set.task == task and pair_of(record) not in working
    }
