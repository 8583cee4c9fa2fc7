"""Exports of a sweep to other people's trackers: they hear what the record hears, and one that fails never stops a run.

A tracker is one decorated class; its library is an optional extra of the same name. The records stay the only truth.
"""

from __future__ import annotations

import importlib.util
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lib.benchmark.listening import Listener, together
from lib.benchmark.plan import Cell
from lib.errors import CvAutomlError
from lib.records import EpochEntry, RunRecord
from lib.registry import Registry

PROJECT = "cv-automl"
Numbers = Mapping[str, float]


class Tracker(ABC):
    """One kind of store. A run is begun, told numbers by step, and ended; at most one is open at a time.

    Made with the folder that it may write to. Methods may raise whatever the library raises.
    """

    module: str

    @abstractmethod
    def begin(self, name: str, config: Mapping[str, str]) -> None:
        """Opens a run."""

    @abstractmethod
    def log(self, numbers: Numbers, step: int) -> None:
        """Numbers by name after an epoch, from 1."""

    @abstractmethod
    def end(self, final: Numbers, status: str, reason: str | None) -> None:
        """The final metrics and how it went: finished, failed or interrupted; closes the run."""


TRACKERS: Registry[Callable[[Path], Tracker]] = Registry("tracker")


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """Event files, a folder a run; `tensorboard --logdir FOLDER` shows them."""

    module = "tensorboard"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"

    def begin(self, name: str, config: Mapping[str, str]) -> None:
        """Opens an event file and writes the recipe as text."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(self.folder / name))
        self.writer.add_text("config", "\n".join(f"    {key}: {value}" for key, value in config.items()))

    def log(self, numbers: Numbers, step: int) -> None:
        """Scalars."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def end(self, final: Numbers, status: str, reason: str | None) -> None:
        """Final scalars at step 0, and the status as text."""
        self.log(final, 0)
        self.writer.add_text("status", f"{status}: {reason}" if reason else status)
        self.writer.close()


@TRACKERS.register("wandb")
class WeightsAndBiases(Tracker):
    """Weights & Biases; WANDB_MODE=offline keeps runs in the folder until `wandb sync` sends them."""

    module = "wandb"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str, config: Mapping[str, str]) -> None:
        """Opens a run whose steps are epochs: folds begin anew at 1, which its own steps must not."""
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        silent = wandb.Settings(silent=True)
        self.run = wandb.init(
            project=PROJECT, name=name, dir=str(self.folder), config=dict(config), settings=silent
        )
        self.run.define_metric("*", step_metric="epoch")

    def log(self, numbers: Numbers, step: int) -> None:
        """One line of history."""
        self.run.log({"epoch": step, **numbers})

    def end(self, final: Numbers, status: str, reason: str | None) -> None:
        """Final metrics and status in the summary."""
        self.run.summary.update({**final, "status": status, "reason": reason or ""})
        self.run.finish(exit_code=0 if status == "finished" else 1)


@TRACKERS.register("mlflow")
class Mlflow(Tracker):
    """MLflow: the server that MLFLOW_TRACKING_URI names, else files below the folder."""

    module = "mlflow"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str, config: Mapping[str, str]) -> None:
        """Opens a run of the experiment `cv-automl`."""
        import os

        import mlflow

        self.folder.mkdir(parents=True, exist_ok=True)
        # The extra is MLflow without its databases, and files have to be allowed since version 3.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        here = (self.folder / "mlflow").as_uri()
        self.client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", here))
        found = self.client.get_experiment_by_name(PROJECT)
        experiment = found.experiment_id if found else self.client.create_experiment(PROJECT)
        self.run_id = self.client.create_run(experiment, run_name=name).info.run_id
        for key, value in config.items():
            self.client.log_param(self.run_id, key, value)

    def log(self, numbers: Numbers, step: int) -> None:
        """Metrics of a step."""
        for name, value in numbers.items():
            self.client.log_metric(self.run_id, name, value, step=step)

    def end(self, final: Numbers, status: str, reason: str | None) -> None:
        """Final metrics; a run that did not finish is marked, with the reason as a tag."""
        self.log(final, 0)
        self.client.set_tag(self.run_id, "reason", reason or "")
        states = {"finished": "FINISHED", "interrupted": "KILLED"}
        self.client.set_terminated(self.run_id, states.get(status, "FAILED"))


class Tracking(Listener):
    """Tells the trackers of cells, epochs and records.

    An epoch of a fold is told as it ends (`fold 1/validation/accuracy`), the mean over the folds with the record
    (`validation/accuracy`), which is all that comes from cells that ran in other processes. A tracker that raises is given up
    with a sentence through `warn`.
    """

    def __init__(self, trackers: Mapping[str, Tracker], warn: Callable[[str], None]) -> None:
        self.trackers, self.warn = dict(trackers), warn
        self.open: str | None = None
        self.fold = 1

    def fold_starts(self, cell: Cell, place: int, of: int) -> None:
        """Remembers whose epochs come now."""
        self.fold = place

    def epoch_ends(self, cell: Cell, entry: EpochEntry) -> None:
        """Tells the epoch of the fold."""
        self._begin(cell)
        numbers = {f"fold {self.fold}/{name}": value for name, value in numbers_of(entry).items()}
        self._tell(lambda tracker: tracker.log(numbers, entry.epoch))

    def cell_ends(self, cell: Cell, record: RunRecord) -> None:
        """Tells the record's epochs, final metrics and status."""
        self._begin(cell)
        for entry in record.epochs:
            self._tell(lambda tracker, entry=entry: tracker.log(numbers_of(entry), entry.epoch))
        self._end(final_numbers(record), record.status, record.reason)

    def close(self) -> None:
        """Ends the run of a cell that was interrupted."""
        if self.open:
            self._end({}, "interrupted", "the sweep was interrupted")

    def _begin(self, cell: Cell) -> None:
        if self.open != cell.key:
            self.open = cell.key
            self._tell(lambda tracker: tracker.begin(name_of(cell), config_of(cell)))

    def _end(self, final: Numbers, status: str, reason: str | None) -> None:
        self._tell(lambda tracker: tracker.end(final, status, reason))
        self.open = None

    def _tell(self, say: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers.items()):
            try:
                say(tracker)
            except Exception as error:  # whatever someone else's library raises: the sweep goes on
                del self.trackers[name]
                why = " ".join(str(error).split())[:200] or type(error).__name__
                self.warn(f"warning: tracker {name} failed and is told nothing more: {why}")


def name_of(cell: Cell) -> str:
    """Names the run as its record's file does: one word, the same each time."""
    place = f"{cell.data_set.name}__{cell.backbone.name}__{cell.column}__seed{cell.seed}__{cell.key}"
    return place.replace(" ", "_").replace("/", "_")


def config_of(cell: Cell) -> dict[str, str]:
    """What decides the run: data set, pair, seed, and every setting of the recipe."""
    recipe = cell.recipe.model_dump(mode="json")
    nested = {name: json.dumps(value) for name, value in recipe.items() if isinstance(value, dict | list)}
    plain = {name: str(value) for name, value in recipe.items() if name not in nested}
    pair = {"data_set": cell.data_set.name, "backbone": cell.backbone.name, "head": cell.column}
    origin = {"weights_origin": cell.backbone.weights_origin, "seed": str(cell.seed), "key": cell.key}
    return {**pair, **origin, **plain, **nested}


def numbers_of(entry: EpochEntry) -> dict[str, float]:
    """Loss, learning rate and the metrics of both parts, by name."""
    scalars = {"train_loss": entry.train_loss, "learning_rate": entry.learning_rate}
    found = {name: value for name, value in scalars.items() if value is not None}
    for part in ("validation", "test"):
        found |= {f"{part}/{name}": value for name, value in getattr(entry, part).items()}
    return found


def final_numbers(record: RunRecord) -> dict[str, float]:
    """The final metrics with their standard errors, and the seconds."""
    if record.final is None:
        return {}
    metrics = {f"final/{name}": value for name, value in record.final.metrics.items()}
    errors = {f"final/{name}_standard_error": value for name, value in record.final.standard_error.items()}
    return {**metrics, **errors, "final/training_s": record.timing.training_s}


@contextmanager
def tracked(listener: Listener, names: Sequence[str], folder: Path) -> Iterator[Listener]:
    """The listener with the trackers beside it. Raises CvAutomlError, before anything runs, where a library is missing."""
    if not names:
        yield listener
        return
    tracking = Tracking({name: _made(name, folder) for name in dict.fromkeys(names)}, listener.told)
    try:
        yield together(listener, tracking)
    finally:
        tracking.close()


def _made(name: str, folder: Path) -> Tracker:
    kind: Any = TRACKERS[name]
    if importlib.util.find_spec(kind.module) is None:
        raise CvAutomlError(f"--tracker {name}: not installed here; `poetry install --extras {name}` adds it")
    return kind(folder)
