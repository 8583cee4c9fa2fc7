"""Kaggle's Severstal data: fetched with the official package, unpacked safely, counted, put in place whole."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

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
LARGEST_UNPACKED_BYTES = 8_000_000_000  # four times what the competition's files need
MOST_MEMBERS = 100_000
_SECRETS = re.compile(
    r"[?#]\S+|(?<=//)[^/\s@]+@|(?<=bearer )\S+|(?<=basic )\S+|(?<=key=)\S+|(?<=token=)\S+", re.IGNORECASE
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Expected:
    """What a complete download holds."""

    images: int = 12_568
    rows: int = 7_095


def download_severstal(
    folder: Path,
    *,
    client: Callable[[], Any] | None = None,
    expected: Expected | None = None,
    quiet: bool = False,
) -> Card:
    """Downloads the competition's data into `folder` and writes its card; an interrupted call is taken up again. A folder that
    already holds all of it (unpacked by hand, say) only gets its card. The archive and half-unpacked files wait in a hidden
    folder beside `folder` until all is there. `client` makes what is used of kaggle's `KaggleApi`. Raises DataSetError with
    what to do: no key, rules not accepted (403), disk full, a broken or hostile archive, files missing."""
    expected, card = expected or Expected(), _card(folder)
    if (folder / CARD_FILE).is_file() or (folder / TABLE).is_file():
        _count(folder, expected)
        if not (folder / CARD_FILE).is_file():
            write_card(folder, card)
        return card
    if folder.exists() and any(folder.iterdir()):
        raise DataSetError(f"{folder}: holds other files; name an empty folder or a new one with --to")
    work = folder.parent / f".{folder.name}.download"
    files, unpacked = work / "files", work / "unpacked.done"
    try:
        work.mkdir(parents=True, exist_ok=True)
        if not unpacked.is_file():
            unpack(_fetched(client or _kaggle_client, work, quiet), files)
            unpacked.touch()
        _count(files, expected)
        write_card(files, card)
        if folder.exists():
            folder.rmdir()
        files.rename(folder)
    except OSError as error:
        full = "the disk is full; about 4 GB are needed. Make room and run the same command again: what has arrived is kept"
        problem = full if error.errno in _DISK_FULL else f"cannot be written: {error.strerror or error}"
        raise DataSetError(f"{folder}: {problem}") from error
    shutil.rmtree(work, ignore_errors=True)
    return card


def unpack(archive: Path, folder: Path) -> None:
    """Unpacks a zip file; members that are already there in full are left alone, so that it can be taken up again. Raises
    DataSetError for a broken archive (which is removed, so that the next call fetches it anew), one that cannot be read (it is
    encrypted, or packed as Python does not know), one larger than the task, a member whose path leaves the folder (through a
    link that lies there, too) or that is a link, or a disk without the room."""
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.infolist() if not member.is_dir()]
            _refuse_strange_paths(archive.name, members)
            _refuse_too_much(archive.name, members)
            targets = [(member, folder / member.filename.replace("\\", "/")) for member in members]
            _refuse_links(archive.name, folder, {target for _, target in targets})
            todo = [(m, t) for m, t in targets if not (t.is_file() and t.stat().st_size == m.file_size)]
            folder.mkdir(parents=True, exist_ok=True)
            needed, free = sum(m.file_size for m, _ in todo) / 1e9, shutil.disk_usage(folder).free / 1e9
            if free < needed:
                raise DataSetError(
                    f"{folder}: unpacking needs {needed:.1f} GB, {free:.1f} GB are free; make room and run the same command again"
                )
            for member, target in todo:
                _unpack_one(packed, member, target)
    except (RuntimeError, ValueError) as error:  # encrypted; NotImplementedError: an unknown way of packing
        raise DataSetError(
            f"{archive.name} cannot be unpacked: {error}; remove {archive} and run the same command again"
        ) from error
    except (zipfile.BadZipFile, EOFError, zipfile.LargeZipFile, zlib.error) as error:
        archive.unlink(missing_ok=True)
        raise DataSetError(
            f"{archive.name} is broken ({error}) and was removed; run the same command again to fetch it anew"
        ) from error


def _unpack_one(packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".tmp")
    partial.unlink(missing_ok=True)
    with packed.open(member) as source, partial.open("xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    partial.replace(target)


def _refuse_strange_paths(archive: str, members: list[zipfile.ZipInfo]) -> None:
    """Absolute paths, `..`, drive letters and links."""
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or ":" in str(path) or is_link:
            raise DataSetError(
                f"{archive}: the member {member.filename!r} would be written outside the folder; nothing was unpacked"
            )


def _refuse_too_much(archive: str, members: list[zipfile.ZipInfo]) -> None:
    """A zip file never gives more than it declares, and what it declares has a bound."""
    size = sum(member.file_size for member in members)
    if size > LARGEST_UNPACKED_BYTES or len(members) > MOST_MEMBERS:
        raise DataSetError(
            f"{archive}: declares {len(members)} files of {size / 1e9:.1f} GB, more than {MOST_MEMBERS} files or "
            f"{LARGEST_UNPACKED_BYTES / 1e9:.1f} GB; this is not the competition's data, and nothing was unpacked"
        )


def _refuse_links(archive: str, folder: Path, targets: set[Path]) -> None:
    """Links on the way to a target: what is written there would land elsewhere."""
    ways = {way for target in targets for way in (target, *target.parents) if way.is_relative_to(folder)}
    for link in sorted(way for way in ways if way.is_symlink()):
        raise DataSetError(f"{archive}: {link} is a link to another place; remove it, nothing was unpacked")


def _fetched(client: Callable[[], Any], work: Path, quiet: bool) -> Path:
    """The archive; its download goes on where an interrupted one stopped."""
    api, archive = _authenticated(client), work / f"{COMPETITION}.zip"
    try:
        api.competition_download_files(COMPETITION, path=str(work), force=False, quiet=quiet)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (*_DISK_FULL, errno.EACCES, errno.EROFS):
            raise
        status: Any = getattr(
            getattr(error, "response", error), "status_code", getattr(error, "status", None)
        )
        reason = _SECRETS.sub("", " ".join(str(error).split()))[:300] or type(error).__name__
        broke_off = f"the download from Kaggle broke off: {reason}; run the same command again to go on where it stopped"
        raise DataSetError(_ADVICE.get(status, broke_off)) from None  # a traceback would show the signed URL
    if not archive.is_file():
        raise DataSetError(f"Kaggle sent no archive {archive.name}; run the same command again")
    return archive


def _authenticated(client: Callable[[], Any]) -> Any:
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


def _kaggle_client() -> Any:
    from kaggle.api.kaggle_api_extended import KaggleApi

    return KaggleApi()


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
