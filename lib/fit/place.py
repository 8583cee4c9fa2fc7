"""The folder that `fit` fills: whose it is, what was spent on it, and the out-of-fold answers of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lib.benchmark.folds import TrainedFold
from lib.errors import CvAutomlError
from lib.files import require_writable, write_atomically, write_npz
from lib.frozen import Frozen

STATE_FILE = "state.json"
RECORDS, ANSWERS = "records", "answers"


class State(Frozen):
    """What the folder belongs to. `spent_s`: by all runs so far; `journal`: what they measured and when."""

    data_set: str
    fingerprint: str
    test_part: str
    seed: int
    spent_s: float = 0.0
    journal: tuple[dict[str, Any], ...] = ()


@dataclass
class Place:
    """OUT. Raises CvAutomlError where it is of another data set or cannot be written."""

    out: Path
    state: State
    journal: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def opened(cls, out: Path, wanted: State) -> Place:
        """The folder, new or as an earlier run with the same images, test part and seed left it."""
        there = _read_state(out)
        if there is None:
            return cls(out, wanted)
        for name, what in (
            ("fingerprint", "images or labels"),
            ("test_part", "a test part"),
            ("seed", "a seed"),
        ):
            if getattr(there, name) != getattr(wanted, name):
                raise CvAutomlError(
                    f"{out} holds a fit of {there.data_set} with other {what}: choose another folder with --to, or remove it"
                    if name == "fingerprint"
                    else f"{out} holds a fit with {what} that differs: choose another folder with --to, or remove it"
                )
        return cls(out, there, list(there.journal))

    @property
    def records(self) -> Path:
        """Where its run records lie."""
        return self.out / RECORDS

    def keep(self, spent_s: float) -> None:
        """Writes down what was spent and measured so far."""
        self.state = self.state.model_copy(update={"spent_s": spent_s, "journal": tuple(self.journal)})
        write_atomically(self.out / STATE_FILE, self.state.model_dump_json(indent=1) + "\n")

    def write_answers(self, key: str, folds: Sequence[TrainedFold]) -> None:
        """The answers to the images that each fold tests; nothing for heads that keep none."""
        given = [one for one in folds if one.result.answers is not None]
        if given:
            rows = np.concatenate([one.data_set.indices("test") for one in given])
            answers = np.concatenate([np.asarray(one.result.answers, dtype=np.float32) for one in given])
            write_npz(self._answers(key), rows=rows, answers=answers)

    def read_answers(self, key: str, n_files: int, n_classes: int) -> npt.NDArray[np.float64] | None:
        """(n_files, n_classes), NaN where no fold tested an image; None where there are none."""
        path = self._answers(key)
        if not path.is_file():
            return None
        found = np.full((n_files, n_classes), np.nan)
        try:
            with np.load(path, allow_pickle=False) as kept:
                found[kept["rows"]] = kept["answers"]
        except (OSError, ValueError, KeyError, IndexError):
            return None
        return found

    def _answers(self, key: str) -> Path:
        return self.out / ANSWERS / f"{key}.npz"


def _read_state(out: Path) -> State | None:
    path = out / STATE_FILE
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise CvAutomlError(f"{out} is not empty and no folder of `fit`: choose another one with --to")
        return None
    try:
        return State.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CvAutomlError(f"{path} is broken: remove {out}, or choose another folder with --to") from error


def require_place(out: Path, folder: Path) -> None:
    """Raises CvAutomlError, before any work, where OUT cannot be a folder or lies among the images."""
    if out.is_file():
        raise CvAutomlError(f"{out} is a file: name a folder with --to")
    if out.resolve().is_relative_to(folder.resolve()) and folder.is_dir():
        raise CvAutomlError(f"{out} lies in {folder}, which is only read: write somewhere else")
    require_writable(out, "a model", "--to")
