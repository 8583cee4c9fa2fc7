"""Sweeps: what is done is not done again, one failure stops nothing, and nothing is lost to an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lib.benchmark.listening import Listener
from lib.errors import CvAutomlError
from lib.files import require_writable
from lib.records import RecordStore
from lib.zoo.heads import HEADS
from tests.benchmark.made_up_sweep import add_head, ready
from tests.benchmark.made_up_sweep import swept as run

ROOT = Path(__file__).resolve().parents[2]


def records_of(settings, *statuses):
    return RecordStore(settings.runs_dir).read_all(statuses or ("finished", "failed", "incompatible"))[0]


def test_every_cell_leaves_a_finished_record_with_all_it_needs(tiny_set, settings):
    outcome = run(ready(tiny_set, settings, seeds=(0, 1)), settings)
    assert [(r.head.name, r.seed, r.status) for r in outcome.records] == [
        ("naive", 0, "finished"),
        ("naive", 1, "finished"),
        ("linear", 0, "finished"),
        ("linear", 1, "finished"),
    ]
    record = outcome.records[2]
    assert len(record.epochs) == 2
    assert record.quality() > 0.9
    assert record.latency.batch32_median_ms > 0
    assert record.timing.features_s > 0
    assert record.environment.peak_memory_mb > 0
    assert record.backbone.weights_origin == "none"
    assert len(record.final.confusion) == 3
    assert {r.key for r in records_of(settings)} == {r.key for r in outcome.records}


def test_facts_of_the_data_set_are_written_once(tiny_set, settings):
    run(ready(tiny_set, settings), settings)
    store = RecordStore(settings.runs_dir)
    facts, broken = store.read_facts()
    assert not broken
    assert facts["tiny"].meta_features
    before = next(settings.runs_dir.glob("*/dataset.json")).stat().st_mtime_ns
    run(ready(tiny_set, settings, seeds=(1,)), settings)
    assert next(settings.runs_dir.glob("*/dataset.json")).stat().st_mtime_ns == before


def test_finished_cells_are_not_run_again(tiny_set, settings):
    run(ready(tiny_set, settings), settings)
    again = ready(tiny_set, settings)
    assert [planned.state for planned in again.plan.cells] == ["done", "done"]
    assert run(again, settings).records == ()


def test_a_plan_counts_no_time_for_features_that_are_cached(tiny_set, settings):
    fresh = ready(tiny_set, settings, heads=("linear",))
    assert sum(fresh.plan.features_s.values()) > 0
    run(fresh, settings)
    assert ready(tiny_set, settings, heads=("mlp",)).plan.features_s == {fresh.plan.cells[0].cell.group: 0.0}


def test_features_are_computed_once_for_all_heads_and_seeds(tiny_set, settings, monkeypatch):
    from lib.benchmark import cell_run

    calls = []
    original = cell_run.embeddings_of
    monkeypatch.setattr(
        cell_run, "embeddings_of", lambda *given: calls.append(given[0].name) or original(*given)
    )
    run(ready(tiny_set, settings, heads=("linear", "mlp", "knn"), seeds=(0, 1)), settings)
    assert calls == ["tiny"]


def test_a_failing_cell_leaves_a_failed_record_and_the_sweep_goes_on(tiny_set, settings, monkeypatch):
    def fails(job):
        raise ZeroDivisionError("the made-up reason\nof two lines")

    add_head(monkeypatch, "failing", fails)
    outcome = run(ready(tiny_set, settings, heads=("failing", "linear")), settings)
    failed, finished = outcome.records
    assert failed.status == "failed"
    assert failed.reason.startswith("ZeroDivisionError: the made-up reason of two lines")
    assert finished.status == "finished"
    assert {r.status for r in records_of(settings)} == {"failed", "finished"}


def test_failed_cells_are_tried_again_unless_they_are_to_be_skipped(tiny_set, settings, monkeypatch):
    from lib.benchmark.prepare import prepared
    from tests.benchmark.made_up_sweep import request

    broken = [True]

    def fails_once(job):
        if broken:
            raise ValueError("once")
        return HEADS["naive"]().train(job)

    add_head(monkeypatch, "moody", fails_once)
    run(ready(tiny_set, settings, heads=("moody",)), settings)
    skipping = prepared(request(tiny_set, heads=("moody",)), settings, skip_failed=True)
    assert not skipping.plan.cells[0].to_run
    broken.clear()
    retried = ready(tiny_set, settings, heads=("moody",))
    assert retried.plan.cells[0].state == "failed"
    assert "once" in retried.plan.cells[0].reason
    assert run(retried, settings).records[0].status == "finished"
    assert len(records_of(settings)) == 1


def test_an_unreadable_image_fails_its_cells_and_names_the_file(tiny_set, settings):
    sweep = ready(tiny_set, settings)
    victim = next(tiny_set.rglob("*.png"))
    victim.write_bytes(victim.read_bytes()[:60])
    outcome = run(sweep, settings)
    by_head = {record.head.name: record for record in outcome.records}
    assert by_head["naive"].status == "finished"
    assert by_head["linear"].status == "failed"
    assert victim.name in by_head["linear"].reason


def test_incompatible_pairs_are_recorded_with_their_reason_before_anything_runs(tiny_set, settings):
    outcome = run(ready(tiny_set, settings, heads=("knn", "linear"), finetune=True), settings)
    assert [record.status for record in outcome.records] == ["incompatible", "incompatible"]
    assert "no gradient" in outcome.records[0].reason
    assert "no network" in outcome.records[1].reason
    again = ready(tiny_set, settings, heads=("knn", "linear"), finetune=True)
    assert run(again, settings).records == ()


def test_out_of_memory_halves_the_batch_and_says_so(tiny_set, settings, monkeypatch):
    tried = []

    def hungry(job):
        tried.append(job.recipe.batch_size)
        if job.recipe.batch_size > 8:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return HEADS["naive"]().train(job)

    add_head(monkeypatch, "hungry", hungry)
    record = run(ready(tiny_set, settings, heads=("hungry",)), settings).records[0]
    assert tried == [32, 16, 8, 8, 8, 8, 8]
    assert record.status == "finished"
    assert record.notes == ("batch halved to 16: out of memory", "batch halved to 8: out of memory")
    assert record.recipe.batch_size == 32
    assert ready(tiny_set, settings, heads=("hungry",)).plan.cells[0].state == "done"


def test_ctrl_c_keeps_what_was_finished(tiny_set, settings, monkeypatch):
    def interrupted(job):
        raise KeyboardInterrupt

    add_head(monkeypatch, "interrupted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(ready(tiny_set, settings, heads=("naive", "interrupted", "linear")), settings)
    assert [record.head.name for record in records_of(settings)] == ["naive"]


def test_a_cell_that_another_sweep_finished_meanwhile_is_skipped(tiny_set, settings):
    late = ready(tiny_set, settings)
    run(ready(tiny_set, settings), settings)
    skipped = []

    class Hears(Listener):
        def cell_skipped(self, cell):
            skipped.append(cell.head)

    assert run(late, settings, Hears()).records == ()
    assert skipped == ["naive", "linear"]


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CvAutomlError, match="cannot write records"):
        require_writable(tmp_path / "file" / "runs", "records", "--runs")


def test_the_same_cell_gives_the_same_record_in_another_folder(tiny_set, settings, tmp_path):
    first = run(ready(tiny_set, settings, heads=("mlp",)), settings).records[0]
    elsewhere = settings.model_copy(update={"runs_dir": tmp_path / "other", "cache_dir": tmp_path / "empty"})
    second = run(ready(tiny_set, elsewhere, heads=("mlp",)), elsewhere).records[0]
    assert (first.key, first.epochs, first.final) == (second.key, second.epochs, second.final)


SLOW_SWEEP = """
import sys, time
from pathlib import Path
import lib.zoo.heads.dense
from lib.benchmark.sweep import run_sweep
from lib.config import load_settings
from lib.zoo.heads import HEADS
from tests.benchmark.made_up_sweep import ready

data_set, folder = map(Path, sys.argv[1:])
train = HEADS["linear"].train

def slow_at_seed_2(self, job):
    if job.seed == 2:
        (folder / "reached").touch()
        time.sleep(600)
    return train(self, job)

HEADS["linear"].train = slow_at_seed_2
settings = load_settings(environment={}).override(runs_dir=folder / "runs", cache_dir=folder / "cache")
sweep = ready(data_set, settings, heads=("linear",), seeds=(0, 1, 2, 3))
run_sweep(sweep.plan, sweep.selection.by_fingerprint, settings)
"""


def test_kill_9_loses_at_most_the_running_cell(tiny_set, settings, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SWEEP, str(tiny_set), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        while not (tmp_path / "reached").exists():
            assert process.poll() is None, "the sweep ended before it could be killed"
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept, broken = RecordStore(settings.runs_dir).read_all()
    assert [record.seed for record in kept] == [0, 1]
    assert not broken
    resumed = ready(tiny_set, settings, heads=("linear",), seeds=(0, 1, 2, 3))
    assert [planned.state for planned in resumed.plan.cells] == ["done", "done", "to do", "to do"]
    assert [record.seed for record in run(resumed, settings).records] == [2, 3]
