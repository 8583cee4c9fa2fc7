"""A kept model on a folder of images: classes or masks, streamed, resumed where it was interrupted, tables written at the end."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from lib.datasets.rle import encode
from lib.files import refuse_output, replacing, short_hash, writing
from lib.inference.folder import ImageFolder, Picture, pictures
from lib.inference.journal import Journal
from lib.inference.masks import BATCH, Defect, PostProcessing, defects, index_map, window_map
from lib.inference.models import KeptModel
from lib.inference.submission import ClassSubmission, MaskSubmission, Sample
from lib.inference.wanted import PREDICTIONS_FILE, Wanted

DEFECTS_FILE = "defects.csv"
MASKS, OVERLAYS, BY_CLASS = "masks", "overlays", "masks_by_class"
OVERLAY_QUALITY = 90

OnProgress = Callable[[int, int], None]


@dataclass
class Outcome:
    """What was predicted. `skipped`: a sentence for each image that cannot be read; `counts`: class → images (masks: defects)."""

    images: int
    resumed: int
    skipped: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    written: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def predict_folder(
    model: KeptModel, given: Path, wanted: Wanted, cache_dir: Path, on_progress: OnProgress | None = None
) -> Outcome:
    """Predicts every image of a folder once, and writes what is wanted. Interrupted, the same call goes on where it stopped:
    what was found is kept in `cache_dir`. Raises CvAutomlError where there is nothing to predict or no place to write."""
    folder = ImageFolder.at(given)
    wanted.refuse(given)
    if wanted.submission:
        refuse_output(wanted.submission, ".csv", [folder.sample])
    sample = Sample.read(folder.sample) if folder.sample and wanted.submission else None
    answer = (MaskAnswers if model.card.answers_masks else ClassAnswers)(model, wanted, folder, sample)
    told = repr((model.card.key, model.card.state_hash, folder.root.resolve(), wanted)).encode()
    with Journal(cache_dir / "predictions" / f"{short_hash(told)}.jsonl") as journal:
        todo = [file for file in folder.files if file not in journal.done]
        outcome = Outcome(len(folder.files), len(folder.files) - len(todo))
        done = outcome.resumed
        for batch in _batches(pictures(folder, todo, model.card.input, 2 * BATCH)):
            readable = [one for one in batch if one.sized is not None]
            outcome.skipped += [one.problem for one in batch if one.problem]
            for one, found in zip(readable, answer.found(readable), strict=True):
                journal.add(one.file, **found)
            done += len(batch)
            if on_progress:
                on_progress(done, len(folder.files))
        known = set(folder.files)
        answer.write(outcome, lambda: (entry for entry in journal.entries() if entry["file"] in known))
    journal.path.unlink()
    return outcome


def _batches(images: Iterator[Picture]) -> Iterator[list[Picture]]:
    while batch := list(islice(images, BATCH)):
        yield batch


Entries = Callable[[], Iterable[dict[str, Any]]]
"""What was found of each image, from the first one on."""


@dataclass
class ClassAnswers:
    """One class an image, with the probability of each."""

    model: KeptModel
    wanted: Wanted
    folder: ImageFolder
    sample: Sample | None

    def found(self, batch: Sequence[Picture]) -> Iterator[dict[str, Any]]:
        """The probabilities of each picture."""
        if batch:
            answers = self.model.probabilities(_stacked(batch))
            yield from ({"probabilities": [round(float(p), 6) for p in answer]} for answer in answers)

    def write(self, outcome: Outcome, entries: Entries) -> None:
        """predictions.csv: file, class, its probability, and that of each class; submission.csv."""
        classes = self.model.card.classes
        rows = (
            (one["file"], classes[best], max(one["probabilities"]), *one["probabilities"])
            for one in entries()
            for best in [int(np.argmax(one["probabilities"]))]
        )
        counted = _counted(rows, outcome.counts, 1)
        if self.wanted.out:
            header = ("file", "class", "confidence", *(f"probability of {name}" for name in classes))
            outcome.written.append(_write_csv(self.wanted.out / PREDICTIONS_FILE, header, counted))
        else:
            list(counted)
        if self.wanted.submission:
            submission = ClassSubmission(classes, self.sample)
            rows_asked = list(submission.rows(entries()))
            outcome.written.append(_write_csv(self.wanted.submission, submission.header, rows_asked))
            outcome.notes += submission.notes


@dataclass
class MaskAnswers:
    """Masks of the original size: pictures are written at once, the tables at the end."""

    model: KeptModel
    wanted: Wanted
    folder: ImageFolder
    sample: Sample | None

    def __post_init__(self) -> None:
        self.post_processing = PostProcessing.of(self.model.card)
        plain = [str(Path(file).with_suffix(".png")) for file in self.folder.files]
        is_taken = {name for name, n in Counter(plain).items() if n > 1}
        self.names = {
            file: f"{file}.png" if name in is_taken else name
            for file, name in zip(self.folder.files, plain, strict=True)
        }

    def found(self, batch: Sequence[Picture]) -> Iterator[dict[str, Any]]:
        """The runs of each picture's masks and its defects; the pictures to look at are written."""
        if not batch:
            return
        for one, answer in zip(batch, self._answers(batch), strict=True):
            assert one.image is not None
            masks, probabilities = self.post_processing.masks(answer, *one.image.shape[:2])
            pieces = defects(masks, probabilities, self.model.card.classes)
            if self.wanted.out:
                self._draw(self.wanted.out, one, masks, probabilities, pieces)
            yield {"runs": [encode(mask) for mask in masks], "defects": [asdict(piece) for piece in pieces]}

    def _answers(self, batch: Sequence[Picture]) -> Iterable[npt.NDArray[np.float32]]:
        card, answer = self.model.card, self.model.probabilities
        if not card.works_on_windows:
            return answer(_stacked(batch))
        return (window_map(card, one.image, answer) for one in batch if one.image is not None)

    def _draw(
        self,
        out: Path,
        one: Picture,
        masks: npt.NDArray[np.bool_],
        probabilities: npt.NDArray[np.float32],
        pieces: list[Defect],
    ) -> None:
        from lib.inference.overlays import overlay

        assert one.image is not None
        name, classes = self.names[one.file], self.model.card.classes
        _save(PillowImage.fromarray(index_map(masks, probabilities)), out / MASKS / name)
        _save(overlay(one.image, masks, pieces, classes), (out / OVERLAYS / name).with_suffix(".jpg"))
        if (masks.sum(axis=0) > 1).any():
            for k, mask in enumerate(masks):
                _save(PillowImage.fromarray(255 * mask.astype(np.uint8)), out / BY_CLASS / str(k + 1) / name)

    def write(self, outcome: Outcome, entries: Entries) -> None:
        """defects.csv: one row a defect; submission.csv: one row an image and class."""
        header = ("file", *("class" if f.name == "class_name" else f.name for f in fields(Defect)))
        rows = ((one["file"], *piece.values()) for one in entries() for piece in one["defects"])
        counted = _counted(rows, outcome.counts, 1)
        if self.wanted.out:
            outcome.written.append(_write_csv(self.wanted.out / DEFECTS_FILE, header, counted))
        else:
            list(counted)
        if self.wanted.submission:
            submission = MaskSubmission(self.model.card.classes, self.wanted.form, self.sample)
            outcome.written.append(
                _write_csv(self.wanted.submission, submission.header, submission.rows(entries()))
            )


def _stacked(batch: Sequence[Picture]) -> npt.NDArray[np.uint8]:
    return np.stack([one.sized for one in batch if one.sized is not None])


def _counted(rows: Iterable[Any], counts: Counter[str], place: int) -> Iterator[Any]:
    """The rows; what stands at `place` of each is counted as they pass."""
    for row in rows:
        counts[row[place]] += 1
        yield row


def _save(picture: PillowImage.Image, path: Path) -> None:
    def write() -> None:
        with replacing(path, flush=False) as draft:
            picture.save(draft, format="JPEG" if path.suffix == ".jpg" else "PNG", quality=OVERLAY_QUALITY)

    writing(path, write)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    def write() -> Path:
        with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows)
        return path

    return writing(path, write)
