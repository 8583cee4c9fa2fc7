"""The verdict of leaving data sets out: which predictor answers for a new one, kept on disk with what it got wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from lib.performance_prediction.boosting.contract import CATBOOST_PROBED, FEATURES_VERSION, SET_PREDICTORS
from lib.performance_prediction.boosting.evidence import Evidence, Pair
from lib.performance_prediction.boosting.family_intervals import FamilyResiduals
from lib.performance_prediction.boosting.leave_set_out import (
    LeftOutSet,
    PredictorScore,
    score_predictor,
)
from lib.records.store import write_atomically

REGRET_NOISE = (
    0.01  # a third of the standard error of one share counted on 160 test images: no difference below it
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoreLine(_Frozen):
    """One predictor's scores on unseen data sets; see PredictorScore."""

    name: str
    mae: float
    spearman: float | None
    regret_1: float | None
    regret_3: float | None
    coverage: float | None
    width: float | None
    by_set: dict[str, float]


class LeftOutCell(_Frozen):
    """One cell's truth and what each predictor said of it unseen."""

    data_set: str
    family: str
    backbone: str
    head: str
    truth: float
    predicted: dict[str, float]


class Judgement(_Frozen):
    """All predictors judged on the same left-out sets. `digest` names the runs it was made from.

    `ablation`: CatBoost without one group of features each. `used`: the predictor that answers; `reason`: why that one;
    `used_probed`, `reason_probed`: the same for a folder with landmarks.
    """

    digest: str
    features_version: int
    task: str
    domain: str
    epoch: int
    n_runs: int
    families: tuple[str, ...]
    scores: tuple[ScoreLine, ...]
    ablation: tuple[ScoreLine, ...] = ()
    skipped_ablations: tuple[str, ...] = ()
    used: str
    used_probed: str
    reason_probed: str
    reason: str
    cells: tuple[LeftOutCell, ...]

    def score(self, name: str) -> ScoreLine:
        """The line of one predictor."""
        return next(line for line in self.scores if line.name == name)

    def residuals(self, name: str) -> FamilyResiduals:
        """What predictor `name` got wrong, for intervals."""
        return FamilyResiduals(
            families=tuple(cell.family for cell in self.cells),
            pairs=tuple(Pair(cell.backbone, cell.head) for cell in self.cells),
            errors=np.array([abs(cell.predicted[name] - cell.truth) for cell in self.cells]),
        )


def judge(
    evidence: Evidence,
    left_out: Sequence[LeftOutSet],
    names: Sequence[str],
    ablation: Sequence[ScoreLine] = (),
    skipped_ablations: Sequence[str] = (),
) -> Judgement:
    """Scores every predictor of `names` and decides which one answers."""
    scores = tuple(score_line(name, score_predictor(left_out, name)) for name in names)
    trivial = [name for name in names if SET_PREDICTORS[name].trivial]
    used_probed, reason_probed = choose(scores, trivial)
    used, reason = choose([line for line in scores if line.name != CATBOOST_PROBED], trivial)
    return Judgement(
        digest=evidence.digest(),
        features_version=FEATURES_VERSION,
        task=evidence.task,
        domain=evidence.domain or "all",
        epoch=evidence.epoch,
        n_runs=len(evidence.runs),
        families=tuple(sorted({entry.family for entry in left_out})),
        scores=scores,
        ablation=tuple(ablation),
        skipped_ablations=tuple(skipped_ablations),
        used=used,
        used_probed=used_probed,
        reason_probed=reason_probed,
        reason=reason,
        cells=tuple(_cells(left_out, names)),
    )


def choose(scores: Sequence[ScoreLine], trivial: Collection[str]) -> tuple[str, str]:
    """The predictor to use and why: a model only where it is nearer the truth than every `trivial` rival and does not
    recommend worse pairs. Predictors that do not rank (one number for all pairs) cannot recommend and are never used.
    """
    ranking = [line for line in scores if line.regret_1 is not None]
    best = min([line for line in ranking if line.name in trivial] or list(scores), key=lambda line: line.mae)
    models = [line for line in ranking if line.name not in trivial]
    verdicts = [_against(model, best) for model in models]
    better = [model for model in models if _beats(model, best)]
    used = min(better, key=lambda line: line.mae).name if better else best.name
    if not models:
        verdicts = [f"{best.name} is nearest the truth of the trivial rivals (MAE {best.mae:.4f})"]
    return used, f"{'; '.join(verdicts)}: {used} answers"


def _beats(model: ScoreLine, rival: ScoreLine) -> bool:
    return model.mae < rival.mae and not _recommends_worse(model, rival)


def _recommends_worse(model: ScoreLine, rival: ScoreLine) -> bool:
    """Whether both regrets are larger by more than chance makes of them."""
    worse_1 = (model.regret_1 or 0.0) - (rival.regret_1 or 0.0)
    worse_3 = (model.regret_3 or 0.0) - (rival.regret_3 or 0.0)
    return min(worse_1, worse_3) > REGRET_NOISE


def _against(model: ScoreLine, rival: ScoreLine) -> str:
    maes = f"MAE {model.mae:.4f} against {rival.mae:.4f}"
    if model.mae >= rival.mae:
        return f"{model.name} does NOT beat {rival.name} on unseen data sets ({maes})"
    if _recommends_worse(model, rival):
        regrets = f"regret {model.regret_1:.4f} against {rival.regret_1:.4f}"
        return f"{model.name} is nearer the truth than {rival.name} ({maes}) but recommends worse pairs ({regrets})"
    return f"{model.name} beats every trivial rival on unseen data sets ({maes} of {rival.name})"


def score_line(name: str, score: PredictorScore) -> ScoreLine:
    """A PredictorScore under its name, rounded for the file."""
    rounded = {k: None if v is None else round(v, 5) for k, v in vars(score).items() if k != "by_set"}
    return ScoreLine(name=name, **rounded, by_set={k: round(v, 5) for k, v in score.by_set.items()})


def judgement_path(folder: Path, task: str, domain: str | None) -> Path:
    """Where the judgement of one task and domain is kept."""
    return folder / f"unseen_sets_{task}_{domain or 'all'}.json"


def save_judgement(judgement: Judgement, folder: Path, domain: str | None) -> Path:
    """Writes it as JSON; returns the path."""
    path = judgement_path(folder, judgement.task, domain)
    write_atomically(path, judgement.model_dump_json(indent=None) + "\n")
    return path


def load_judgement(folder: Path, evidence: Evidence) -> Judgement | None:
    """The saved judgement where it was made from exactly this evidence and these features; else None."""
    path = judgement_path(folder, evidence.task, evidence.domain)
    try:
        judgement = Judgement.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    fresh = judgement.digest == evidence.digest() and judgement.features_version == FEATURES_VERSION
    return judgement if fresh else None


def _cells(left_out: Sequence[LeftOutSet], names: Sequence[str]) -> list[LeftOutCell]:
    return [
        LeftOutCell(
            data_set=entry.data_set,
            family=entry.family,
            backbone=pair.backbone,
            head=pair.head,
            truth=round(float(entry.truth[i]), 5),
            predicted={name: round(float(entry.predicted[name][i]), 5) for name in names},
        )
        for entry in left_out
        for i, pair in enumerate(entry.pairs)
    ]
