"""Kaggle's download with a client made for the test and a small archive."""

from __future__ import annotations

import errno
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lib.config import Settings
from lib.datasets import kaggle_download, load_data_set
from lib.datasets.kaggle_download import COMPETITION, Expected, download_severstal
from lib.errors import DataSetError
from tests.datasets import made_up

EXPECTED = Expected(images=6, rows=3)


def _archive(tmp_path: Path, extra: dict[str, str] | None = None) -> bytes:
    root = made_up.severstal(tmp_path / "source", [0, 1, 0, 2, 0, 3])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.write(root / "train.csv", "train.csv")
        for image in sorted((root / "train_images").iterdir()):
            packed.write(image, f"train_images/{image.name}")
        for name, text in (extra or {}).items():
            packed.writestr(name, text)
    return file.getvalue()


class Client:
    """Stands in for KaggleApi: authenticates, then runs `deliver(folder)`."""

    def __init__(self, deliver: Callable[[Path], None]) -> None:
        self.deliver = deliver
        self.calls = 0

    def authenticate(self) -> None:
        pass

    def competition_download_files(self, competition: str, path: str, force: bool, quiet: bool) -> None:
        assert competition == COMPETITION and not force
        self.calls += 1
        self.deliver(Path(path))


def _sending(content: bytes) -> Client:
    return Client(lambda folder: (folder / f"{COMPETITION}.zip").write_bytes(content) and None)


def _download(folder: Path, client: Client) -> None:
    download_severstal(folder, client=lambda: client, expected=EXPECTED, quiet=True)


def test_a_download_is_unpacked_counted_and_tidied_up(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "data" / "severstal"
    client = _sending(_archive(tmp_path))
    _download(folder, client)
    assert [p.name for p in folder.parent.iterdir()] == ["severstal"]
    assert load_data_set(folder, settings).class_counts() == (1, 1, 1, 0)
    _download(folder, client)
    assert client.calls == 1


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "train_images/../../evil.txt", "C:\\evil.txt", "..\\evil"]
)
def test_an_archive_that_leaves_the_folder_is_refused_whole(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "severstal"
    with pytest.raises(DataSetError, match="outside the folder"):
        _download(folder, _sending(_archive(tmp_path, {name: "x"})))
    assert not list(tmp_path.rglob("evil*")) and not folder.exists()
    assert not list((tmp_path / "data").rglob("train.csv"))


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO(_archive(tmp_path))
    with zipfile.ZipFile(content, "a") as packed:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(DataSetError, match="'link' would be written outside"):
        _download(tmp_path / "severstal", _sending(content.getvalue()))


def test_an_interrupted_download_is_taken_up_again(tmp_path: Path) -> None:
    content = _archive(tmp_path)
    archive = f"{COMPETITION}.zip"

    def half(folder: Path) -> None:
        (folder / archive).write_bytes(content[:500])
        raise KeyboardInterrupt

    def rest(folder: Path) -> None:
        assert (folder / archive).read_bytes() == content[:500]
        (folder / archive).write_bytes(content)

    with pytest.raises(KeyboardInterrupt):
        _download(tmp_path / "severstal", Client(half))
    assert not (tmp_path / "severstal").exists()
    _download(tmp_path / "severstal", Client(rest))
    assert (tmp_path / "severstal" / "dataset.yaml").is_file()


def test_interrupted_unpacking_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _sending(_archive(tmp_path))
    unpack_one, done = kaggle_download._unpack_one, []

    def interrupted(packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
        if len(done) == 3:
            target.with_name(target.name + ".tmp").write_bytes(b"half")
            raise KeyboardInterrupt
        done.append(member.filename)
        unpack_one(packed, member, target)

    monkeypatch.setattr(kaggle_download, "_unpack_one", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _download(tmp_path / "severstal", client)
    again: list[str] = []

    def noted(packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
        again.append(member.filename)
        unpack_one(packed, member, target)

    monkeypatch.setattr(kaggle_download, "_unpack_one", noted)
    _download(tmp_path / "severstal", client)
    assert not set(done) & set(again) and not list(tmp_path.rglob("*.tmp"))


def test_a_broken_archive_is_removed_so_that_the_next_call_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"is broken .* run the same command again"):
        _download(tmp_path / "severstal", _sending(b"no zip at all"))
    assert not list(tmp_path.rglob("*.zip"))
    _download(tmp_path / "severstal", _sending(_archive(tmp_path)))


class Refusal(Exception):
    """As requests' HTTPError: carries the response."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Client Error")
        self.response = type("Response", (), {"status_code": status})()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Refusal(403), "accept the rules"),
        (Refusal(401), "does not know the API key"),
        (ConnectionError("no route to host"), "broke off: no route to host; run the same command again"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    ],
)
def test_a_refusal_says_what_to_do(error: Exception, says: str, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise error

    with pytest.raises(DataSetError, match=says):
        _download(tmp_path / "severstal", Client(fail))


def test_without_room_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10})()
    monkeypatch.setattr(kaggle_download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataSetError, match=r"unpacking needs .* GB are free"):
        _download(tmp_path / "severstal", _sending(_archive(tmp_path)))


def test_missing_files_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"expected 7 images .* found 6 and 3"):
        download_severstal(
            tmp_path / "severstal",
            client=lambda: _sending(_archive(tmp_path)),
            expected=Expected(7, 3),
            quiet=True,
        )


@pytest.mark.parametrize("ends", [SystemExit(1), OSError("Could not find kaggle.json")])
def test_a_missing_key_is_explained_though_the_package_ends_the_process(
    ends: BaseException, tmp_path: Path
) -> None:
    def client() -> Client:
        print("what the package prints")
        raise ends

    with pytest.raises(DataSetError, match=r"API key: create one .*~/\.kaggle/kaggle\.json \(chmod 600\)"):
        download_severstal(tmp_path / "severstal", client=client, expected=EXPECTED)


def test_the_official_package_without_a_key_ends_in_the_explanation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataSetError, match="API key"):
        download_severstal(tmp_path / "severstal", quiet=True)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataSetError, match="holds other files"):
        _download(tmp_path, _sending(b""))
