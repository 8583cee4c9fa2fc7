"""A sweep on many workers, simulated event by event: measured cell times, stragglers, lost nodes, one driver, one object store."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lib.records import RunRecord

SIZES = (10_000, 100_000, 1_000_000)
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SEEDS, NETWORKS = 5, 20  # of a group's cells, and of a data set's groups
HOUR_S = 3600.0


@dataclass(frozen=True)
class World:
    """What a sweep meets. Assumed, not measured: all but `driver_cell_s` and `start_s`, which `study` takes from measurements.

    `straggling`: sigma of a log-normal factor on each group's time; `node_lost_every_s`: in the whole cluster; `store_mb_s`: what
    one source sends to all nodes together (10 Gbit/s); `data_mb`: of a data set; `slower`: factor on all measured times.
    """

    workers: int = 8
    workers_a_node: int = 8
    straggling: float = 0.3
    node_lost_every_s: float = HOUR_S
    node_back_s: float = 300.0
    driver_cell_s: float = 0.01
    start_s: float = 10.0
    data_mb: float = 1000.0
    store_mb_s: float = 1250.0
    shares_features: bool = True
    long_first: bool = True
    slower: float = 1.0


@dataclass(frozen=True)
class GroupTimes:
    """Seconds of a group: features once, then its cells."""

    features_s: float
    cells_s: tuple[float, ...]


@dataclass
class Job:
    """A group in the simulation: what is left of it in seconds, and in cells."""

    data_set: int
    features_s: float
    training_s: float
    cells: int

    @property
    def total_s(self) -> float:
        """Seconds on a worker of its own."""
        return self.features_s + self.training_s


def measured_groups(records: Iterable[RunRecord]) -> list[GroupTimes]:
    """The times of every data set × backbone that was run, frozen and with one seed."""
    found: defaultdict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        if not record.recipe.finetune and record.data_set.task == "classification":
            found[record.data_set.name, record.backbone.name].append(record)
    return [
        GroupTimes(
            max(one.timing.features_s for one in members),
            tuple(one.timing.training_s + one.timing.evaluation_s for one in members),
        )
        for members in found.values()
    ]


def jobs_of(measured: Sequence[GroupTimes], n_cells: int, world: World, seed: int) -> list[Job]:
    """So many cells, drawn from the measured groups, with stragglers, in the order in which they are given out."""
    generator = np.random.default_rng(seed)
    jobs, left = [], n_cells
    while left > 0:
        drawn = measured[generator.integers(len(measured))]
        cells = min(left, SEEDS * len(drawn.cells_s))
        training_s = SEEDS * sum(drawn.cells_s) * cells / (SEEDS * len(drawn.cells_s))
        features_s = drawn.features_s * (1 if world.shares_features else cells)
        jobs.append(Job(len(jobs) // NETWORKS, world.slower * features_s, world.slower * training_s, cells))
        left -= cells
    if world.long_first:  # by what is expected; how long it takes in truth shows only later
        jobs.sort(key=lambda job: -job.total_s)
    for job, factor in zip(jobs, generator.lognormal(0, world.straggling, len(jobs)), strict=True):
        job.features_s, job.training_s = factor * job.features_s, factor * job.training_s
    return jobs


class Simulation:
    """Workers take the next job when they are free; the driver hands out and writes, one thing after the other."""

    def __init__(self, jobs: list[Job], world: World, seed: int) -> None:
        self.world, self.waiting = world, deque(jobs)
        self.generator = np.random.default_rng(seed)
        self.work_s = sum(job.total_s for job in jobs)
        self.n_nodes = -(-world.workers // world.workers_a_node)
        self.running: dict[int, tuple[Job, float]] = {}
        self.turn = dict.fromkeys(range(world.workers), 0)
        self.held: list[set[int]] = [set() for _ in range(self.n_nodes)]
        self.idle: set[int] = set()
        self.driver_free = self.store_free = self.end = 0.0
        self.lost_nodes = 0
        # (when, worker or -1 for a lost node, turn of the worker)
        self.events: list[tuple[float, int, int]] = [(world.start_s, w, 0) for w in range(world.workers)]
        if world.node_lost_every_s:
            self.events.append((self._until_loss(), -1, 0))
        heapq.heapify(self.events)

    def run(self) -> dict[str, float]:
        """Hours, GPU hours held, and the share of them that was work which counted."""
        while self.waiting or self.running:
            now, worker, turn = heapq.heappop(self.events)
            if worker < 0:
                self._lose_node(now)
            elif turn == self.turn[worker]:
                self._free(worker, now)
        held_s = self.end * self.world.workers
        return {
            "hours": round(self.end / HOUR_S, 3),
            "gpu_hours": round(held_s / HOUR_S, 1),
            "efficiency": round(self.work_s / held_s, 3),
            "lost_nodes": self.lost_nodes,
        }

    def _until_loss(self) -> float:
        return float(self.generator.exponential(self.world.node_lost_every_s))

    def _free(self, worker: int, now: float) -> None:
        if worker in self.running:
            job, _ = self.running.pop(worker)
            self.driver_free = max(self.driver_free, now) + job.cells * self.world.driver_cell_s
            self.end = max(self.end, self.driver_free)
        if self.waiting:
            self._begin(worker, self.waiting.popleft(), now)
        else:
            self.idle.add(worker)

    def _begin(self, worker: int, job: Job, now: float) -> None:
        self.driver_free = max(self.driver_free, now) + self.world.driver_cell_s
        begin, node = self.driver_free, worker // self.world.workers_a_node
        if job.data_set not in self.held[node]:
            self.held[node].add(job.data_set)
            self.store_free = max(self.store_free, begin) + self.world.data_mb / self.world.store_mb_s
            begin = self.store_free
        self.running[worker] = job, begin
        heapq.heappush(self.events, (begin + job.total_s, worker, self.turn[worker]))

    def _lose_node(self, now: float) -> None:
        """Its jobs wait again: the cell it was at is lost, and so are the features on its disk."""
        node = int(self.generator.integers(self.n_nodes))
        first = node * self.world.workers_a_node
        for worker in range(first, min(first + self.world.workers_a_node, self.world.workers)):
            self.turn[worker] += 1
            self.idle.discard(worker)
            if worker in self.running:
                self._give_again(*self.running.pop(worker), now)
            heapq.heappush(
                self.events, (now + self.world.node_back_s + self.world.start_s, worker, self.turn[worker])
            )
        self.held[node].clear()
        self.lost_nodes += 1
        heapq.heappush(self.events, (now + self._until_loss(), -1, 0))
        while self.waiting and self.idle:
            self._begin(self.idle.pop(), self.waiting.popleft(), now)

    def _give_again(self, job: Job, begin: float, now: float) -> None:
        a_cell = job.training_s / job.cells
        done = min(job.cells - 1, max(0, int((now - begin - job.features_s) / a_cell) if a_cell else 0))
        self.driver_free = max(self.driver_free, now) + done * self.world.driver_cell_s
        self.waiting.appendleft(
            replace(job, training_s=job.training_s - done * a_cell, cells=job.cells - done)
        )


def simulated(measured: Sequence[GroupTimes], n_cells: int, world: World, seed: int = 0) -> dict[str, float]:
    """One sweep."""
    return Simulation(jobs_of(measured, n_cells, world, seed), world, seed).run()


def study(measured: Sequence[GroupTimes], results: dict[str, Any]) -> dict[str, Any]:
    """Sizes × workers, and what each burden costs at the largest number of workers. `results`: of the measurements."""
    cheap, writing = results["engines"]["cheapest_cells"], results["records"]["write_flushed_ms"] / 1000
    # All that Ray adds to a cell counts as the driver's, one after the other: more than it can be.
    driver_s = writing + max(0.0, cheap["ray"]["cell_s"] - cheap["local"]["cell_s"])
    world = World(driver_cell_s=round(driver_s, 5), start_s=cheap["ray"]["start_s"])
    sweeps = {
        str(size): {str(n): simulated(measured, size, replace(world, workers=n)) for n in WORKERS}
        for size in SIZES
    }
    most = replace(world, workers=WORKERS[-1])
    without = {
        "as assumed": most,
        "no stragglers": replace(most, straggling=0.0),
        "no lost nodes": replace(most, node_lost_every_s=0.0),
        "a driver that costs nothing": replace(most, driver_cell_s=0.0),
        "an object store without limit": replace(most, store_mb_s=float("inf")),
        "neither costs anything": replace(most, driver_cell_s=0.0, store_mb_s=float("inf")),
        "groups in the order of the plan": replace(most, long_first=False),
        "features not shared": replace(most, shares_features=False),
        "cells 100 times as long": replace(most, slower=100.0),
    }
    return {
        "world": {name: getattr(world, name) for name in World.__dataclass_fields__ if name != "workers"},
        "mean_group_s": round(float(np.mean([g.features_s + SEEDS * sum(g.cells_s) for g in measured])), 1),
        "sweeps": sweeps,
        f"at_{WORKERS[-1]}": {
            name: {str(size): simulated(measured, size, one) for size in SIZES[1:]}
            for name, one in without.items()
        },
    }


def picture(values: dict[str, Any], file: Path) -> None:
    """Hours and the share of useful GPU time over workers, a line a size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for size, by_workers in values["sweeps"].items():
        workers = [int(n) for n in by_workers]
        hours = [one["hours"] for one in by_workers.values()]
        line = left.loglog(workers, hours, "o-", label=f"{int(size):,} cells")[0]
        left.loglog(workers, [hours[0] / n for n in workers], ":", color=line.get_color(), alpha=0.6)
        right.semilogx(
            workers, [one["efficiency"] for one in by_workers.values()], "o-", label=f"{int(size):,} cells"
        )
    left.set(title="Hours (dotted: ideal)", xlabel="workers", ylabel="hours")
    right.set(title="Share of worker time that is useful work", xlabel="workers", ylim=(0, 1.05))
    for axes in (left, right):
        axes.set_xticks(workers, [str(n) for n in workers])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Simulated, with measured times of frozen cells")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
