"""The CSV file a competition wants: its own sample's columns and ids where there is one, else the usual ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from lib.errors import CvAutomlError
from lib.files import read_csv

Form = Literal["kaggle", "single"]
KAGGLE = ("ImageId", "ClassId", "EncodedPixels")
SINGLE = ("ImageId_ClassId", "EncodedPixels")
MOST_TOLD = 3

Row = list[Any]


@dataclass(frozen=True)
class Sample:
    """A competition's sample: its header, and the ids of its first column with its first answer in the second."""

    path: Path
    header: tuple[str, ...]
    ids: tuple[str, ...]
    answers: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Sample:
        """Raises CvAutomlError where it cannot be read or has a single column."""
        table = read_csv(path, padded=True)
        if len(table.header) < 2:
            raise CvAutomlError(f"{path}: one column; expected an id and what is to be answered")
        cells = [line.cells for line in table.lines]
        return cls(path, table.header, tuple(row[0] for row in cells), tuple(row[1] for row in cells))


@dataclass
class MaskSubmission:
    """One row an image and class: class ids count from 1, or are the classes' own names where all are numbers."""

    classes: tuple[str, ...]
    form: Form | None = None
    sample: Sample | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def header(self) -> tuple[str, ...]:
        """The sample's columns where it is of the form asked for."""
        columns = {name.lower() for name in self.sample.header} if self.sample else set()
        fitting = [form for form in (KAGGLE, SINGLE) if {name.lower() for name in form} == columns]
        asked = {"kaggle": KAGGLE, "single": SINGLE}.get(self.form or "", fitting[0] if fitting else KAGGLE)
        return self.sample.header if self.sample and asked in fitting else asked

    def rows(self, entries: Iterable[dict[str, Any]]) -> Iterator[Row]:
        """`entries`: `file` and `runs`, the encoded mask of each class, empty for none."""
        header, plain = self.header, self._ids_are_plain()
        numbered = all(name.isdigit() for name in self.classes)
        ids = self.classes if numbered else [str(k) for k in range(1, len(self.classes) + 1)]
        for entry in entries:
            image = _plain(entry["file"]) if plain else entry["file"]
            for class_id, runs in zip(ids, entry["runs"], strict=True):
                cells = {"imageid": image, "classid": class_id, "encodedpixels": runs}
                cells["imageid_classid"] = f"{image}_{class_id}"
                yield [cells[name.lower()] for name in header]

    def _ids_are_plain(self) -> bool:
        """Whether the sample's ids come without the files' endings."""
        if not self.sample or not self.sample.ids:
            return False
        first = self.sample.ids[0]
        image = first.rpartition("_")[0] if len(self.sample.header) == 2 else first
        return not PurePosixPath(image).suffix


@dataclass
class ClassSubmission:
    """One row an image, in the sample's order: its class, or a probability a class where the sample has a column for each."""

    classes: tuple[str, ...]
    sample: Sample | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def header(self) -> tuple[str, ...]:
        """The sample's columns, else file and class."""
        return self.sample.header if self.sample else ("file", "class")

    def rows(self, entries: Iterable[dict[str, Any]]) -> Iterator[Row]:
        """`entries`: `file` and `probabilities`. Raises CvAutomlError for a sample with other columns than id and class(es)."""
        sample = self.sample
        if not sample:
            yield from ([one["file"], self._named(one["probabilities"])] for one in entries)
            return
        answer = self._answer(sample)
        by_id = {key: one for one in entries for key in _ids(one["file"])}
        missing = [id_ for id_ in sample.ids if id_ not in by_id]
        if missing:
            first = ", ".join(missing[:MOST_TOLD])
            self.notes.append(
                f"{sample.path} asks for {len(missing)} images that were not predicted: {first}"
            )
        yield from ([id_, *answer(by_id[id_]["probabilities"])] for id_ in sample.ids if id_ in by_id)

    def _answer(self, sample: Sample) -> Any:
        """What fills the columns behind the id, as a function of the probabilities."""
        columns = sample.header[1:]
        if set(columns) == set(self.classes):
            return lambda p: [round(p[self.classes.index(name)], 6) for name in columns]
        if len(columns) > 1:
            expected = (
                f"expected an id and one class column, or a column for each of {', '.join(self.classes)}"
            )
            raise CvAutomlError(f"{sample.path}: columns {', '.join(sample.header)}; {expected}")
        given = set(sample.answers) - {""}
        if given and not given & set(self.classes) and all(text.isdigit() for text in given):
            self.notes.append("the sample's classes are numbers: classes are numbered from 0 in their order")
            return lambda p: [_largest(p)]
        return lambda p: [self._named(p)]

    def _named(self, probabilities: Sequence[float]) -> str:
        return self.classes[_largest(probabilities)]


def _largest(probabilities: Sequence[float]) -> int:
    return max(range(len(probabilities)), key=probabilities.__getitem__)


def _plain(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))


def _ids(file: str) -> list[str]:
    """What a competition may call a file, the likeliest last: a later entry of a mapping takes the place of an earlier."""
    return [PurePosixPath(file).stem, PurePosixPath(file).name, _plain(file), file]
