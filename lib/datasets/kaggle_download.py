"""Kaggle's Severstal data: fetched with the official package, unpacked safely, counted, put in place whole."""

from __future__ import annotations

import contextlib
import errno
import io
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lib.datasets.base import Card
from lib.datasets.cards import CARD_FILE, write_card
from lib.datasets.images import image_files
from lib.datasets.layouts.severstal import FOLDER, TABLE, read_defects
from lib.errors import DataSetError

COMPETITION = "severstal-steel-defect-detection"
RULES_PAGE = f"https://www.kaggle.com/competitions/{COMPETITION}/rules"
KEY_PAGE = "https://www.kaggle.com/settings (section API)"
_ADVICE = {
    401: f"Kaggle does not know the API key (401): create a new one at {KEY_PAGE}",
    403: f"Kaggle refuses the download (403): open {RULES_PAGE} in a browser, log in with the account of the API key, "
    "accept the rules, and run the same command again",
}
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Expected:
    """What a complete download holds."""

    images: int = 12_568
    rows: int = 7_095


class Client(Protocol):
    """The part of `kaggle.api.kaggle_api_extended.KaggleApi` that is used."""

    def authenticate(self) -> None:
        """Reads the key; without one it ends the process (SystemExit)."""

    def competition_download_files(self, competition: str, path: str, force: bool, quiet: bool) -> None:
        """Writes <competition>.zip into `path`, going on where an interrupted download stopped."""


def download_severstal(
    folder: Path,
    *,
    client: Callable[[], Client] | None = None,
    expected: Expected | None = None,
    quiet: bool = False,
) -> Card:
    """Downloads the competition's data into `folder` and writes its card; an interrupted call is taken up again.

    A folder that already holds all of it (unpacked by hand, say) only gets its card.
    The archive and half-unpacked files wait in a hidden folder beside `folder` until all is there. Raises DataSetError
    with what to do: no key, rules not accepted (403), disk full, a broken or hostile archive, files missing.
    """
    expected = expected or Expected()
    if (folder / CARD_FILE).is_file() or (folder / TABLE).is_file():
        _count(folder, expected)
        card = _card(folder)
        if not (folder / CARD_FILE).is_file():
            write_card(folder, card)
        return card
    if folder.exists() and any(folder.iterdir()):
        raise DataSetError(f"{folder}: holds other files; name an empty folder or a new one with --to")
    work = folder.parent / f".{folder.name}.download"
    try:
        work.mkdir(parents=True, exist_ok=True)
        archive = work / f"{COMPETITION}.zip"
        if not (work / "unpacked.done").is_file():
            _fetch(client or _kaggle_client, work, quiet)
            unpack(archive, work / "files")
            (work / "unpacked.done").touch()
        _count(work / "files", expected)
        card = _card(folder)
        write_card(work / "files", card)
        if folder.exists():
            folder.rmdir()
        (work / "files").rename(folder)
    except OSError as error:
        raise DataSetError(_disk_problem(folder, error)) from error
    shutil.rmtree(work, ignore_errors=True)
    return card


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip file; members that are already there in full are left alone, so that it can be taken up again.

    Raises DataSetError for a broken archive (which is removed, so that the next call fetches it anew), a member whose
    path leaves the folder or that is a link, or a disk without the room.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            targets = [(m, _target(folder, m, archive)) for m in packed.infolist() if not m.is_dir()]
            todo = [(m, t) for m, t in targets if not (t.is_file() and t.stat().st_size == m.file_size)]
            folder.mkdir(parents=True, exist_ok=True)
            _refuse_full_disk(folder, sum(member.file_size for member, _ in todo))
            for member, target in todo:
                _unpack_one(packed, member, target)
    except (zipfile.BadZipFile, EOFError, zipfile.LargeZipFile) as error:
        archive.unlink(missing_ok=True)
        raise DataSetError(
            f"{archive.name} is broken ({error}) and was removed; run the same command again to fetch it anew"
        ) from error


def _unpack_one(packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".tmp")
    with packed.open(member) as source, partial.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    partial.replace(target)


def _target(folder: Path, member: zipfile.ZipInfo, archive: Path) -> Path:
    """Where a member goes; refuses absolute paths, `..`, drive letters and links."""
    name = member.filename.replace("\\", "/")
    path = PurePosixPath(name)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in name or is_link:
        raise DataSetError(
            f"{archive.name}: the member {member.filename!r} would be written outside the folder; nothing was unpacked"
        )
    return folder / path


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataSetError(
            f"{folder}: unpacking needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; make room and run the "
            "same command again"
        )


def _fetch(client: Callable[[], Client], work: Path, quiet: bool) -> None:
    api = _authenticated(client)
    try:
        api.competition_download_files(COMPETITION, path=str(work), force=False, quiet=quiet)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (*_DISK_FULL, errno.EACCES, errno.EROFS):
            raise
        raise DataSetError(_refusal(error)) from error
    if not (work / f"{COMPETITION}.zip").is_file():
        raise DataSetError(f"Kaggle sent no archive {COMPETITION}.zip; run the same command again")


def _authenticated(client: Callable[[], Client]) -> Client:
    """A client with a key. The kaggle package prints and ends the process without one, some versions on import."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            api = client()
            api.authenticate()
    except (SystemExit, Exception) as error:
        raise DataSetError(
            "Kaggle needs an API key: create one at "
            f"{KEY_PAGE}, put the file at ~/.kaggle/kaggle.json (chmod 600) or set KAGGLE_USERNAME and KAGGLE_KEY, "
            f"and accept the competition's rules at {RULES_PAGE}"
        ) from error
    return api


def _kaggle_client() -> Client:
    from kaggle.api.kaggle_api_extended import KaggleApi

    client: Any = KaggleApi()
    return client


def _refusal(error: Exception) -> str:
    status: Any = getattr(getattr(error, "response", None), "status_code", None) or getattr(
        error, "status", None
    )
    reason = " ".join(str(error).split()) or type(error).__name__
    return _ADVICE.get(
        status,
        f"the download from Kaggle broke off: {reason}; run the same command again to go on where it stopped",
    )


def _disk_problem(folder: Path, error: OSError) -> str:
    if error.errno not in _DISK_FULL:
        return f"{folder}: cannot be written: {error.strerror or error}"
    again = "Make room and run the same command again: what has arrived is kept"
    return f"{folder}: the disk is full; about 4 GB are needed. {again}"


def _count(folder: Path, expected: Expected) -> None:
    images = len(image_files(folder / FOLDER))
    rows = len(read_defects(folder / TABLE)) if (folder / TABLE).is_file() else 0
    if (images, rows) != (expected.images, expected.rows):
        raise DataSetError(
            f"{folder}: expected {expected.images} images in {FOLDER} and {expected.rows} rows with pixels in {TABLE}, "
            f"found {images} and {rows}; remove the folder and run the same command again"
        )


def _card(folder: Path) -> Card:
    return Card(
        name=folder.resolve().name.replace("@", "_"),
        domain="industrial",
        task="segmentation",
        layout="severstal",
        classes=("background", "1", "2", "3", "4"),
        description="Hot-rolled steel strip photographed on the line, four kinds of defect, 1600x256 grey strips",
        licence="Kaggle competition rules, PAO Severstal",
        source=f"https://www.kaggle.com/competitions/{COMPETITION}",
    )
