"""Workers on this machine: processes that start afresh, live as long as the sweep and die with it, each with its share of threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from lib.benchmark.parallel import Event
from lib.benchmark.worker import Task, run_task
from lib.config import Settings
from lib.errors import CvAutomlError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    number: int = 0


class Processes:
    """At most `jobs` worker processes; one that dies is replaced when the next task is given out."""

    def __init__(self, jobs: int, worker_settings: Settings) -> None:
        self.jobs, self.worker_settings = jobs, worker_settings
        self.idle: list[_Worker] = []
        self.busy: list[_Worker] = []

    def room(self) -> bool:
        """Whether a worker is free."""
        return len(self.busy) < self.jobs

    def start(self, number: int, task: Task, memory_mb: float) -> None:
        """Sends the task to a free worker; memory was looked at when the number of jobs was chosen."""
        worker = self.idle.pop() if self.idle else _begun(self.worker_settings.threads)
        worker.number = number
        self.busy.append(worker)
        with suppress(OSError):  # it died idle: `wait` will find out
            worker.connection.send(task)

    def wait(self) -> Event:
        """The next thing a busy worker says; that it says nothing more is told as well."""
        ready = wait([worker.connection for worker in self.busy])
        worker = next(worker for worker in self.busy if worker.connection in ready)
        try:
            said = worker.connection.recv()
        except (EOFError, OSError):
            return self._buried(worker)
        if isinstance(said, CvAutomlError):
            raise said
        if said is None:
            self.busy.remove(worker)
            self.idle.append(worker)
        return Event(worker.number, said)

    def _buried(self, worker: _Worker) -> Event:
        self.busy.remove(worker)
        worker.process.join()
        return Event(worker.number, lost=f"the process ended with exit code {worker.process.exitcode}")

    def stop(self) -> None:
        """Kills every worker and waits until it is gone."""
        workers = [*self.busy, *self.idle]
        self.busy, self.idle = [], []
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def _begun(threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    with _environment(threads):
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Inside, processes begin with libraries told to use so many threads: they read it once, when they are loaded."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _serve(connection: Connection) -> None:
    """Runs what comes until nothing comes. Ctrl-C is the driver's business, and its death ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_driver, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            try:
                for told in run_task(task):
                    connection.send(told)
                connection.send(None)
            except CvAutomlError as error:
                connection.send(error)


def _die_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver:
        driver.join()
        os._exit(1)
