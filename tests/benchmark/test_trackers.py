"""Trackers hear what the record says, read back from their own files; one that fails never stops a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lib.benchmark import trackers
from lib.benchmark.listening import Listener, together
from lib.benchmark.trackers import TRACKERS, Tracker, config_of, tracked
from lib.commands.tracking import NAMES
from lib.errors import CvAutomlError
from lib.records import EpochEntry
from tests.benchmark.made_up_sweep import add_head, ready, swept, write_tiny_set
from tests.conftest import make_latency_quick


@pytest.fixture(autouse=True)
def quick_latency(monkeypatch):
    make_latency_quick(monkeypatch)


class Told(Listener):
    def __init__(self):
        self.sentences = []

    def told(self, sentence):
        self.sentences.append(sentence)


class Noted(Tracker):
    module = "json"

    def __init__(self, folder):
        self.events = []

    def begin(self, name, config):
        self.events.append(("begin", name, config))

    def log(self, numbers, step):
        self.events.append(("log", numbers, step))

    def end(self, final, status, reason):
        self.events.append(("end", final, status, reason))


class Broken(Noted):
    def log(self, numbers, step):
        raise RuntimeError("the server is\naway")


def run_tracked(tmp_path, settings, names, **request):
    """The sweep's outcome, its plan and what was told; every tracker writes below `tmp_path / "out"`."""
    data_set = write_tiny_set(tmp_path / "tiny")
    sweep, told = ready(data_set, settings, **request), Told()
    with tracked(told, names, tmp_path / "out") as listener:
        return swept(sweep, settings, listener), sweep.plan, told


def test_every_tracker_can_be_asked_for():
    assert TRACKERS.names() == list(NAMES)


def test_a_run_is_told_as_its_record_says(tmp_path, settings, monkeypatch):
    noted = Noted(tmp_path)
    monkeypatch.setitem(TRACKERS._parts, "noted", type("Kind", (Noted,), {"__new__": lambda *_: noted}))
    outcome, *_ = run_tracked(tmp_path, settings, ["noted"], heads=("linear",), folds=2)
    (record,) = outcome.records
    begin, *logs, end = noted.events
    assert begin[0] == "begin" and record.key in begin[1]
    assert begin[2]["head"] == "linear" and json.loads(begin[2]["grid"]) == {
        "C": list(record.recipe.grid["C"])
    }
    steps = [(step, sorted(numbers)[0].partition("/")[0]) for _, numbers, step in logs]
    assert [s for s, _ in steps] == [1, 2, 1, 2, 1, 2] and steps[0][1] == "fold 1" and steps[2][1] == "fold 2"
    assert logs[-1][1]["test/accuracy"] == record.epochs[-1].test["accuracy"]
    mean = sum(logs[i][1][f"fold {i // 2 + 1}/test/accuracy"] for i in (1, 3)) / 2
    assert mean == pytest.approx(record.quality())
    assert end[1]["final/accuracy"] == record.final.metrics["accuracy"] and end[2:] == ("finished", None)


def test_a_failed_cell_is_told_with_its_reason_and_an_interrupted_one_is_closed(
    tmp_path, settings, monkeypatch
):
    noted = Noted(tmp_path)
    monkeypatch.setitem(TRACKERS._parts, "noted", type("Kind", (Noted,), {"__new__": lambda *_: noted}))

    def fails(job):
        raise ValueError("the made-up reason")

    add_head(monkeypatch, "fails", fails)
    run_tracked(tmp_path, settings, ["noted"], heads=("fails",))
    kind, _, status, reason = noted.events[-1]
    assert (kind, status) == ("end", "failed") and "the made-up reason" in reason

    def interrupted(job):
        job.on_epoch(EpochEntry(epoch=1, train_loss=1.0))
        raise KeyboardInterrupt

    add_head(monkeypatch, "interrupted", interrupted)
    sweep = ready(tmp_path / "tiny", settings, heads=("interrupted",))
    with pytest.raises(KeyboardInterrupt), tracked(Told(), ["noted"], tmp_path) as listener:
        swept(sweep, settings, listener)
    assert noted.events[-1][2] == "interrupted"


def test_a_tracker_that_fails_is_given_up_with_one_warning(tmp_path, settings, monkeypatch):
    monkeypatch.setitem(TRACKERS._parts, "broken", Broken)
    outcome, _, told = run_tracked(tmp_path, settings, ["broken"])
    assert outcome.count("finished") == 2
    assert told.sentences == ["warning: tracker broken failed and is told nothing more: the server is away"]


def test_a_missing_library_is_one_sentence_before_anything_runs(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with (
        pytest.raises(CvAutomlError, match="poetry install --extras wandb"),
        tracked(Told(), ["wandb"], tmp_path),
    ):
        pass


def test_tensorboard_files_hold_the_records_curve(tmp_path, settings):
    pytest.importorskip("tensorboard")
    outcome, *_ = run_tracked(tmp_path, settings, ["tensorboard"], heads=("linear",))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (record,) = outcome.records
    (folder,) = (tmp_path / "out" / "tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    found = [(event.step, event.value) for event in events.Scalars("test/accuracy")]
    expected = [(entry.epoch, entry.test["accuracy"]) for entry in record.epochs]
    assert found == [(step, pytest.approx(value)) for step, value in expected]
    assert events.Scalars("final/accuracy")[0].value == pytest.approx(record.final.metrics["accuracy"])


def test_mlflow_holds_config_curve_and_status(tmp_path, settings, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    outcome, plan, told = run_tracked(tmp_path, settings, ["mlflow"], heads=("linear",))
    assert told.sentences == []
    client = mlflow.MlflowClient((tmp_path / "out" / "mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("cv-automl").experiment_id])
    assert run.data.params == config_of(plan.cells[0].cell) and run.info.status == "FINISHED"
    found = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "test/accuracy")}
    assert found == {entry.epoch: entry.test["accuracy"] for entry in outcome.records[0].epochs}


def test_weights_and_biases_keeps_a_run_offline(tmp_path, settings, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    outcome, _, told = run_tracked(tmp_path, settings, ["wandb"], heads=("linear",), folds=1)
    assert told.sentences == [] and outcome.count("finished") == 1
    (file,) = Path(tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb")
    assert outcome.records[0].key.encode() in file.read_bytes()


def test_several_listeners_hear_every_event_in_their_order():
    heard = []

    class One(Listener):
        def __init__(self, name):
            self.name = name

        def told(self, sentence):
            heard.append((self.name, sentence))

    together(One("a"), One("b")).told("x")
    assert heard == [("a", "x"), ("b", "x")]
