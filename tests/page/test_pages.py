"""Pages as files: complete without a script, nothing from outside, every name escaped, bad input one sentence."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lib.config import Settings
from lib.errors import CvAutomlError
from lib.page.figures import write_figures
from lib.page.fit_page import write_fit_page
from lib.page.overview_page import Overview
from lib.page.rendering import picture_source
from lib.performance_prediction.als.report import report_of
from lib.records import CHANCE_HEAD, RecordStore
from tests.page.conftest import HOSTILE, HOSTILE_CLASS
from tests.performance_prediction.synthetic_zoo import zoo_runs
from tests.running import run_script

ATTRIBUTES_THAT_LOAD = {"href", "src", "srcset", "action", "formaction", "data", "poster", "xlink:href"}


class Parsed(HTMLParser):
    """Tags with their attributes, texts, and rows of the leaderboard."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def harmless(page: Path) -> Parsed:
    """The page, after making sure that it runs only its own script and loads nothing."""
    parsed = Parsed(page)
    names = [tag for tag, _ in parsed.tags]
    assert names.count("script") == 1
    assert not {"iframe", "object", "embed", "base", "link"} & ({*names} - {"link"})
    for tag, attributes in parsed.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ATTRIBUTES_THAT_LOAD & attributes.keys():
            assert attributes[name].startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"https?://(?!www\.w3\.org)", page.read_text(encoding="utf-8"))
    return parsed


def test_hostile_names_are_text_and_nothing_is_loaded(page: Path) -> None:
    parsed = harmless(page)
    said = "".join(parsed.texts)
    assert HOSTILE in said and HOSTILE_CLASS in said and "<i>domain</i>" in said
    assert "<script>alert(4)</script> does not fit" in said


def test_the_leaderboard_is_complete_without_a_script(page: Path, overview: Overview) -> None:
    trained = [r for r in overview.records if r.status == "finished" and r.head.name != CHANCE_HEAD]
    assert len(overview.lines) == len(trained) + len(overview.sets)  # one line of chance a data set
    assert page.read_text(encoding="utf-8").count('<td><a href="#set-') == len(overview.lines)


def test_the_matrix_says_what_als_says(overview: Overview) -> None:
    (task,) = overview.tasks
    assert task.matrix and task.completion
    said = [cell.text for row in task.matrix.rows for cell in row.quality]
    expected = [
        "cannot" if c["value"] is None else f"{c['value']:.3f}" for c in report_of(task.completion)["cells"]
    ]
    assert said == expected
    assert {cell.kind for row in task.matrix.rows for cell in row.quality} == {"measured", "cannot"}


def test_every_mark_of_the_judged_chart_is_a_left_out_cell(overview: Overview) -> None:
    (task,) = overview.tasks
    for view in task.regimes:
        assert view.chart and len(view.chart.strokes[0].dots) == view.n_cells


def test_the_best_pair_on_average_has_no_equal_that_is_told_apart(overview: Overview) -> None:
    (task,) = overview.tasks
    assert task.answer
    first, *others = task.answer.lines
    assert first.pair == "resnet50 × linear" and first.low is None
    assert all(line.low is not None and line.low <= line.value <= (line.high or 0) for line in others)


def fit_of(folder: Path, **changes: object) -> Path:
    """A fit.json with hostile names."""
    names = [HOSTILE, "b"]
    summary = {
        "data_set": {"facts": {"name": HOSTILE}},
        "problems": ["<script>alert(5)</script>"],
        "predicted": [{"backbone": HOSTILE, "head": "linear", "quality": 0.5, "low": 0.4, "high": 0.6}],
        "journal": [{"seconds": 3.0, "pair": HOSTILE, "what": "frozen", "quality": 0.5, "best_so_far": 0.5}],
        "chosen": {"pair": HOSTILE, "reason": HOSTILE, "members": [{"backbone": HOSTILE, "head": "mlp"}]},
        "test": {"metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6, "n_test": 9, "classes": names,
                 "confusion": [[3, 1], [2, 3]], "per_class": {HOSTILE: {"recall": 0.75, "precision": None, "n": 4}}},
        "second_look": {"rows": [{"file": "javascript:alert(1)", "why": HOSTILE}], "picture": "../../secret.png"},
        "commands": [HOSTILE],
        **changes,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def test_a_fit_with_hostile_names_is_harmless(tmp_path: Path) -> None:
    parsed = harmless(write_fit_page(fit_of(tmp_path)))
    assert HOSTILE in "".join(parsed.texts)
    assert "img" not in [tag for tag, _ in parsed.tags]


@pytest.mark.parametrize(
    "keys", [(), ("chosen",), ("test",), ("data_set", "commands"), ("journal", "predicted")]
)
def test_a_fit_without_some_of_its_keys_still_has_a_page(tmp_path: Path, keys: tuple[str, ...]) -> None:
    folder = fit_of(tmp_path)
    summary = json.loads((folder / "fit.json").read_text())
    kept = {name: value for name, value in summary.items() if name in keys}
    (folder / "fit.json").write_text(json.dumps(kept))
    assert harmless(write_fit_page(folder))


@pytest.mark.parametrize("text", ["{", "[1]", '{"journal": 3}', '{"test": {"value": "much"}}'])
def test_a_broken_fit_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(CvAutomlError, match=r"fit\.json"):
        write_fit_page(tmp_path)


def test_the_records_of_a_fit_are_on_its_page(tmp_path: Path) -> None:
    runs, _ = zoo_runs(1, seeds=1)
    for run in runs:
        RecordStore(tmp_path / "records").write(run)
    page = write_fit_page(fit_of(tmp_path)).read_text()
    assert "vit_tiny_patch16_224 × linear" in page and "Learning curves" in page


def test_figures_come_as_png_and_as_svg_that_parses(overview: Overview, tmp_path: Path) -> None:
    files = write_figures(overview, (HOSTILE,), tmp_path, lambda step: None)
    stems = {file.stem for file in files}
    assert {
        "best_pairs_classification",
        "cost_latency_classification",
        "quality_matrix_classification",
    } <= stems
    assert [file.suffix for file in files] == [".png", ".svg"] * len(stems)
    for file in files:
        if file.suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag.endswith("svg")
        else:
            assert file.read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_no_picture_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "masks_x.png").write_text("no picture")
    assert picture_source(tmp_path / "masks_x.png") is None


def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    return run_script(monkeypatch, capfd, "report", *arguments)


def test_without_records_the_page_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, said = run(monkeypatch, capfd, "build", "--runs", tmp_path / "none", "--out", tmp_path)
    assert code == 2 and said.startswith("error: ") and "no runs yet" in said
    assert not (tmp_path / "index.html").exists()


def test_a_page_never_takes_the_place_of_a_folder(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], zoo: Settings, tmp_path: Path
) -> None:
    (tmp_path / "index.html").mkdir()
    code, _, said = run(monkeypatch, capfd, "build", "--runs", zoo.runs_dir, "--out", tmp_path)
    assert code == 2 and "folder" in said


def test_records_that_support_no_completion_still_have_a_page(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs, facts = zoo_runs(1, seeds=1)
    store = RecordStore(tmp_path / "runs")
    for record in runs[:3]:
        store.write(record)
    store.write_facts(facts["set0"])
    (tmp_path / "runs/set0/resnet18__mlp__seed0__0.json").write_text("{")
    code, said, _ = run(monkeypatch, capfd, "build", "--runs", tmp_path / "runs", "--out", tmp_path, "--json")
    answer = json.loads(said)
    assert code == 0 and answer["records"] == 3 and answer["troubles"] == 1
    assert any("only one backbone" in sentence for sentence in answer["lacking"])
    assert "unreadable" in Path(answer["page"]).read_text()
