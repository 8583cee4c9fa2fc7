"""Files and folders appear whole or not at all, and a CSV file is read with every fault named by its line."""

from __future__ import annotations

import csv
import glob
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lib.errors import CvAutomlError, DataSetError

T = TypeVar("T")

csv.field_size_limit(2**27)  # the runs of a mask may be longer than the 128 KiB that are usual


@contextmanager
def replacing(path: Path, flush: bool = True) -> Iterator[Path]:
    """A new, empty file beside `path` to fill; when the block ends well it takes the place of `path`, else it is removed.

    A reader sees the old file or the whole new one; with `flush` even after a crash of the machine.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        if flush:
            _flush(draft)
        draft.chmod(0o644)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_atomically(path: Path, content: str | bytes, flush: bool = True) -> None:
    """Writes text (as UTF-8) or bytes so that a reader sees the old file or the whole new one."""
    with replacing(path, flush) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def write_npz(path: Path, **arrays: Any) -> None:
    """Writes arrays by name, whole or not at all; to be read with `allow_pickle=False`."""
    import numpy as np

    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)


def writing(place: Path, write: Callable[[], T]) -> T:
    """What `write` returns; a full disk or a read-only folder becomes one sentence (CvAutomlError) that names `place`."""
    try:
        return write()
    except OSError as error:
        raise CvAutomlError(
            f"cannot write {place}: {error.strerror}; choose another place with --out"
        ) from error


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; when the block ends well it takes the place of `folder`, else it is removed.

    Raises DataSetError naming the folder where it cannot be written or the disk is full.
    """
    stage: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(folder)
        stage = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
        stage.mkdir()
        yield stage
        _swap(stage, folder)
    except OSError as error:
        raise DataSetError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def _remove_left_behind(folder: Path) -> None:
    """Removes what killed processes left of earlier attempts; those of living ones stay."""
    for stage in folder.parent.glob(f".{glob.escape(folder.name)}.*.tmp"):
        process = stage.name.split(".")[-2]
        if process.isdecimal() and not _is_alive(int(process)):
            shutil.rmtree(stage, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _swap(stage: Path, folder: Path) -> None:
    """Renames `stage` to `folder`; what was there before goes only after the new one is complete."""
    if not folder.exists():
        stage.rename(folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".old"))
    folder.rename(old / "was")
    try:
        stage.rename(folder)
    except OSError:
        (old / "was").rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


@dataclass(frozen=True)
class CsvLine:
    """One line of a CSV file: `number` counts from 1 with the header among them; as many `cells` as the header has names."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class CsvFile:
    """A CSV file as it stands: the header's names, and every line below it that is not blank."""

    path: Path
    header: tuple[str, ...]
    lines: tuple[CsvLine, ...]


def read_csv(path: Path, error: type[CvAutomlError] = CvAutomlError, padded: bool = False) -> CsvFile:
    """Reads CSV as people write it: with a byte-order mark, semicolons or tabs, blank lines.

    Raises `error`, naming file and line, when it cannot be read, is empty or no UTF-8 text, when quotes are broken, or when a line
    has more cells than the header, or fewer, unless `padded`: then the missing ones are empty.
    """
    text = _text(path, error)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = "," if "," in first else max(";\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as problem:
        raise error(
            f"{path}, line {reader.line_num}: not valid CSV ({problem}); mend the quotes there"
        ) from problem
    if not lines:
        raise error(f"{path} is empty; expected names of columns in its first line")
    header = tuple(lines[0][1])
    fitted = [
        CsvLine(number, _fitted(f"{path}, line {number}", cells, len(header), error, padded))
        for number, cells in lines[1:]
    ]
    return CsvFile(path, header, tuple(fitted))


def _text(path: Path, error: type[CvAutomlError]) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: not UTF-8 text (byte {problem.start}); save it as UTF-8") from problem
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}; pass an existing CSV file") from problem


def _fitted(
    place: str, cells: list[str], width: int, error: type[CvAutomlError], padded: bool
) -> tuple[str, ...]:
    missing = width - len(cells)
    if (missing > 0 and not padded) or any(cell.strip() for cell in cells[width:]):
        raise error(
            f"{place} ('{cells[0]}'): {len(cells)} cells where the header has {width}; add the missing separators or quote cells "
            "that hold one"
        )
    return (*cells[:width], *[""] * missing)


@dataclass(frozen=True)
class Row:
    """One line of a table; `line` counts from 1 with the header as line 1, `values` by lower-case column name."""

    line: int
    values: dict[str, str]


def read_rows(path: Path, required: Sequence[str]) -> list[Row]:
    """The rows of a data set's CSV file; column names in lower case, cells stripped, missing cells at a line's end empty.

    Raises DataSetError naming the file and the missing column, or what `read_csv` finds.
    """
    table = read_csv(path, DataSetError, padded=True)
    header = [name.strip().lower() for name in table.header]
    missing = [name for name in required if name.lower() not in header]
    if missing:
        raise DataSetError(
            f"{path}: the column {' and '.join(missing)} is missing; "
            f"expected {','.join(required)} in the first line, found {','.join(header)}"
        )
    return [
        Row(line.number, {n: c.strip() for n, c in zip(header, line.cells, strict=True)})
        for line in table.lines
    ]


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows, the header among them, as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
