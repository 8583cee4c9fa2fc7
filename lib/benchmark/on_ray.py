"""Workers of a Ray cluster: a task a group, which says what it needs and tells its records while it runs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from lib.benchmark.parallel import Event
from lib.benchmark.worker import Task, packed, run_task
from lib.config import PROJECT_ROOT, Settings
from lib.errors import CvAutomlError

WAIT_S = 5.0
ROOM_EVERY_S = 2.0
MB = 2**20


class OnRay:
    """Tasks on the cluster at `address` (None: one that is started on this machine for the sweep alone). `ship`: send the data
    sets along, once a node, for nodes that do not share their folders. Raises CvAutomlError where Ray or the cluster is missing.
    """

    def __init__(self, address: str | None, worker_settings: Settings, ship: bool = False) -> None:
        self.ray, self.worker_settings, self.ship = _ray(), worker_settings, ship
        self.shipped: dict[str, Any] = {}
        self.running: dict[Any, int] = {}  # the stream of what a task tells → its number
        self.slots, self.looked_at = 0, float("-inf")
        _connect(self.ray, address)
        self.task = self.ray.remote(run_task)
        self.needs: dict[str, float] = {"num_cpus": worker_settings.threads}
        if worker_settings.device.startswith("cuda"):
            self.needs["num_gpus"] = 1
            self._require_gpu()

    def _require_gpu(self) -> None:
        if not self.ray.cluster_resources().get("GPU"):
            self.stop()
            raise CvAutomlError("the cluster has no GPU: add a node with one, or run with --device cpu")

    def room(self) -> bool:
        """A few tasks more than the nodes of now can run at once, so that none waits for us; nodes may come and go."""
        if time.monotonic() - self.looked_at > ROOM_EVERY_S:
            resources, self.looked_at = self.ray.cluster_resources(), time.monotonic()
            per_task = {"CPU": self.needs["num_cpus"], "GPU": self.needs.get("num_gpus", 0)}
            self.slots = int(min(resources.get(name, 0) // n for name, n in per_task.items() if n))
        return len(self.running) <= self.slots

    def start(self, number: int, task: Task, memory_mb: float) -> None:
        """Queues the task; no more memory is asked for than the largest node has, else it would wait for ever."""
        largest = max(
            (node["Resources"].get("memory", 0) for node in self.ray.nodes() if node["Alive"]), default=0
        )
        options = {**self.needs, "memory": int(min(memory_mb * MB, largest)), "max_retries": 0}
        stream = self.task.options(**options, num_returns="streaming").remote(task, self._archive(task))
        self.running[stream] = number

    def _archive(self, task: Task) -> Any:
        """The data set's folder in the object store, from where each node fetches it once; None where it is shared."""
        if not self.ship:
            return None
        fingerprint = task.cells[0].data_set.fingerprint
        if fingerprint not in self.shipped:
            self.shipped[fingerprint] = self.ray.put(packed(task.root))
        return self.shipped[fingerprint]

    def wait(self) -> Event:
        """The next thing a task tells. What Ray reports of lost workers and nodes becomes an event; refusals of ours are raised."""
        ready: list[Any] = []
        while not ready:
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=WAIT_S)
        stream = ready[0]
        number = self.running.pop(stream)
        try:
            told = self.ray.get(next(stream))
        except StopIteration:
            return Event(number)
        except self.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, CvAutomlError):
                raise cause from None
            return Event(number, lost=_one_line(cause or error))
        self.running[stream] = number  # behind the others: each has its turn
        return Event(number, told)

    def stop(self) -> None:
        """Cancels every task and leaves the cluster; one that was started for this sweep ends with it."""
        for stream in self.running:
            with suppress(Exception):  # it may have ended, or the cluster with it
                self.ray.cancel(stream, force=True)
        self.running = {}
        self.ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise CvAutomlError(
            "--engine ray needs Ray, which is not installed: `poetry install --extras ray`, or use --jobs or --shard"
        ) from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    """The project's code goes to every node with the job; what it needs (torch, timm, …) must be installed there."""
    where = {"address": address} if address else {"address": "local", "include_dashboard": False}
    code = {"py_modules": [str(PROJECT_ROOT / "lib")]}
    try:
        ray.init(**where, runtime_env=code, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise CvAutomlError(
            f"no Ray cluster at {address or 'this machine'}: {_one_line(error)}; `ray start --head` starts one"
        ) from error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
