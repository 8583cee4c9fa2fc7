"""index.html: what all records say together, and each data set one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.config import Settings
from lib.errors import TooLittleDataError
from lib.page.answer_view import AnswerView, answer_view
from lib.page.judged_view import RegimeView, regime_views
from lib.page.made import made
from lib.page.matrix_view import MatrixView, matrix_view
from lib.page.rendering import write_page
from lib.page.set_views import SetView, set_views
from lib.performance_prediction.als.matrix import quality_matrix
from lib.performance_prediction.als.train import ZooCompletion, complete_zoo
from lib.performance_prediction.boosting.evidence import Evidence, gather_evidence
from lib.performance_prediction.boosting.judgement import Judgement
from lib.records import CHANCE_HEAD, DataSetFacts, RecordStore, RunRecord
from lib.records.schema import METRICS, Task
from lib.reporting.leaderboard import NO_RUNS, LeaderboardRow

PAGE = "index.html"
OnStep = Callable[[str], None]


@dataclass(frozen=True)
class TaskView:
    """All that is said of one task; None where its runs do not support it, and `lacking` says why."""

    task: Task
    evidence: Evidence | None
    completion: ZooCompletion | None
    answer: AnswerView | None
    matrix: MatrixView | None
    regimes: tuple[RegimeView, ...]
    lacking: tuple[str, ...]

    @property
    def n_families(self) -> int:
        """Unrelated origins of its data sets."""
        return len({self.evidence.families[name] for name in self.evidence.data_sets}) if self.evidence else 0


@dataclass(frozen=True)
class BoardLine:
    """One line of the leaderboard of everything."""

    view: SetView
    row: LeaderboardRow

    @property
    def chance(self) -> bool:
        """Whether it is the chance line of its data set."""
        return self.row.head == CHANCE_HEAD


@dataclass(frozen=True)
class Trouble:
    """A run that did not finish, or a file that is no record."""

    status: str
    where: str
    reason: str


@dataclass(frozen=True)
class Overview:
    """Everything on the page."""

    records: tuple[RunRecord, ...]
    tasks: tuple[TaskView, ...]
    sets: tuple[SetView, ...]
    troubles: tuple[Trouble, ...]

    @property
    def lines(self) -> list[BoardLine]:
        """The leaderboards of all data sets, one below the other, each with its chance line."""
        return [BoardLine(view, row) for view in self.sets for row in _rows(view)]

    @property
    def origins(self) -> list[str]:
        """Where the weights of the finished runs are from."""
        return sorted({r.backbone.weights_origin for r in self.records if r.status == "finished"} - {"none"})


def _rows(view: SetView) -> Iterator[LeaderboardRow]:
    yield from view.board.rows
    if view.board.chance:
        yield view.board.chance


def overview_of(settings: Settings, on_step: OnStep) -> Overview:
    """What the records in `settings.runs_dir` say; judgements of predictions are those in `settings.out_dir`.

    Raises TooLittleDataError where there are no records at all.
    """
    store = RecordStore(settings.runs_dir)
    on_step("reading the records …")
    records, broken = store.read_all()
    facts, broken_facts = store.read_facts()
    if not records:
        raise TooLittleDataError(f"{settings.runs_dir}: {NO_RUNS}")
    unreadable = [Trouble("unreadable", str(one.path), one.reason) for one in (*broken, *broken_facts)]
    tasks = [_task_view(task, records, facts, settings, on_step) for task in _tasks(records)]
    on_step("data sets …")
    views = set_views(records, facts, settings.out_dir)
    return Overview(tuple(records), tuple(tasks), tuple(views), (*_troubles(records), *unreadable))


def write_overview(overview: Overview, folder: Path) -> Path:
    """Writes `folder`/index.html; returns its path."""
    return write_page(
        folder / PAGE,
        "index.html",
        page=overview,
        lines=overview.lines,
        places=_places(overview),
        made=made(),
    )


def _places(overview: Overview) -> list[tuple[str, str]]:
    named = [
        ("answer", "Answer", any(task.answer or task.lacking for task in overview.tasks)),
        ("board", "Leaderboard", overview.lines),
        ("matrix", "Quality matrix", any(task.matrix for task in overview.tasks)),
        ("cost", "Cost", any(task.answer for task in overview.tasks)),
        ("judged", "Predictions", True),
        ("sets", "Data sets", overview.sets),
        ("troubles", "What failed", True),
    ]
    return [(place, name) for place, name, there in named if there]


def _tasks(records: Iterable[RunRecord]) -> list[Task]:
    there = {record.data_set.task for record in records}
    return [task for task in METRICS if task in there]


def _task_view(
    task: Task,
    records: Sequence[RunRecord],
    facts: dict[str, DataSetFacts],
    settings: Settings,
    on_step: OnStep,
) -> TaskView:
    """Evidence at the last epoch, as the judgements have it; what cannot be said is lacking, in words."""
    try:
        evidence = gather_evidence(records, None, (), task, settings.related_data_sets, None, facts)
    except TooLittleDataError as error:
        return TaskView(task, None, None, None, None, (), (str(error),))
    lacking: list[str] = []
    on_step(f"completing the quality matrix of {task} …")
    completion = _completion(evidence, settings, lacking)
    judgement = Judgement.load(settings.out_dir, evidence)
    if not judgement:
        lacking.append(
            f"predictions of {task} have not been judged on exactly these runs: `scripts/boosting.py evaluate --task {task}` does that once"
        )
    return TaskView(
        task=task,
        evidence=evidence,
        completion=completion,
        answer=answer_view(completion) if completion else None,
        matrix=matrix_view(completion) if completion else None,
        regimes=tuple(regime_views(judgement)) if judgement else (),
        lacking=tuple(lacking),
    )


def _completion(evidence: Evidence, settings: Settings, lacking: list[str]) -> ZooCompletion | None:
    try:
        return complete_zoo(quality_matrix(evidence), settings.als)
    except TooLittleDataError as error:
        lacking.append(str(error))
        return None


def _troubles(records: Iterable[RunRecord]) -> Iterator[Trouble]:
    for record in records:
        if record.status != "finished":
            where = f"{record.data_set.name}: {record.backbone.name} × {record.head.name}, seed {record.seed}"
            yield Trouble(record.status, where, record.reason or "")
