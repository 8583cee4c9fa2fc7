"""Engines: a sweep on many workers equals the local one record by record, whoever dies meanwhile, and leaves nothing running."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.benchmark.engines import Running, jobs_that_fit, run_prepared
from lib.benchmark.groups import Group, groups_of
from lib.benchmark.listening import Listener
from lib.benchmark.parallel import Event, run_groups
from lib.benchmark.prepare import PreparedSweep, prepared
from lib.benchmark.sweep import Sweep
from lib.benchmark.worker import Task, Told, packed, run_task
from lib.config import PROJECT_ROOT, Settings
from lib.errors import CvAutomlError
from lib.records import RecordStore, RunRecord
from tests.benchmark.made_up_cluster import FIND_ADDRESS, LOOPBACK, MARK, Cluster, Node
from tests.benchmark.made_up_sweep import request, swept, write_tiny_set

N_SETS, SEEDS = 6, (0, 1, 2, 3, 4)
WITHOUT = {"timing", "latency", "environment", "notes"}


def few_sets(root: Path, n: int = N_SETS) -> tuple[str, ...]:
    """Folders of small sets: a group each."""
    return tuple(str(write_tiny_set(root / f"set{i}", images=8, seed=i)) for i in range(n))


def planned(sets: tuple[str, ...], settings: Settings, **values: Any) -> PreparedSweep:
    return prepared(request(sets[0], data_sets=sets, folds=1, **values), settings)


def written(settings: Settings) -> dict[str, RunRecord]:
    """Key → record, as read back."""
    records, broken = RecordStore(settings.runs_dir).read_all()
    assert not broken
    return {record.key: record for record in records}


def same(one: dict[str, RunRecord], other: dict[str, RunRecord]) -> bool:
    """Whether two folders of records hold the same keys and the same numbers."""
    return {k: r.model_dump(exclude=WITHOUT) for k, r in one.items()} == {
        k: r.model_dump(exclude=WITHOUT) for k, r in other.items()
    }


class During(Listener):
    """Does something after so many records, and counts what it hears."""

    def __init__(self, after: int = 0, act: Callable[[], None] = lambda: None) -> None:
        self.after, self.act, self.ended, self.started = after, act, 0, 0

    def cell_starts(self, cell: Any) -> None:
        self.started += 1

    def cell_ends(self, cell: Any, record: RunRecord) -> None:
        self.ended += 1
        if self.ended == self.after:
            self.act()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], Settings, dict[str, RunRecord]]:
    """60 cells run in this process with one thread: what every engine must equal."""
    folder = tmp_path_factory.mktemp("local")
    settings = Settings(runs_dir=folder / "runs", cache_dir=folder / "cache", threads=1, device="cpu")
    sets = few_sets(folder / "datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lib.zoo.latency.backbone_latency", lambda *given: None)  # waits for a quiet machine
        swept(planned(sets, settings, seeds=SEEDS), settings)
    return sets, settings, written(settings)


@pytest.fixture
def elsewhere(local: Any, tmp_path: Path) -> Settings:
    """Settings with folders of their own: nothing is done yet."""
    return local[1].model_copy(update={"runs_dir": tmp_path / "runs", "cache_dir": tmp_path / "cache"})


def children() -> list[int]:
    """Processes that this one has started and that live."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        found += [int(pid)] if int(parent) == os.getpid() and state != "Z" else []
    return found


def workers() -> list[int]:
    return [pid for pid in children() if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_two_processes_equal_one_though_a_worker_is_killed(local: Any, elsewhere: Settings) -> None:
    sets, _, expected = local
    listener = During(3, lambda: os.kill(workers()[0], signal.SIGKILL))
    # The settings say 2 threads, two workers share them: one each, as in the local sweep.
    settings = elsewhere.override(threads=2)
    sweep = planned(sets, settings, seeds=SEEDS)
    outcome = run_prepared(sweep, settings, listener, running=Running(jobs=2))
    assert same(written(settings), expected)
    assert len(outcome.records) == listener.ended == 60 <= listener.started
    assert {record.environment.threads for record in outcome.records} == {1}
    assert all(record.latency is None for record in outcome.records)
    assert not workers()
    assert set(RecordStore(settings.runs_dir).read_facts()[0]) == {Path(one).name for one in sets}


class Lightning:
    """An engine in this process that loses its worker whenever it starts a certain cell."""

    def __init__(self, settings: Settings, strikes: str) -> None:
        self.worker_settings, self.strikes, self.stopped = settings, strikes, False
        self.running: dict[int, tuple[Task, Iterator[Told]]] = {}

    def room(self) -> bool:
        return len(self.running) < 2

    def start(self, number: int, task: Task, memory_mb: float) -> None:
        self.running[number] = task, run_task(task)

    def wait(self) -> Event:
        number, (task, stream) = next(iter(self.running.items()))
        told = next(stream, None)
        lost = told is not None and task.cells[told[0]].key == self.strikes and told[1] is not None
        if told is None or lost:
            del self.running[number]
        return Event(number, lost="struck by lightning") if lost else Event(number, told)

    def stop(self) -> None:
        self.stopped = True


def test_a_cell_that_loses_all_its_workers_fails_alone(local: Any, elsewhere: Settings) -> None:
    asked = {"seeds": (0, 1), "heads": ("linear", "naive")}
    sweep = planned(local[0][:2], elsewhere, **asked)
    struck = sweep.plan.cells[1].cell.key
    engine, listener = Lightning(elsewhere, struck), During()
    data_sets = sweep.selection.by_fingerprint
    outcome = run_groups(
        sweep.plan, groups_of(sweep.plan), data_sets, elsewhere, engine, listener, max_retries=2
    )
    failed = [record for record in outcome.records if record.status == "failed"]
    assert [record.key for record in failed] == [struck]
    assert failed[0].reason == "its worker was lost 3 times, the last time: struck by lightning"
    assert outcome.count("finished") == 7 and engine.stopped
    assert (listener.started, listener.ended) == (10, 8)
    again = planned(local[0][:2], elsewhere, **asked)
    assert [one.cell.key for one in again.plan.cells if one.to_run] == [struck]


def test_an_interrupted_driver_stops_its_engine(local: Any, elsewhere: Settings) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    sweep = planned(local[0][:2], elsewhere, seeds=(0, 1))
    with pytest.raises(KeyboardInterrupt):
        run_prepared(sweep, elsewhere, During(2, interrupt), running=Running(jobs=2))
    assert not workers()
    assert len(written(elsewhere)) == 2


COMMAND = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
from lib.benchmark.engines import Running, run_prepared
from lib.config import Settings
from lib.benchmark.prepare import prepared
from lib.benchmark.selection import Request
from lib.command_line import run_command
from lib.reporting.watching import PlainLines
import click
@click.command()
@click.argument("runs")
@click.argument("cache")
@click.argument("sets", nargs=-1)
def main(runs, cache, sets):
    settings = Settings(runs_dir=runs, cache_dir=cache, threads=2, device="cpu")
    request = Request(sets, ("handcrafted",), ("naive", "linear"), epochs=2, seeds=(0, 1, 2, 3, 4), folds=1)
    # Slow enough to be stopped in the middle.
    lines = PlainLines(lambda line: (print(line, flush=True), time.sleep(0.3)))
    run_prepared(prepared(request, settings), settings, lines, running=Running(jobs=2))
if __name__ == "__main__":
    run_command(main)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_driver_takes_its_workers_along_and_goes_on(
    local: Any, elsewhere: Settings, tmp_path: Path, sent: signal.Signals
) -> None:
    script = tmp_path / "sweep.py"
    script.write_text(COMMAND)
    command = [sys.executable, script, elsewhere.runs_dir, elsewhere.cache_dir, *local[0]]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), MARK: tmp_path.name}
    driver = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert driver.stdout
    driver.stdout.readline()
    # A terminal sends Ctrl-C to every process of the sweep.
    os.killpg(driver.pid, sent) if sent == signal.SIGINT else driver.send_signal(sent)
    assert driver.wait(60) == (130 if sent == signal.SIGINT else -sent)
    wait_until(lambda: not Node(tmp_path.name).processes())
    before = written(elsewhere)
    assert 0 < len(before) < 60
    sweep = planned(local[0], elsewhere, seeds=SEEDS)
    outcome = swept(sweep, elsewhere)
    assert len(outcome.records) == 60 - len(before)
    assert same(written(elsewhere), local[2])


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)


def test_a_worker_refuses_other_images_and_a_folder_that_is_not_there(
    local: Any, elsewhere: Settings
) -> None:
    sweep = planned(local[0][:1], elsewhere)
    cells = tuple(one.cell for one in sweep.plan.cells)
    for root, told in ((Path(local[0][1]), "other images"), (elsewhere.cache_dir / "none", "--ship-data")):
        with pytest.raises(CvAutomlError, match=told):
            next(run_task(Task(cells, root, "", elsewhere)))


def test_a_refusal_of_a_worker_ends_the_sweep(local: Any, elsewhere: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(local[0][0], folder)
    sweep = planned((str(folder),), elsewhere)
    shutil.rmtree(folder)
    with pytest.raises(CvAutomlError, match="has no folder"):
        run_prepared(sweep, elsewhere, running=Running(jobs=2))
    assert not workers()


def test_a_data_set_can_travel(local: Any, elsewhere: Settings) -> None:
    sweep = planned(tuple(f"{one}@train50" for one in local[0][:1]), elsewhere)
    cells = tuple(one.cell for one in sweep.plan.cells)
    task = Task.of(cells, sweep.selection.data_sets[0].data_set, elsewhere)
    archive = packed(task.root)
    away = Task(cells, elsewhere.cache_dir / "not here" / task.root.name, task.views, elsewhere)
    told = [*run_task(away, archive), *run_task(away, archive)]
    records = [record for _, record in told if record]
    assert [record.key for record in records] == [cell.key for cell in cells] * 2
    assert {record.status for record in records} == {"finished"}


@pytest.mark.parametrize(
    ("needs", "jobs", "free", "fitting"),
    [
        ((1000, 1000), 2, 3000, 2),
        ((1000, 3000), 2, 3000, 1),
        ((9000,), 4, 3000, 1),
        ((10,) * 9, 4, 3000, 4),
        ((), 2, 9, 1),
    ],
)
def test_two_networks_that_do_not_fit_do_not_run_at_once(
    needs: tuple[float, ...], jobs: int, free: float, fitting: int
) -> None:
    assert jobs_that_fit([Group((), 1.0, need) for need in needs], jobs, free) == fitting


@pytest.mark.parametrize(
    "given",
    [{"engine": "ray", "jobs": 2}, {"address": "auto"}, {"ship_data": True}, {"jobs": 2, "by_results": True}],
)
def test_what_does_not_go_together(given: dict[str, Any]) -> None:
    with pytest.raises(CvAutomlError):
        Running(**given)


def test_without_ray_a_sentence_says_how_to_get_it(
    local: Any, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CvAutomlError, match="poetry install --extras ray"):
        run_prepared(planned(local[0][:1], elsewhere), elsewhere, running=Running(engine="ray"))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head and two worker nodes of one processor each; whatever a test adds goes with them."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs Ray: poetry install --extras ray")
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc to find the processes of a node")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr(FIND_ADDRESS, lambda address=None: LOOPBACK)
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # paths of sockets must be short
    cluster = Cluster(folder)
    try:
        cluster.start_head()
        cluster.add_node()
        cluster.add_node()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_cluster_that_is_interrupted_loses_a_node_and_gets_another_equals_one_process(
    local: Any, elsewhere: Settings, cluster: Cluster
) -> None:
    sets, _, expected = local
    lost: list[int] = []

    listening: set[str] = set()

    def disaster() -> None:
        listening.update(cluster.listening())
        node = next(node for node in cluster.nodes[1:] if node.workers())
        lost.extend(node.processes())
        node.kill()
        cluster.add_node()

    def interrupt() -> None:
        raise KeyboardInterrupt

    def run(listener: Listener) -> Sweep:
        sweep = planned(sets, elsewhere, seeds=SEEDS)
        return run_prepared(sweep, elsewhere, listener, running=Running("ray", address=cluster.address))

    with pytest.raises(KeyboardInterrupt):
        run(During(2, interrupt))
    assert len(written(elsewhere)) == 2
    wait_until(lambda: not [pid for node in cluster.nodes for pid in node.workers()])
    listener = During(5, disaster)
    outcome = run(listener)
    assert lost
    # 127.0.0.1 or ::1, as they stand in /proc/net/tcp
    assert listening and listening <= {
        "0100007F",
        "0000000000000000FFFF00000100007F",
        "00000000000000000000000001000000",
    }, listening
    assert len(outcome.records) == listener.ended == outcome.count("finished") == 58
    assert same(written(elsewhere), expected)
    assert {record.environment.threads for record in outcome.records} == {1}
    assert all(record.latency is None for record in outcome.records)
    cluster.stop()
    assert not [pid for node in cluster.nodes for pid in node.processes()]
