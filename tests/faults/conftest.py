"""Running a script as its user does, in this process, and what every refusal must look like."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lib.records import RecordStore
from tests.datasets import made_up
from tests.records.factory import make_record
from tests.running import run_script


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def refused(self, *words: str) -> Done:
        """Exit code 2, one sentence on standard error that holds all `words`, no traceback."""
        assert self.code == 2, (self.code, self.out[-500:], self.err[-2000:])
        assert "Traceback" not in self.err
        assert any(line.lower().startswith("error: ") for line in self.err.splitlines()), self.err
        for word in words:
            assert word in self.err, (word, self.err)
        return self

    def fine(self, *words: str) -> Done:
        """Exit code 0, no traceback, and all `words` somewhere in what was said."""
        assert self.code == 0, (self.code, self.out[-500:], self.err[-2000:])
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.out + self.err, (word, self.out[-1500:], self.err[-1500:])
        return self


Run = Callable[..., Done]
LONGEST_S = 60


@pytest.fixture(autouse=True)
def no_test_hangs(request: pytest.FixtureRequest) -> Iterator[None]:
    """A fault that hangs fails: files that never end, patterns that backtrack for ever."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"more than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(getattr(request.module, "LONGEST_S", LONGEST_S))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `scripts/<name>.py …` with every folder of the settings inside the test's own."""
    for variable in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for name in ("cache", "datasets", "runs", "out"):
        monkeypatch.setenv(f"CVAUTOML_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("CVAUTOML_DEVICE", "cpu")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))

    return lambda name, *arguments: Done(*run_script(monkeypatch, capfd, name, *arguments))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A small score table with two holes."""
    path = tmp_path / "scores.csv"
    path.write_text("set,a,b,c\none,0.9,0.8,\ntwo,0.7,,0.6\nthree,0.5,0.4,0.3\nfour,0.8,0.6,0.5\n")
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Eight sound records of two data sets."""
    store = RecordStore(tmp_path / "runs")
    for i, data_set in enumerate(("strips", "tiles")):
        for j, backbone in enumerate(("net_a", "net_b")):
            for k, head in enumerate(("linear", "knn")):
                store.write(make_record(data_set, backbone, head, 0.6 + 0.1 * i + 0.05 * j + 0.02 * k))
    return store.folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Thirty images of three classes with a card."""
    return made_up.folders(tmp_path / "mine", {"a": 10, "b": 10, "c": 10})
