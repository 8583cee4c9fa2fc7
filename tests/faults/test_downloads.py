"""Downloads: no secret is printed, nothing is written outside its folder, no archive is larger than its task."""

from __future__ import annotations

import traceback
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from lib.datasets import kaggle_download
from lib.errors import CvAutomlError


def archive(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/"), content)
    return path


def test_unpacking_does_not_follow_a_link_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    (work / "train_images").symlink_to(tmp_path / "outside")
    packed = archive(tmp_path / "a.zip", **{"train_images__x.jpg": b"x"})
    with pytest.raises(CvAutomlError):
        kaggle_download.unpack(packed, work)
    assert not list((tmp_path / "outside").iterdir())


def test_an_archive_larger_than_its_task_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle_download, "LARGEST_UNPACKED_BYTES", 1000)
    packed = archive(tmp_path / "a.zip", **{"train.csv": b"0" * 100_000})
    with pytest.raises(CvAutomlError, match=r"a\.zip"):
        kaggle_download.unpack(packed, tmp_path / "work")


@pytest.mark.parametrize("flag", [0x1, 0])
def test_an_encrypted_archive_and_an_unknown_compression_get_a_sentence(tmp_path: Path, flag: int) -> None:
    packed = archive(tmp_path / "a.zip", **{"train.csv": b"ImageId"})
    raw = bytearray(packed.read_bytes())
    central = raw.index(b"PK\x01\x02")
    if flag:
        raw[central + 8] |= 1
        raw[6] |= 1
    else:
        raw[central + 10] = raw[8] = 99
    packed.write_bytes(bytes(raw))
    with pytest.raises(CvAutomlError, match=r"a\.zip"):
        kaggle_download.unpack(packed, tmp_path / "work")


def test_links_that_lie_in_the_way_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for name in ("train.csv", "train.csv.tmp"):
        work = tmp_path / f"work of {name}"
        work.mkdir()
        (work / name).symlink_to(secret)
        with suppress(CvAutomlError):
            kaggle_download.unpack(archive(tmp_path / "a.zip", **{"train.csv": b"ImageId"}), work)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CvAutomlError, match="is a link"):
        kaggle_download.unpack(archive(tmp_path / "a.zip", **{"train.csv": b"ImageId"}), tmp_path / "work")
    assert secret.read_text() == "secret" and not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["../x", "/x", "C:/x", "a/../../x", "..\\x", "a\x1b/../../x"])
def test_a_member_outside_is_refused(tmp_path: Path, name: str) -> None:
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, b"x")
    with pytest.raises(CvAutomlError, match=r"a\.zip") as refused:
        kaggle_download.unpack(packed, tmp_path / "work")
    assert "\x1b" not in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_more_files_than_any_task_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle_download, "MOST_MEMBERS", 3)
    packed = archive(tmp_path / "a.zip", **{f"{i}.jpg": b"" for i in range(4)})
    with pytest.raises(CvAutomlError, match="4 files"):
        kaggle_download.unpack(packed, tmp_path / "work")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.97])
def test_a_damaged_archive_gets_a_sentence(tmp_path: Path, place: float) -> None:
    packed = archive(tmp_path / "a.zip", **{"train.csv": bytes(range(256)) * 50})
    raw = bytearray(packed.read_bytes())
    at = int(place * len(raw))
    raw[at : at + 8] = b"\xff" * 8
    packed.write_bytes(bytes(raw))
    with suppress(CvAutomlError):
        kaggle_download.unpack(packed, tmp_path / "work")
        pytest.fail("a damaged archive was believed")


@pytest.mark.parametrize(
    "reason",
    [
        "HTTPSConnectionPool(host='x.com', port=443): Max retries exceeded with url: /a.zip?X-Signature=SECRET&b=1",
        "Connection broken: https://user:SECRET@x.com/a.zip",
        "GET https://x.com/a.zip?token=SECRET#SECRET failed",
        "https://x.com/a.zip#access_token=SECRET failed",
        "401 with header Authorization: Bearer SECRET and KAGGLE_KEY=SECRET",
    ],
)
def test_a_broken_download_tells_no_secret(tmp_path: Path, reason: str) -> None:
    class Broken:
        def authenticate(self) -> None: ...

        def competition_download_files(self, *_: object, **__: object) -> None:
            raise ConnectionError(reason)

    with pytest.raises(CvAutomlError, match="broke off") as refused:
        kaggle_download.download_severstal(tmp_path / "to", client=Broken, quiet=True)
    assert "SECRET" not in "".join(traceback.format_exception(refused.value))
