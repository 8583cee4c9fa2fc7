"""What a sweep tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lib.benchmark.folds import TrainedFold
from lib.benchmark.plan import Cell, Plan
from lib.records import EpochEntry, RunRecord


class Listener:
    """Empty methods: override what you want to hear. They are called in the order of events, from one thread."""

    def sweep_starts(self, plan: Plan) -> None:
        """Before the first cell."""

    def features_progress(self, cell: Cell, done: int, total: int) -> None:
        """While the embeddings of the cell's data set are computed: images done."""

    def cell_starts(self, cell: Cell) -> None:
        """Before a cell is trained."""

    def fold_starts(self, cell: Cell, place: int, of: int) -> None:
        """Before a fold of the cell is trained: the first, second … of so many."""

    def epoch_ends(self, cell: Cell, entry: EpochEntry) -> None:
        """After each epoch."""

    def cell_trained(self, cell: Cell, folds: Sequence[TrainedFold]) -> None:
        """Before the record of a cell is written, in the process that trained it: what came of each fold."""

    def cell_ends(self, cell: Cell, record: RunRecord) -> None:
        """After the record of a cell was written; `record.status` says how it went."""

    def cell_skipped(self, cell: Cell) -> None:
        """A cell to run was finished by another process meanwhile."""

    def told(self, sentence: str) -> None:
        """Something about the whole sweep that whoever watches should know."""


EVENTS = tuple(name for name in vars(Listener) if not name.startswith("_"))


def together(*listeners: Listener) -> Listener:
    """Several as one: each hears every event, in their order."""

    def event(name: str) -> Callable[..., None]:
        def tell(*told: object) -> None:
            for listener in listeners:
                getattr(listener, name)(*told)

        return tell

    all_of_them = Listener()
    vars(all_of_them).update({name: event(name) for name in EVENTS})
    return all_of_them
