"""`zoo.py results`: the tables that people come for, from the records."""

from __future__ import annotations

from pathlib import Path

import click

from lib.command_line import FILE, echo_json, json_option, settings_options, tell_skipped
from lib.config import Settings
from lib.errors import TooLittleDataError
from lib.files import refuse_output, write_atomically


@click.command()
@click.option("--to", "path", type=FILE, help="Markdown file to write [printed].")
@json_option
@settings_options
def results(settings: Settings, path: Path | None, as_json: bool) -> None:
    """The best pair of each set, average ranks with critical differences, what each choice bought; of classes and of masks."""
    from lib.performance_prediction.boosting.evidence import gather_evidence
    from lib.performance_prediction.boosting.judgement import Judgement
    from lib.records import RecordStore
    from lib.records.schema import METRICS
    from lib.reporting.results_page import results_json, results_page

    if path:
        refuse_output(path, ".md")
    store = RecordStore(settings.runs_dir)
    (records, broken), (facts, _) = store.read_all(), store.read_facts()
    for one in broken:
        tell_skipped(one)
    found = []
    for task in METRICS:
        if any(r.status == "finished" and r.data_set.task == task for r in records):
            found.append(gather_evidence(records, None, (), task, settings.related_data_sets, facts=facts))
    if not found:
        raise TooLittleDataError(f"there is no finished run in {settings.runs_dir}: run the zoo first")
    if as_json:
        return echo_json([results_json(one, records) for one in found])
    page = results_page(found, records, [Judgement.load(settings.out_dir, one) for one in found])
    if path:
        write_atomically(path, page)
        click.echo(f"wrote {path}")
    else:
        click.echo(page, nl=False)
