"""A small made-up zoo with hostile names, its page, and a real headless Chromium where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.config import Settings, load_settings
from lib.page.overview_page import Overview, overview_of, write_overview
from lib.performance_prediction.boosting.evidence import gather_evidence
from lib.performance_prediction.boosting.judgement import judge
from lib.records import RecordStore, RunRecord
from tests.performance_prediction.synthetic_zoo import (
    data_set_info,
    finished_run,
    incompatible_run,
    write_zoo,
    zoo_runs,
)

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(2)>'"""
HOSTILE_CLASS = "javascript:alert(3) <b>&amp;"


def hostile_runs() -> list[RunRecord]:
    """Runs on a set whose name, domain and classes are an attack, with a confusion matrix; one pair that cannot work."""
    info = data_set_info(HOSTILE, domain="<i>domain</i>").model_copy(
        update={"classes": (HOSTILE_CLASS, "b", "c")}
    )
    runs = [finished_run(info, "resnet18", head, 0.8) for head in ("linear", "knn", "naive")]
    confusion = ((9, 1, 0), (0, 8, 2), (0, 0, 10))
    runs = [
        run.model_copy(update={"final": run.final.model_copy(update={"confusion": confusion})})
        for run in runs
        if run.final
    ]
    return [*runs, incompatible_run(info, "resnet50", "mlp", "<script>alert(4)</script> does not fit")]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose folders hold four made-up sets with holes, a hostile one, and a quick judgement of predictions."""
    folder = tmp_path_factory.mktemp("zoo")
    settings = load_settings(environment={})
    settings = settings.model_copy(
        update={
            "runs_dir": folder / "runs",
            "out_dir": folder / "out",
            "als": settings.als.model_copy(update={"rank": 1, "sweeps": 5}),
        }
    )
    runs, facts = zoo_runs(4, seeds=1)
    small = [run for run in runs if run.backbone.name in ("handcrafted", "resnet18", "resnet50")]
    runs = [run for run in small if (run.backbone.name, run.head.name) != ("resnet50", "mlp")]
    every = [*runs, *hostile_runs()]
    write_zoo(RecordStore(settings.runs_dir), every, facts)
    evidence = gather_evidence(every, task="classification", facts=facts)
    judge(evidence, quick=True).save(settings.out_dir, evidence)
    return settings


@pytest.fixture(scope="session")
def overview(zoo: Settings) -> Overview:
    """What is on the page."""
    return overview_of(zoo, lambda step: None)


@pytest.fixture(scope="session")
def page(zoo: Settings, overview: Overview) -> Path:
    """index.html of the made-up zoo."""
    return write_overview(overview, zoo.out_dir)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium; skips where there is none, or no Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright (a dev dependency)")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
