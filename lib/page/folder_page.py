"""The page of one folder before anything is trained on it: what it is, what to expect of which pair and why, what to run next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib.features.fact_sheet import FactSheet
from lib.page.made import made
from lib.page.ranges import candidate_lines, scale_of
from lib.page.rendering import write_page
from lib.performance_prediction.boosting.explain import Explanation
from lib.performance_prediction.rows.suggest import SuggestedColumns
from lib.recommendation.answer import Recommendation
from lib.reporting.data_set_tables import feature_cells, sheet_rows

MOST_REASONS = 12
PLACES = (
    ("answer", "Answer"),
    ("why", "Why"),
    ("next", "What to run"),
    ("similar", "Similar data sets"),
    ("facts", "Fact sheet"),
)


@dataclass(frozen=True)
class FolderAnswer:
    """All that is said of a folder. `explanation`: None where CatBoost cannot say anything, and `unexplained` why; `plan`:
    likewise; `picture`: its images and numbers as a data URI."""

    folder: str
    sheet: FactSheet
    answer: Recommendation
    explanation: Explanation | None
    plan: SuggestedColumns | None
    lacking: tuple[str, ...]
    picture: str | None
    probed: bool

    @property
    def seconds(self) -> float:
        """How long the runs of the plan take."""
        return sum(run.cost for run in self.plan.suggestions) if self.plan else 0.0

    @property
    def commands(self) -> list[str]:
        """One run of the plan a line, to be typed as it is."""
        return [self._command(run.column) for run in self.plan.suggestions] if self.plan else []

    def _command(self, pair: str) -> str:
        import shlex

        from lib.records.schema import head_of

        backbone, column = pair.split(" × ")
        head, finetuned = head_of(column)
        words = ["scripts/zoo.py", "run", "--dataset", self.folder, "--backbone", backbone, "--head", head]
        return shlex.join([*words, *(["--finetune"] if finetuned else [])])


def folder_page_name(data_set: str) -> str:
    """The file of a folder's page: `recommend_<name>.html`, without what a file name cannot hold."""
    return f"recommend_{''.join(c if c.isalnum() or c in '-_@' else '_' for c in data_set)}.html"


def write_folder_page(found: FolderAnswer, path: Path) -> Path:
    """Writes the page; returns its path."""
    lines = candidate_lines(found.answer.candidates)
    reasons = found.explanation.contributions[:MOST_REASONS] if found.explanation else ()
    return write_page(
        path,
        "recommend.html",
        found=found,
        answer=found.answer,
        lines=lines,
        scale=scale_of(lines, found.answer.chance_quality),
        reasons=reasons,
        largest=max((abs(one.effect) for one in reasons), default=0.0) or 1.0,
        facts=[*sheet_rows(found.sheet).items()],
        features=feature_cells(found.sheet.facts.meta_features),
        places=PLACES,
        made=made(),
    )
