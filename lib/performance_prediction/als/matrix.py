"""Records → quality matrix: rows backbones, columns heads, every data set's own level taken out first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.performance_prediction.boosting.evidence import Cell, Evidence, Pair
from lib.performance_prediction.table.score_table import Bools, Floats, Ints
from lib.records.schema import head_of


@dataclass(frozen=True)
class Effects:
    """quality ≈ level + data-set effect + pair effect, by weighted least squares over the measured cells.

    `level`: quality of the mean pair on the mean data set. Both kinds of effect have (weighted) mean zero.
    `components`: into how many groups the cells fall that share neither a data set nor a pair; 1 means all comparable.
    """

    level: float
    data_sets: Mapping[str, float]
    pairs: Mapping[Pair, float]
    components: int

    def quality(self, pair: Pair, data_set: str | None = None) -> float:
        """Quality in [0, 1] of `pair` on `data_set`, or on the mean data set without one (or with an unknown one)."""
        return float(np.clip(self.level + self.data_sets.get(data_set or "", 0.0) + self.pairs[pair], 0, 1))


@dataclass(frozen=True)
class QualityMatrix:
    """Quality of each pair at the level of the mean data set.

    `values`: float array (n_backbones, n_heads) in [0, 1], NaN where no run measured the pair.
    `n_runs`, `n_data_sets`: int arrays of the same shape. `incompatible`: pairs that cannot work, with the reason:
    these are no holes to be filled.
    """

    backbones: tuple[str, ...]
    heads: tuple[str, ...]
    values: Floats
    n_runs: Ints
    n_data_sets: Ints
    incompatible: Mapping[Pair, str]
    effects: Effects
    evidence: Evidence

    @property
    def measured(self) -> Bools:
        """Bool array (n_backbones, n_heads): True where a run stands behind the value."""
        return np.isfinite(self.values)

    @property
    def possible(self) -> Bools:
        """Bool array (n_backbones, n_heads): False where the pair cannot work."""
        return np.array([[(b, h) not in self.incompatible for h in self.heads] for b in self.backbones])

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the matrix must know: runs left out, groups of cells that cannot be compared."""
        if self.effects.components == 1:
            return self.evidence.left_out
        apart = (
            f"the runs fall into {self.effects.components} groups that share neither a data set nor a pair: "
            "qualities of different groups cannot be compared"
        )
        return (*self.evidence.left_out, apart)


def quality_matrix(evidence: Evidence) -> QualityMatrix:
    """The quality matrix of the runs in `evidence`: backbones and heads in alphabetical order."""
    effects = fit_effects(evidence.cells)
    backbones = tuple(sorted({pair.backbone for pair in evidence.pairs}))
    heads = tuple(sorted({pair.head for pair in evidence.pairs}))
    grid = [[Pair(backbone, head) for head in heads] for backbone in backbones]
    runs: Counter[Pair] = Counter()
    for cell in evidence.cells:
        runs[cell.pair] += cell.n_runs
    sets = Counter(cell.pair for cell in evidence.cells)
    incompatible = evidence.incompatible
    return QualityMatrix(
        backbones=backbones,
        heads=heads,
        values=np.array([[effects.quality(p) if p in sets else np.nan for p in row] for row in grid]),
        n_runs=np.array([[runs[pair] for pair in row] for row in grid], dtype=np.int64),
        n_data_sets=np.array([[sets[pair] for pair in row] for row in grid], dtype=np.int64),
        incompatible={pair: incompatible[pair] for row in grid for pair in row if pair in incompatible},
        effects=effects,
        evidence=evidence,
    )


def fit_effects(cells: Sequence[Cell], importance: Mapping[str, float] | None = None) -> Effects:
    """Two-way additive fit over the measured cells, so that a pair run only on easy sets is not favoured.

    The derived sets of one original weigh together as much as one set. In a full table the pair's quality is its plain
    (weighted) mean. `importance`: factor on each data set's weight in the fit (default 1). The smallest solution is
    taken where the cells do not determine one.
    """
    names, row = np.unique([cell.data_set for cell in cells], return_inverse=True)
    pairs = sorted({cell.pair for cell in cells})
    place = {pair: j for j, pair in enumerate(pairs)}
    column = np.array([place[cell.pair] for cell in cells])
    set_weights = family_weights({cell.data_set: cell.family for cell in cells})
    factors = importance or {}
    weights = np.array([set_weights[cell.data_set] * factors.get(cell.data_set, 1.0) for cell in cells])
    quality = np.array([cell.quality for cell in cells])
    row_effects, column_effects = _least_squares(row, column, quality, weights)
    row_level = np.average(row_effects, weights=[set_weights[name] for name in names.tolist()])
    column_level = column_effects.mean()
    return Effects(
        level=float(row_level + column_level),
        data_sets=dict(zip(names.tolist(), (row_effects - row_level).tolist(), strict=True)),
        pairs=dict(zip(pairs, (column_effects - column_level).tolist(), strict=True)),
        components=_component_count(row, column),
    )


def family_weights(families: Mapping[str, str]) -> dict[str, float]:
    """Data set → weight, so that all sets of one family weigh 1 together."""
    sizes = Counter(families.values())
    return {name: 1.0 / sizes[family] for name, family in families.items()}


def side_of_pairs(pairs: Sequence[Pair]) -> Floats:
    """One column a backbone, one a head whether fine-tuned or not, one for fine-tuning: (n_pairs, n)."""
    parts = [(pair.backbone, *head_of(pair.head)) for pair in pairs]
    columns = [[part[place] for part in parts] for place in (0, 1)]
    levels = [[[name == level for level in sorted(set(names))] for name in names] for names in columns]
    return np.hstack(
        [*(np.array(one, dtype=float) for one in levels), [[float(tuned)] for *_, tuned in parts]]
    )


def _least_squares(row: Ints, column: Ints, quality: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Row effects and column effects of the smallest weighted least-squares solution, by its normal equations: their size
    is that of the effects, not of the cells."""
    n_rows, n_columns = int(row.max()) + 1, int(column.max()) + 1
    shared = np.zeros((n_rows, n_columns))
    np.add.at(shared, (row, column), weights)
    normal = np.block([[np.diag(shared.sum(axis=1)), shared], [shared.T, np.diag(shared.sum(axis=0))]])
    centre = float(np.average(quality, weights=weights))
    weighted = weights * (quality - centre)
    target = np.concatenate([np.bincount(row, weighted, n_rows), np.bincount(column, weighted, n_columns)])
    solution = np.linalg.pinv(normal, rcond=1e-10, hermitian=True) @ target
    return solution[:n_rows] + centre, solution[n_rows:]


def _component_count(row: Ints, column: Ints) -> int:
    """Connected groups of rows and columns; every row and column has a cell. As many as the signless Laplacian of their graph has
    eigenvalues 0, since rows and columns are its two sides (SciPy's own count takes a quarter of a second to import)."""
    shared = np.zeros((int(row.max()) + 1, int(column.max()) + 1))
    shared[row, column] = 1.0
    laplacian = np.block([[np.diag(shared.sum(1)), shared], [shared.T, np.diag(shared.sum(0))]])
    return len(laplacian) - int(np.linalg.matrix_rank(laplacian, hermitian=True))
