"""What `zoo.py plan` and `zoo.py run` show of a sweep before and after it, and the order in which a budget is spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import echo_json, terminal
from lib.config import Settings

if TYPE_CHECKING:
    from lib.benchmark.budget import Within
    from lib.benchmark.plan import Cell
    from lib.benchmark.prepare import PreparedSweep
    from lib.benchmark.sweep import Sweep
    from lib.performance_prediction.boosting.cells import Pair
    from lib.records.schema import Metric


def show_plan(sweep: PreparedSweep, as_json: bool, **more: Any) -> None:
    """The plan as a table, or as JSON with `more` beside it."""
    from lib.reporting.benchmark import plan_json, plan_summary, plan_table

    if as_json:
        return echo_json({**plan_json(sweep.plan, sweep.selection.left_out), **more})
    warn(sweep.warnings)
    terminal().print(plan_table(sweep.plan))
    click.echo(plan_summary(sweep.plan))


def warn(sentences: Iterable[str]) -> None:
    """Each on a line of its own, on standard error."""
    for sentence in sentences:
        click.secho(f"warning: {sentence}", err=True, fg="yellow")


def _pair(cell: Cell) -> Pair:
    from lib.performance_prediction.boosting.cells import Pair

    return Pair(cell.backbone.name, cell.column)


class Policy:
    """`run --budget`: the policy of `recommend.py --suggest` on the cells of a sweep."""

    def __init__(self, sweep: PreparedSweep, settings: Settings, metric: Metric | None) -> None:
        from lib.benchmark.sweep import facts_of
        from lib.recommendation.budget_policy import BudgetPolicy
        from lib.records import RecordStore

        self.sweep, self.store = sweep, RecordStore(settings.runs_dir)
        known, facts = self.store.read_all(("finished",))[0], self.store.read_facts()[0]
        facts |= {name: facts_of(one, facts) for (name, _), one in sweep.selection.by_fingerprint.items()}
        self.policy = BudgetPolicy(known, facts, settings.related_data_sets, metric)

    def rank(self, cells: Any, finished: Any) -> Any:
        """Positions of the cells, the one to run first in front."""
        from lib.recommendation.budget_policy import Option

        options = [Option(p.cell.data_set, _pair(p.cell), p.cell.seed, p.cost_s) for p in cells]
        return self.policy.order(options, finished)

    def show(self, budget_s: float, as_json: bool) -> None:
        """The order if every cell comes out as expected."""
        from lib.benchmark.budget import expected_order

        done = [planned.record for planned in self.sweep.plan.cells if planned.record]
        expected = expected_order(self.sweep.plan, self.rank, done, budget_s)
        show_plan(replace(self.sweep, plan=expected), as_json, budget_s=budget_s, notes=self.policy.reasons)
        warn(self.policy.reasons)
        click.echo("the order if every cell comes out as expected; each result plans it anew", err=as_json)

    def tell(self, outcome: Sweep, ordering: Within, as_json: bool) -> None:
        """Why it stopped, and what may have been missed."""
        from lib.reporting.budget import budget_json, budget_lines

        finished = self.store.read_all(("finished",))[0]
        outlooks = []
        for info in (one.info for one in self.sweep.selection.data_sets):
            left = [_pair(p.cell) for p in outcome.left if p.cell.data_set.name == info.name]
            outlooks.append(self.policy.outlook(info, left, finished))
        told = (outlooks, ordering.spent_s(), ordering.stopped)
        if as_json:
            more = {"records": outcome.records, "not_run": len(outcome.left), "notes": self.policy.reasons}
            echo_json({**more, **budget_json(*told)})
            return
        warn(self.policy.reasons)
        click.echo("\n".join(budget_lines(*told)))
