"""The table data sets × pairs behind the quality matrix, completed by ALS with side information of both, judged on cells it had not seen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.config import AlsSettings
from lib.performance_prediction.als.biased_als import BiasedAls
from lib.performance_prediction.als.explicit import AlsModel, OnSweep, supported_rank
from lib.performance_prediction.als.matrix import family_weights, side_of_pairs
from lib.performance_prediction.boosting.cells import Cell
from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.table.complete import CompletedTable, complete
from lib.performance_prediction.table.hold_out import hold_out_predictions
from lib.performance_prediction.table.score_table import COMPLETERS, Completer, Floats, ScoreTable
from lib.performance_prediction.table.side_information import side_coordinates
from lib.records.schema import head_of

FEWEST_SETS = 3  # with fewer the pairs' own structure tells more than the data sets'
RIVALS = ("additive", "column_mean", "implicit")


@dataclass(frozen=True)
class HeldOut:
    """How far off each method was on cells that its fit had not seen. `kind`: of columns: frozen, fine-tuned or masks; `hidden`:
    by the design, else by the folds of a cross-validation; `mae`: method → mean absolute error."""

    kind: str
    hidden: bool
    n_cells: int
    n_data_sets: int
    mae: Mapping[str, float]

    @property
    def beats(self) -> bool:
        """Whether ALS is nearer than the additive model."""
        return self.mae["als"] < self.mae["additive"]

    @property
    def sentence(self) -> str:
        """Whether ALS beats the additive model here; where it does not, what was tried."""
        how = "hidden by the design" if self.hidden else "hidden in turn"
        own, additive, mean = (self.mae[name] for name in ("als", "additive", "column_mean"))
        numbers = f"{own:.4f} against {additive:.4f} of additive and {mean:.4f} of the column mean"
        place = f"{self.kind} columns ({self.n_cells} cells on {self.n_data_sets} data sets, {how})"
        if self.beats:
            return f"{place}: ALS is off by {numbers}"
        return (
            f"{place}: ALS does NOT beat additive: {numbers}; tried: every rank up to the limit, five strengths of regularisation, "
            "side information of data sets, backbones and heads"
        )


@dataclass(frozen=True)
class PairTable:
    """The completed table. Arrays are (n_data_sets, n_pairs); `truth`: all that was measured, cells that the design hides too.

    `done`: the completion, each measured cell as it was measured; `model`: its factors; `told`: method → what it said of cells
    while they were hidden by the folds, NaN elsewhere; `said`: method → what its fit on all cells shown says of every one.
    """

    pairs: tuple[Pair, ...]
    done: CompletedTable
    model: AlsModel
    truth: Floats
    told: Mapping[str, Floats]
    said: Mapping[str, Floats]
    weights: Floats

    def mean(self, values: Floats) -> Floats:
        """The mean data set's row of `values`, (n_pairs,): the sets of one family weigh 1 together; NaN cells left out."""
        weights = self.weights[:, None] * np.isfinite(values)
        sums = np.nansum(np.where(np.isfinite(values), values, 0.0) * weights, axis=0)
        total = weights.sum(axis=0)
        return np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)

    @property
    def errors(self) -> Floats:
        """Held-out absolute error of each pair over its measured sets, (n_pairs,)."""
        return self.mean(np.abs(self.told["als"] - self.done.table.values))

    def held_out(self, task: str) -> Iterator[HeldOut]:
        """For each kind of column: errors on the cells of the design, and in cross-validation."""
        kinds = np.array([kind_of(pair.head, task) for pair in self.pairs])
        unseen = np.isfinite(self.truth) & ~self.done.table.observed
        for hidden, predictions in ((True, self.said), (False, self.told)):
            judged = unseen if hidden else self.done.table.observed
            for kind in dict.fromkeys(kinds.tolist()):
                if (cells := judged & (kinds == kind)).any():
                    mae = {n: float(np.abs(p - self.truth)[cells].mean()) for n, p in predictions.items()}
                    yield HeldOut(kind, hidden, int(cells.sum()), int(cells.any(axis=1).sum()), mae)


def kind_of(column: str, task: str) -> str:
    """What a column costs: `frozen`, `fine-tuned`, or `masks` with either."""
    tuned = "fine-tuned" if head_of(column)[1] else "frozen"
    return tuned if task == "classification" else f"masks, {tuned}"


def complete_pairs(
    evidence: Evidence,
    pairs: Sequence[Pair],
    settings: AlsSettings,
    rank: int | None = None,
    seed: int = 0,
    on_sweep: OnSweep | None = None,
    hidden: Collection[Cell] = (),
) -> PairTable:
    """Completes every one of `pairs`, those of no cell too, on every data set of the evidence; `hidden`: cells of the same sets that
    no fit may see."""
    names = evidence.data_sets
    table = ScoreTable(names, tuple(pair.label for pair in pairs), _values(evidence.cells, names, pairs))
    highest = min(supported_rank(table.values), settings.rank if rank is None else rank)
    sides = _side_of_sets(evidence), side_of_pairs(pairs)
    als = BiasedAls("identity", rank, None, highest, settings.sweeps, *sides)
    scale, model = als.model(table, seed, on_sweep)
    done = complete(table, als, seed, tune_once=False)
    rivals: dict[str, Completer] = {name: COMPLETERS[name]() for name in RIVALS}
    told = {name: hold_out_predictions(table, rival, seed)[0] for name, rival in rivals.items()}
    said = {name: rival.fit(table, seed).mean for name, rival in rivals.items()}
    weights = family_weights({name: evidence.families[name] for name in names})
    return PairTable(
        pairs=tuple(pairs),
        done=done,
        model=model.on_scale(scale),
        truth=_values((*evidence.cells, *hidden), names, pairs),
        told={**told, "als": done.held_out},
        said={**said, "als": np.clip(scale.backward(model.predict()), 0, 1)},
        weights=np.array([weights[name] for name in names]),
    )


def _side_of_sets(evidence: Evidence) -> Floats | None:
    """Principal coordinates of meta-features and domains; None where nothing is known that tells two sets apart."""
    import pandas as pd

    domains = {run.data_set.name: run.data_set.domain for run in evidence.runs}
    known = {name: facts.meta_features for name, facts in evidence.facts.items()}
    lines = [{**known.get(name, {}), "domain": domains[name]} for name in evidence.data_sets]
    coordinates = side_coordinates(evidence.data_sets, pd.DataFrame(lines))
    return coordinates if coordinates.shape[1] else None


def _values(cells: Collection[Cell], names: Sequence[str], pairs: Sequence[Pair]) -> Floats:
    of = {(cell.data_set, cell.pair): cell.quality for cell in cells}
    return np.array([[of.get((name, pair), np.nan) for pair in pairs] for name in names])
