"""One cell → one run record over its folds, whatever happens: an error becomes a failed record with its reason."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lib.benchmark.folds import TrainedFold, assembled
from lib.benchmark.listening import Listener
from lib.benchmark.plan import Cell
from lib.config import PROJECT_ROOT, Settings
from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.features.cache import FeatureCache
from lib.features.embeddings import Embeddings, embeddings_of
from lib.inference.models import keep_model
from lib.records import Environment, HeadInfo, Latency, RunRecord, Timing
from lib.zoo.base import Backbone
from lib.zoo.devices import choose_device, environment, free_memory, is_out_of_memory, set_threads
from lib.zoo.heads import HEADS, Head, TrainingJob, TrainingResult
from lib.zoo.latency import NOT_QUIET, image_latency, pair_latency
from lib.zoo.tuned import TRANSDUCTIVE
from lib.zoo.upscaling import Upscaler, opened_for

RANDOM_WEIGHTS_NOTE = (
    "RANDOM WEIGHTS: the backbone was never trained; its numbers say nothing about the pretrained one"
)
TRANSDUCTIVE_NOTE = "transductive: the backbone was tuned, without labels, on test images too"
NOT_ALONE = "latency not measured: other cells ran on the machine meanwhile"
LONGEST_REASON = 500


@dataclass
class Bench:
    """One data set before one backbone: both are opened when a cell first needs them, and shared by all that follow."""

    data_set: DataSet
    backbone_name: str
    settings: Settings
    measures_latency: bool = True
    beside_others: bool = False  # whether other cells run on the machine meanwhile
    opened: Backbone | None = None
    computed: Embeddings | None = None

    @property
    def backbone(self) -> Backbone:
        """The opened backbone."""
        if self.opened is None:
            self.opened = opened_for(self.data_set, self.backbone_name, self.settings)
        return self.opened

    def embeddings(self, on_batch: Callable[[int, int], None]) -> Embeddings:
        """The data set's embeddings, from memory, the cache or the images."""
        if self.computed is None:
            self.computed = embeddings_of(self.data_set, self.backbone, self.settings, on_batch)
        return self.computed


def run_cell(cell: Cell, bench: Bench, listener: Listener) -> RunRecord:
    """Trains and measures one cell on each of its folds. Errors end in the record; only KeyboardInterrupt and SystemExit get out."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    set_threads(bench.settings.threads)
    device = choose_device(bench.settings.device)
    try:
        outcome = _outcome(cell, bench, device, listener)
    except Exception as error:
        outcome = {"status": "failed", "reason": reason_of(error)}
        free_memory(device)
    head = HEADS[cell.head]()
    parameters = head.parameters(cell.backbone.embedding_width, len(cell.data_set.classes))
    return _record(cell, environment(device, started_at), **{"head_parameters": parameters, **outcome})


def incompatible_record(cell: Cell, reason: str, where: Environment) -> RunRecord:
    """The record of a cell that cannot work."""
    return _record(cell, where, head_parameters=0, status="incompatible", reason=reason)


def lost_record(cell: Cell, reason: str, where: Environment) -> RunRecord:
    """The failed record of a cell whose worker never came back with one."""
    return _record(cell, where, head_parameters=0, status="failed", reason=reason)


def _record(cell: Cell, where: Environment, head_parameters: int, **values: Any) -> RunRecord:
    notes = values.pop("notes", ())
    if cell.backbone.weights_origin == "random":
        notes = (RANDOM_WEIGHTS_NOTE, *notes)
    if cell.backbone.pretraining_method.endswith(TRANSDUCTIVE):
        notes = (TRANSDUCTIVE_NOTE, *notes)
    return RunRecord(
        key=cell.key,
        data_set=cell.data_set,
        backbone=cell.backbone,
        head=HeadInfo(name=cell.head, version=HEADS[cell.head].version, parameters=head_parameters),
        recipe=cell.recipe,
        seed=cell.seed,
        environment=where,
        notes=notes,
        **values,
    )


def job_of(cell: Cell, bench: Bench, device: torch.device, listener: Listener) -> TrainingJob:
    """The training of a cell, its folds not yet told apart; embeddings are computed where the head reads them."""
    embeddings = None
    if cell.needs_features:
        embeddings = bench.embeddings(lambda done, total: listener.features_progress(cell, done, total))
    return TrainingJob(
        data_set=bench.data_set,
        backbone=bench.backbone,
        recipe=cell.recipe,
        seed=cell.seed,
        device=device,
        features=embeddings.values if embeddings else None,
        maps_cache=FeatureCache(bench.settings.cache_dir / "maps", bench.settings.cache_size_gb),
        on_epoch=lambda entry: listener.epoch_ends(cell, entry),
    )


def _outcome(cell: Cell, bench: Bench, device: torch.device, listener: Listener) -> dict[str, Any]:
    job = job_of(cell, bench, device, listener)
    embeddings = bench.computed if cell.needs_features else None
    folds, halvings = train_folds(cell, job, listener)
    listener.cell_trained(cell, folds)
    results = [one.result for one in folds]
    features = (
        {"features_s": embeddings.seconds, "features_images": embeddings.n_images} if embeddings else {}
    )
    training = {name: sum(getattr(one, name) for one in results) for name in ("training_s", "evaluation_s")}
    timed = bench.measures_latency and not bench.beside_others and results[0].predict is not None
    latency = _latency(cell, bench, results[0].predict) if timed else None
    notes = (
        *_enlarged_by(bench),
        *(embeddings.notes if embeddings else ()),
        *halvings,
        *(n for result in results for n in result.notes),
        *((NOT_QUIET,) if timed and latency is None else ()),
        *((NOT_ALONE,) if bench.beside_others else ()),
        *_not_kept(cell, bench, job, results[0]),
    )
    return {
        "status": "finished",
        "head_parameters": results[0].parameters,
        **assembled(folds),
        "timing": Timing(**features, **training),
        "latency": latency,
        "notes": tuple(dict.fromkeys(notes)),
    }


def _enlarged_by(bench: Bench) -> tuple[str, ...]:
    learned = bench.opened.input.enlarge if bench.opened else None
    if not isinstance(learned, Upscaler) or learned.psnr is None:
        return ()
    return (
        "images smaller than the input were enlarged by a network trained, without labels, on the first fold's train part: "
        f"{learned.psnr:.2f} dB on its validation part, bicubic {learned.psnr_bicubic:.2f} dB",
    )


def _not_kept(cell: Cell, bench: Bench, job: TrainingJob, first: TrainingResult) -> tuple[str, ...]:
    """Keeps the model of the first fold where that is asked for; what went wrong is a note, and no reason to lose the run."""
    if not bench.settings.keep_models:
        return ()
    try:
        keep_model(bench.settings.models_dir, cell.key, cell.data_set, cell.head, job, first)
    except CvAutomlError as error:
        return (f"its model was not kept: {reason_of(error)}",)
    return ()


def train_folds(
    cell: Cell, job: TrainingJob, listener: Listener
) -> tuple[list[TrainedFold], tuple[str, ...]]:
    """Trains fold after fold; a batch that had to be halved stays so for the folds that follow."""
    head, trained, halvings = HEADS[cell.head](), [], []
    for place, fold in enumerate(cell.recipe.folds, start=1):
        listener.fold_starts(cell, place, len(cell.recipe.folds))
        part = job.data_set.fold(cell.data_set.split, fold)
        result, batch_size, notes = train_halving(head, replace(job, data_set=part))
        job = replace(job, recipe=job.recipe.model_copy(update={"batch_size": batch_size}))
        trained.append(TrainedFold(fold, part, result))
        halvings += notes
    return trained, tuple(halvings)


def train_halving(head: Head, job: TrainingJob) -> tuple[TrainingResult, int, list[str]]:
    """Trains; where memory runs out, begins again with half the batch. Returns the result, the batch size that fitted and a
    note for each halving."""
    notes: list[str] = []
    while True:
        try:
            return head.train(job), job.recipe.batch_size, notes
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or job.recipe.batch_size < 2:
                raise
        free_memory(job.device)
        smaller = job.recipe.batch_size // 2
        notes.append(f"batch halved to {smaller}: out of memory")
        job = replace(job, recipe=job.recipe.model_copy(update={"batch_size": smaller}))


def _latency(cell: Cell, bench: Bench, predict: Any) -> Latency | None:
    """Backbone and head together; None where the machine was never quiet."""
    if cell.data_set.task == "segmentation":
        return image_latency(predict, cell.recipe.image_height_px, cell.recipe.image_width_px)
    return pair_latency(bench.backbone, predict, bench.settings.cache_dir)


def reason_of(error: BaseException) -> str:
    """One line: the sentence of an error of ours; else its type, message and the place in this project it came from."""
    message = " ".join(str(error).split())[:LONGEST_REASON]
    if isinstance(error, CvAutomlError):
        return message
    return f"{type(error).__name__}: {message or 'no message'}{_place(error)}"


def _place(error: BaseException) -> str:
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if (PROJECT_ROOT / "lib") in file.parents:
            return f" ({file.relative_to(PROJECT_ROOT).as_posix()}:{frame.lineno})"
    return ""
