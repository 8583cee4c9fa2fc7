"""Judges predictors on data sets they have not seen: every family is left out once, relatives with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.contract import Facts, SetPredictor
from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.boosting.family_intervals import FamilyResiduals

Floats = npt.NDArray[np.float64]
OnStep = Callable[[str], None]

FEWEST_FAMILIES = 3


@dataclass(frozen=True)
class LeftOutSet:
    """One data set that no predictor had seen, nor any of its relatives.

    `truth`: measured quality of its pairs, (n_pairs,). `predicted`: predictor → (n_pairs,).
    """

    data_set: str
    family: str
    pairs: tuple[Pair, ...]
    truth: Floats
    predicted: Mapping[str, Floats]


@dataclass(frozen=True)
class PredictorScore:
    """How a predictor did on unseen sets: means over families (relatives averaged first).

    `mae` on the scale of quality; `spearman` over the pairs of a set, None where the predictor does not rank; `regret_1`,
    `regret_3`: best quality of the set minus the best among the first 1 or 3 recommended; `coverage`, `width` of 90 %
    intervals from the other families' residuals, None with too few families for one; `by_set`: MAE of each data set.
    """

    mae: float
    spearman: float | None
    regret_1: float | None
    regret_3: float | None
    coverage: float | None
    width: float | None
    by_set: Mapping[str, float]


def leave_families_out(
    evidence: Evidence,
    facts: Facts,
    predictors: Mapping[str, SetPredictor],
    seed: int = 0,
    on_step: OnStep | None = None,
) -> list[LeftOutSet]:
    """Predictions for each data set with facts, from fits without its whole family. `on_step(family)` before each.

    Raises TooLittleDataError with fewer than three families.
    """
    families = sorted({cell.family for cell in evidence.cells if cell.data_set in facts})
    if len(families) < FEWEST_FAMILIES:
        raise TooLittleDataError(
            f"leaving whole data sets out needs runs on at least {FEWEST_FAMILIES} unrelated data sets with "
            f"meta-features, there are {len(families)} ({', '.join(families) or 'none'}): run the zoo on more of them"
        )
    left_out: list[LeftOutSet] = []
    for family in families:
        if on_step:
            on_step(family)
        rest = evidence.without({family})
        fitted = {name: predictor.fit(rest, facts, seed) for name, predictor in predictors.items()}
        for data_set in [n for n in evidence.data_sets if evidence.families[n] == family and n in facts]:
            cells = [cell for cell in evidence.cells if cell.data_set == data_set]
            pairs = tuple(cell.pair for cell in cells)
            left_out.append(
                LeftOutSet(
                    data_set=data_set,
                    family=family,
                    pairs=pairs,
                    truth=np.array([cell.quality for cell in cells]),
                    predicted={name: fit.predict(facts[data_set], pairs) for name, fit in fitted.items()},
                )
            )
    return left_out


def score_predictor(left_out: Sequence[LeftOutSet], name: str) -> PredictorScore:
    """The scores of one predictor over all left-out sets."""
    residuals = residuals_of(left_out, name)
    others = {family: residuals.without(family) for family in {entry.family for entry in left_out}}
    covered, widths = [], []
    for entry in left_out:
        low, high = others[entry.family].interval(entry.predicted[name], entry.pairs)
        covered.append(float(np.mean((low <= entry.truth) & (entry.truth <= high))))
        widths.append(float(np.mean(high - low)))
    usable = others[left_out[0].family].supports_interval
    by_set = {e.data_set: float(np.abs(e.predicted[name] - e.truth).mean()) for e in left_out}
    mae = _family_mean(left_out, list(by_set.values()))
    assert mae is not None
    return PredictorScore(
        mae=mae,
        spearman=_family_mean(left_out, [spearman(e.predicted[name], e.truth) for e in left_out]),
        regret_1=_family_mean(left_out, [regret(e.predicted[name], e.truth, 1) for e in left_out]),
        regret_3=_family_mean(left_out, [regret(e.predicted[name], e.truth, 3) for e in left_out]),
        coverage=_family_mean(left_out, covered) if usable else None,
        width=_family_mean(left_out, widths) if usable else None,
        by_set=by_set,
    )


def residuals_of(left_out: Sequence[LeftOutSet], name: str) -> FamilyResiduals:
    """What one predictor got wrong on each left-out set."""
    return FamilyResiduals(
        families=tuple(entry.family for entry in left_out for _ in entry.pairs),
        pairs=tuple(pair for entry in left_out for pair in entry.pairs),
        errors=np.concatenate([np.abs(entry.predicted[name] - entry.truth) for entry in left_out]),
    )


def spearman(predicted: Floats, truth: Floats) -> float | None:
    """Rank correlation (ties share ranks); None where either side does not rank."""
    if np.ptp(predicted) < 1e-12 or np.ptp(truth) < 1e-12:
        return None
    return float(np.corrcoef(_ranks(predicted), _ranks(truth))[0, 1])


def _ranks(values: Floats) -> Floats:
    """Ranks with ties sharing their mean rank; scipy.stats.rankdata costs a second of import."""
    below = (values[:, None] > values).sum(axis=1)
    equal = (values[:, None] == values).sum(axis=1)
    return below + (equal + 1) / 2


def regret(predicted: Floats, truth: Floats, count: int) -> float | None:
    """Best truth minus the best truth among the `count` pairs predicted highest; None where nothing is ranked."""
    if np.ptp(predicted) < 1e-12:
        return None
    chosen = np.argsort(-predicted, kind="stable")[:count]
    return float(truth.max() - truth[chosen].max())


def _family_mean(left_out: Sequence[LeftOutSet], values: Sequence[float | None]) -> float | None:
    by_family: dict[str, list[float]] = {}
    for entry, value in zip(left_out, values, strict=True):
        if value is not None:
            by_family.setdefault(entry.family, []).append(value)
    return float(np.mean([np.mean(v) for v in by_family.values()])) if by_family else None
