"""Where a sweep runs: in this process (the default), in several processes of this machine, or on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from lib.benchmark.groups import Group, groups_of
from lib.benchmark.listening import Listener
from lib.benchmark.on_ray import OnRay
from lib.benchmark.parallel import MAX_RETRIES, Engine, run_groups
from lib.benchmark.prepare import PreparedSweep
from lib.benchmark.processes import Processes
from lib.benchmark.sweep import Ordering, Sweep, run_sweep
from lib.config import Settings
from lib.errors import CvAutomlError
from lib.records import RecordStore
from lib.records.costs import memory_mb
from lib.zoo.devices import (
    available_memory_mb,
    choose_device,
    choose_precision,
    device_name,
)

MOST_OF_MEMORY = 0.9


@dataclass(frozen=True)
class Running:
    """How a sweep is to run. `jobs`: processes of this machine. `address`: of a Ray cluster, None starts one here. `max_retries`:
    how often a cell may lose its worker and is tried again. `ship_data`: send data sets to the nodes. `by_results`: each
    cell is chosen by the results before it, as --budget does. Raises CvAutomlError for
    what does not go together."""

    engine: Literal["local", "ray"] = "local"
    jobs: int = 1
    address: str | None = None
    max_retries: int = MAX_RETRIES
    ship_data: bool = False
    by_results: bool = False

    def __post_init__(self) -> None:
        if self.engine == "ray" and self.jobs > 1:
            raise CvAutomlError(
                "--jobs is for --engine local: Ray starts as many tasks as the nodes have room for"
            )
        if self.engine == "local" and (self.address or self.ship_data):
            raise CvAutomlError("--address and --ship-data are for --engine ray")
        if self.by_results and not self.in_process:
            raise CvAutomlError(
                "--budget chooses each cell by the results before it: leave out --jobs and --engine"
            )

    @property
    def in_process(self) -> bool:
        """Whether cells run here, one after the other."""
        return self.engine == "local" and self.jobs == 1


def run_prepared(
    sweep: PreparedSweep,
    settings: Settings,
    listener: Listener | None = None,
    ordering: Ordering | None = None,
    running: Running | None = None,
) -> Sweep:
    """Runs what is left of a sweep as `running` says; raises CvAutomlError as the engines do."""
    running, data_sets = running or Running(), sweep.selection.by_fingerprint
    if running.in_process:
        return run_sweep(sweep.plan, data_sets, settings, listener, ordering)
    device = choose_device(settings.device)
    finished = RecordStore(settings.runs_dir).read_all(("finished",))[0]
    groups = groups_of(sweep.plan, memory_mb(finished, device_name(torch.device("cpu"))))
    jobs = jobs_that_fit(groups, running.jobs)
    if running.engine == "local" and jobs < min(running.jobs, len(groups)) and listener:
        listener.told(f"--jobs lowered to {jobs}: more networks at once would not fit into free memory")
    engine: Engine
    if running.engine == "local":
        engine = Processes(jobs, worker_settings(settings, device, shared_by=running.jobs))
    else:
        engine = OnRay(running.address, worker_settings(settings, device), running.ship_data)
    return run_groups(sweep.plan, groups, data_sets, settings, engine, listener, running.max_retries)


def worker_settings(settings: Settings, device: torch.device, shared_by: int = 0) -> Settings:
    """With everything decided here that decides numbers. Threads: those of the settings (a Ray task: 1 where these say 0), or of
    this process, divided among the workers that share the machine."""
    threads = (settings.threads or torch.get_num_threads()) // shared_by if shared_by else settings.threads
    kind = device.type if shared_by == 0 else str(device)
    precision = choose_precision(settings.precision, device)
    return settings.override(device=kind, precision=precision, threads=max(1, threads))


def jobs_that_fit(groups: list[Group], jobs: int, free_mb: float | None = None) -> int:
    """As many processes as there are groups, and as fit into free memory if the largest ones meet; one is always tried."""
    left = MOST_OF_MEMORY * (available_memory_mb() if free_mb is None else free_mb)
    fitting = 0
    for need in sorted((group.memory_mb for group in groups), reverse=True)[:jobs]:
        left -= need
        fitting += left >= 0
    return max(1, fitting)
