"""Files and folders appear whole or not at all, and a CSV file is read with every fault named by its line."""

from __future__ import annotations

import csv
import errno
import glob
import hashlib
import io
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lib.errors import CvAutomlError, DataSetError

T = TypeVar("T")
LARGEST_CSV_BYTES = 500_000_000

csv.field_size_limit(2**27)  # the runs of a mask may be longer than the 128 KiB that are usual


@contextmanager
def replacing(path: Path, flush: bool = True) -> Iterator[Path]:
    """A new, empty file beside `path` to fill; when the block ends well it takes the place of `path`, else it is removed. A
    reader sees the old file or the whole new one; with `flush` even after a crash of the machine.

    A link is written through, a device (/dev/stdout) written to. Raises OSError that names `path`; FileExistsError for a folder,
    a pipe or a socket.
    """
    place = path.resolve()
    try:
        if is_device := _is_device(path):
            handle, name = tempfile.mkstemp(suffix=".tmp")
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=place.parent, prefix=".", suffix=".tmp")
        os.close(handle)
        draft = Path(name)
        try:
            yield draft
            _put(draft, path if is_device else place, is_device, flush)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        if error.errno:
            error.filename = str(path)
        raise


def _is_device(path: Path) -> bool:
    if path.is_relative_to("/dev") or path.is_char_device():
        return True
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "is no regular file", str(path))
    return False


def _put(draft: Path, place: Path, is_device: bool, flush: bool) -> None:
    if is_device:
        with place.open("wb") as device:
            device.write(draft.read_bytes())
        return
    if flush:
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
    draft.chmod(0o644)
    draft.replace(place)


def refuse_output(path: Path, suffix: str, inputs: Iterable[Path | None] = ()) -> None:
    """Raises CvAutomlError, before any work is done, where `path` cannot be written or would take the place of something else:
    of one of `inputs` (of a folder: of any file in it), or of a file that does not end in `suffix`."""
    if path.is_dir():
        raise CvAutomlError(f"cannot write {path}: it is a folder; name a {suffix} file")
    place, taken = path.resolve(), path.is_file()
    if taken and any(place.is_relative_to(one.resolve()) for one in inputs if one):
        raise CvAutomlError(
            f"cannot write {path}: it is read here, and would be lost; name another {suffix} file"
        )
    if taken and path.suffix.lower() != suffix:
        raise CvAutomlError(
            f"cannot write {path}: it exists and is no {suffix} file; name another {suffix} file"
        )
    standing = next(parent for parent in place.parents if parent.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK):
        raise CvAutomlError(
            f"cannot write {path}: {standing} is no folder that can be written to; choose another"
        )


def write_atomically(path: Path, content: str | bytes, flush: bool = True) -> None:
    """Writes text (as UTF-8) or bytes so that a reader sees the old file or the whole new one."""
    with replacing(path, flush) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def plain(value: Any) -> Any:
    """JSON's own types of pydantic models, arrays, tuples and paths; NaN and infinities as None."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Writes plain values as indented JSON, whole or not at all. Raises ValueError for NaN and infinities."""
    write_atomically(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_npz(path: Path, **arrays: Any) -> None:
    """Writes arrays by name, whole or not at all; to be read with `allow_pickle=False`."""
    import numpy as np

    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **arrays)


def save_picture(figure: Any, path: Path, dpi: float = 100) -> None:
    """Writes a matplotlib figure as SVG where `path` ends in .svg, else as PNG; whole or not at all."""
    with replacing(path) as draft:
        figure.savefig(draft, format="svg" if path.suffix.lower() == ".svg" else "png", dpi=dpi)


def short_hash(content: str | bytes) -> str:
    """16 hex digits of SHA-256, text as UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def require_writable(folder: Path, what: str, option: str) -> None:
    """Makes the folder; raises CvAutomlError unless `what` can be written into it: found out before hours are spent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        advice = f"{error.strerror or error}; choose another folder with {option}"
        raise CvAutomlError(f"cannot write {what} into {folder}: {advice}") from error


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
    """An empty folder to fill; when the block ends well it takes the place of `folder`, else it is removed. Raises DataSetError
    naming the folder where it cannot be written or the disk is full."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(folder)
        work = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
        try:
            (work / "new").mkdir(parents=True)
            yield work / "new"
            _swap(work / "new", folder, work / "old")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise DataSetError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Renames `new` to `folder`; what was there before goes only after the new one is complete."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _remove_left_behind(folder: Path) -> None:
    """Removes what killed processes, and this one, left of earlier attempts; those of other living ones stay."""
    for stage in folder.parent.glob(f".{glob.escape(folder.name)}.*.tmp"):
        process = stage.name.split(".")[-2]
        with suppress(PermissionError):
            try:
                if process != str(os.getpid()):
                    os.kill(int(process), 0)
                    continue
            except (ProcessLookupError, OverflowError):
                pass
            shutil.rmtree(stage, ignore_errors=True)


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
    """Reads CSV as people write it: with a byte-order mark, semicolons or tabs, blank lines. Raises `error`, naming file and
    line, when it cannot be read, is empty or no UTF-8 text, when quotes are broken, or when a line has more cells than the
    header, or fewer, unless `padded`: then the missing ones are empty."""
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
    (_, header), *rest = lines
    for number, cells in rest:
        missing = len(header) - len(cells)
        if (missing > 0 and not padded) or any(cell.strip() for cell in cells[len(header) :]):
            raise error(
                f"{path}, line {number} ('{cells[0]}'): {len(cells)} cells where the header has {len(header)}; add the missing "
                "separators or quote cells that hold one"
            )
        cells[len(header) :] = [""] * missing
    return CsvFile(path, tuple(header), tuple(CsvLine(number, tuple(cells)) for number, cells in rest))


def _text(path: Path, error: type[CvAutomlError]) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CSV_BYTES + 1)
        if len(content) > LARGEST_CSV_BYTES:
            raise error(f"{path}: larger than {LARGEST_CSV_BYTES} bytes; expected a table")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{path}: not UTF-8 text (byte {problem.start}); save it as UTF-8") from problem
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}; pass an existing CSV file") from problem


def read_rows(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The lines of a data set's CSV file: number, and cell by column name; names in lower case, cells stripped, missing ones at
    a line's end empty. Raises DataSetError naming the file and the missing column, or what `read_csv` finds."""
    table = read_csv(path, DataSetError, padded=True)
    header = [name.strip().lower() for name in table.header]
    missing = [name for name in required if name.lower() not in header]
    if missing:
        raise DataSetError(
            f"{path}: the column {' and '.join(missing)} is missing; "
            f"expected {','.join(required)} in the first line, found {','.join(header)}"
        )
    return [(one.number, dict(zip(header, map(str.strip, one.cells), strict=True))) for one in table.lines]


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows, the header among them, as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
