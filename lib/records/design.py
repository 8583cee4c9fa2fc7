"""Which of the dear cells are run: a seeded share that covers every data set and every pair, some of them to be judged on alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from lib.errors import CvAutomlError
from lib.files import write_atomically
from lib.frozen import Frozen

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNCOVERED = 10.0  # a data set or pair without a cell comes before any other balance
FINER = 0.1  # weight of the balance within (data set, backbone) and (data set, column)
TIES = 1e-3


class DesignCell(NamedTuple):
    """One pair on one data set; the column names a fine-tuned head as every table does."""

    data_set: str
    backbone: str
    column: str


class Design(Frozen):
    """The cells to run. `hidden`: run too, and kept from every fit, so that they say how well the rest tells of them.

    `share`, `hidden_share`: of the `possible` cells, as asked for; covering every data set and pair may take more.
    """

    seed: int
    share: float = Field(gt=0, le=1)
    hidden_share: float = Field(ge=0, lt=1)
    possible: int = Field(ge=1)
    cells: tuple[DesignCell, ...]
    hidden: tuple[DesignCell, ...]

    @cached_property
    def to_run(self) -> frozenset[DesignCell]:
        """Every cell of it, hidden ones too."""
        return frozenset((*self.cells, *self.hidden))

    def names(self, part: int) -> tuple[str, ...]:
        """The names at one place of its cells, each once, sorted: 0 data sets, 1 backbones, 2 columns."""
        return tuple(sorted({cell[part] for cell in self.to_run}))

    def write(self, path: Path) -> None:
        """Writes it as JSON, one cell a line."""
        head = self.model_dump(mode="json", exclude={"cells", "hidden"})
        fields = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        for name in ("cells", "hidden"):
            lines = ",\n".join("  " + json.dumps(cell, ensure_ascii=False) for cell in getattr(self, name))
            fields.append(f'"{name}": [\n{lines}\n ]')
        write_atomically(path, "{\n " + ",\n ".join(fields) + "\n}\n")


def read_design(path: Path) -> Design:
    """Raises CvAutomlError, naming the file, where it is no design."""
    try:
        return Design.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CvAutomlError(
            f"{path}: cannot be read: {error.strerror}; name a design of `zoo.py design`"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise CvAutomlError(
            f"{path}: no design ({place}: {first['msg']}); make one with `zoo.py design`"
        ) from error


def draw_design(possible: Sequence[DesignCell], share: float, hidden: float, seed: int) -> Design:
    """At least `share` of the possible cells, and a further share `hidden`, each evenly over data sets, pairs, and the backbones
    and columns of each set; every data set and every pair has a cell that is not hidden.

    Raises CvAutomlError where nothing is possible or where the two shares leave no cell.
    """
    if not possible:
        raise CvAutomlError("no cell is possible: none of these heads works on these data sets and backbones")
    if share + hidden > 1:
        raise CvAutomlError(f"--share {share:g} and --hidden {hidden:g} are more than all cells together")
    axes = [np.unique([cell[part] for cell in possible], return_inverse=True)[1] for part in range(3)]
    sets, backbones, columns = axes
    groups = [
        np.unique(np.stack(two), axis=1, return_inverse=True)[1]
        for two in ((backbones, columns), (sets, backbones), (sets, columns))
    ]
    rng, free = np.random.default_rng(seed), np.ones(len(possible), dtype=bool)
    shown = _drawn(free, math.ceil(share * len(possible)), sets, groups, rng, True)
    apart = _drawn(free, math.ceil(hidden * len(possible)), sets, groups, rng, False)
    return Design(
        seed=seed,
        share=share,
        hidden_share=hidden,
        possible=len(possible),
        cells=tuple(sorted(possible[i] for i in shown)),
        hidden=tuple(sorted(possible[i] for i in apart)),
    )


def _drawn(
    free: Bools,
    count: int,
    sets: npt.NDArray[np.intp],
    groups: Sequence[npt.NDArray[np.intp]],
    rng: np.random.Generator,
    covering: bool,
) -> list[int]:
    """Places of the cells drawn one by one, each from where least has been drawn; they are free no longer. With `covering` on
    until every data set and pair has one."""
    parts = (sets, *groups)
    sizes = [np.bincount(part) for part in parts]
    taken = [np.zeros(len(size)) for size in sizes]
    weights = (1.0, 1.0, FINER, FINER)
    found: list[int] = []

    def bare() -> Bools:
        return np.asarray((taken[0] == 0)[sets].astype(int) + (taken[1] == 0)[groups[0]])

    while free.any() and (len(found) < count or (covering and bare().any())):
        crowd = sum(w * (t / s)[part] for w, t, s, part in zip(weights, taken, sizes, parts, strict=True))
        rank = crowd - UNCOVERED * bare() * covering + TIES * rng.random(len(free))
        place = int(np.argmin(np.where(free, rank, np.inf)))
        free[place] = False
        found.append(place)
        for tally, part in zip(taken, parts, strict=True):
            tally[part[place]] += 1
    return found
