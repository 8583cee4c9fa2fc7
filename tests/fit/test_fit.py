"""A whole fit on tiny sets with random weights: every file, the same answers everywhere, resumed, interrupted, refused."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from lib.errors import CvAutomlError
from lib.fit.course import begun, prepare
from lib.fit.hearing import Watch
from lib.fit.request import Request
from lib.fit.whole import fitted
from lib.inference import predict_folder
from lib.page.fit_page import write_fit_page
from lib.records.costs import Rates
from tests.benchmark.made_up_sweep import write_tiny_set
from tests.inference.conftest import NETWORK, keeping, write_squares
from tests.running import run_script

KEYS = {
    "data_set", "problems", "warnings", "predicted", "journal", "stopped", "interrupted", "chosen", "test", "costs",
    "second_look", "calibration", "commands", "versions",
}  # fmt: skip


def asked(folder, out, **values) -> Request:
    return Request(
        **{
            "folder": str(folder),
            "out": out,
            "budget_s": 300,
            "backbones": (NETWORK,),
            "finetune": False,
            **values,
        }
    )


def run(request, settings, lines=None):
    # Processor time: whatever else the machine does, the same cells are run.
    watch = Watch((lines if lines is not None else []).append)
    return fitted(request, settings, watch, clock=time.process_time)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def settings(place):
    return keeping(place, epochs=2, image_height_px=32, image_width_px=64).model_copy(
        update={"keep_models": False}
    )


@pytest.fixture(scope="module")
def tiny(place):
    return write_tiny_set(place / "tiny", images=15)


@pytest.fixture(scope="module")
def done(place, settings, tiny):
    return run(asked(tiny, place / "out"), settings)


@pytest.fixture(scope="module")
def rows(done):
    with (done.out / "predictions.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_every_file_is_there_and_the_report_says_what_it_promises(done):
    names = {path.name for path in done.out.iterdir()}
    assert {
        "model.onnx",
        "model.safetensors",
        "model.json",
        "card.md",
        "predictions.csv",
        "fit.json",
    } <= names
    assert set(json.loads((done.out / "fit.json").read_text())) >= KEYS
    assert "RANDOM WEIGHTS" in (done.out / "card.md").read_text()


def test_its_page_is_made_of_it(done):
    page = write_fit_page(done.out).read_text()
    assert done.report["chosen"]["pair"] in page


def test_nothing_is_written_outside_the_folder(done, settings):
    assert not settings.runs_dir.exists()
    assert not settings.models_dir.exists()


def test_the_test_part_was_never_in_a_fold(done, rows):
    assert done.report["data_set"]["info"]["n_images"] + len(rows) == 45
    assert done.report["test"]["n_test"] == len(rows)


def test_the_measured_accuracy_is_that_of_the_predictions(done, rows):
    hits = np.mean([row["label"] == row["class"] for row in rows])
    assert done.report["test"]["value"] == pytest.approx(hits)


def test_the_onnx_file_alone_gives_the_measured_probabilities(done, rows, tiny, place):
    folder = place / "new"
    for row in rows:
        (folder / row["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny / row["file"], folder / row["file"])
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3)).astype(np.uint8)).save(
        folder / "odd.png"
    )
    command = [
        sys.executable,
        done.out / "predict_folder.py",
        done.out / "model.onnx",
        folder,
        place / "answers",
    ]
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    with (place / "answers" / "predictions.csv").open() as stream:
        given = {row["file"]: row for row in csv.DictReader(stream)}
    for row in rows:
        names = [name for name in row if name.startswith("probability")]
        expected, found = ([float(one[name]) for name in names] for one in (row, given[row["file"]]))
        assert np.allclose(expected, found, atol=2e-3)
    assert "unlike those the model was trained on" in finished.stderr
    assert given["odd.png"]["unlike the training images"] == "yes"


def test_the_same_command_measures_nothing_again(done, settings, tiny):
    records = {path: path.stat().st_mtime_ns for path in (done.out / "records").rglob("*.json")}
    again = run(asked(tiny, done.out), settings)
    assert {
        path: path.stat().st_mtime_ns for path in (done.out / "records").rglob("*__*.json")
    }.items() <= records.items()
    assert again.report["test"]["value"] == done.report["test"]["value"]
    assert again.report["chosen"]["pair"] == done.report["chosen"]["pair"]


def test_after_an_interruption_the_best_so_far_is_handed_over(place, settings, tiny, monkeypatch):
    from lib.fit.hearing import Hearing

    ends = Hearing.cell_ends

    def interrupt(self, cell, record):
        ends(self, cell, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(Hearing, "cell_ends", interrupt)
    report = run(asked(tiny, place / "interrupted"), settings).report
    assert report["interrupted"]
    assert len(report["journal"]) == 1
    assert (place / "interrupted" / "model.onnx").is_file()


def test_a_folder_of_another_data_set_is_refused(done, settings, place):
    other = write_tiny_set(place / "other", images=15, seed=3)
    with pytest.raises(CvAutomlError, match="choose another folder with --to"):
        run(asked(other, done.out), settings)


def test_a_folder_that_is_not_empty_or_cannot_be_one_is_refused(settings, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    for out, why in ((tmp_path, "not empty"), (tmp_path / "file", "is a file"), (tiny / "out", "only read")):
        with pytest.raises(CvAutomlError, match=why):
            run(asked(tiny, out), settings)
    with pytest.raises(CvAutomlError, match="cannot write"):
        run(asked(tiny, tmp_path / "file" / "below"), settings)


def test_limits_that_nothing_keeps_name_the_nearest_network(settings, tiny, tmp_path):
    with pytest.raises(CvAutomlError, match="raise --max-parameters"):
        run(asked(tiny, tmp_path / "out", max_parameters=10), settings)


def test_a_metric_of_the_other_task_is_refused(settings, tiny, tmp_path):
    with pytest.raises(CvAutomlError, match="expected one of accuracy"):
        run(asked(tiny, tmp_path / "out", metric="dice"), settings)


def test_no_time_is_one_sentence_and_no_model(settings, tiny, tmp_path):
    with pytest.raises(CvAutomlError, match="--budget"):
        run(asked(tiny, tmp_path / "out", budget_s=1e-6), settings)
    assert not (tmp_path / "out" / "model.onnx").exists()


def prepared(settings, tiny, out):
    fit = begun(asked(tiny, out, finetune=True), settings, Watch(), clock=time.process_time)
    prepare(fit)
    return fit


def test_fine_tuning_takes_as_many_epochs_as_fit_into_the_time(settings, tiny, tmp_path):
    search = prepared(settings, tiny, tmp_path / "out").search
    images, left = search.info.n_train, search.hearing.left_s()
    for part, epochs in ((0.1, 10), (0.4, 6), (2.0, 4)):
        # two folds of ten epochs take this part of the time
        search.rates = Rates(training={("linear", True, NETWORK): part * left / (images * 2 * 10)})
        (tuned,) = (one.cell for one in search.plan(True).cells if one.cell.recipe.finetune)
        assert tuned.recipe.epochs == epochs
    assert not any(one.cell.recipe.finetune for one in search.plan(False).cells)


def test_a_fine_tuned_network_can_win_and_is_handed_over(settings, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("lib.fit.search.CLASS_HEADS", ())
    once = settings.model_copy(
        update={"classification": settings.classification.model_copy(update={"epochs": 1})}
    )
    report = run(asked(tiny, tmp_path / "out", finetune=True), once).report
    assert [one["what"] for one in report["journal"]] == ["fine-tuned"]
    (member,) = report["chosen"]["members"]
    assert member["finetuned"]
    assert (tmp_path / "out" / "model.onnx").is_file()


def test_masks_are_fitted_and_answered_with_masks_and_overlays(place, settings, monkeypatch):
    monkeypatch.setattr("lib.fit.search.MASK_HEADS", ("linear_mask",))
    squares = write_squares(place / "squares", images=25)
    done = run(asked(squares, place / "masks_out"), settings)
    assert done.report["test"]["metric"] == "dice"
    assert write_fit_page(done.out).is_file()
    model = predict_folder.Model(done.out / "model.onnx")
    told = predict_folder.predict(model, squares / "images", place / "mask_answers")
    assert told.images == 25
    assert len(list((place / "mask_answers" / "masks").iterdir())) == 25
    assert len(list((place / "mask_answers" / "overlays").iterdir())) == 25
    assert (done.out / "predictions.csv").read_text().startswith("file,class,area_px,true area_px")


def test_the_command_says_one_sentence_for_what_cannot_be_fitted(monkeypatch, capsys, tiny, tmp_path):
    one = tmp_path / "one"
    shutil.copytree(tiny / "images" / "dark", one / "images" / "dark")
    for arguments in ([one, "--to", tmp_path / "out"], ["predict", tmp_path, tiny]):
        code, _, err = run_script(monkeypatch, capsys, "fit", *arguments)
        assert (code, err.count("\n")) == (2, 1), err


def test_the_folder_may_come_first_or_behind_options(monkeypatch, capsys, tmp_path):
    for arguments in (
        [tmp_path / "none", "--to", tmp_path / "o"],
        ["--to", tmp_path / "o", tmp_path / "none"],
    ):
        code, _, err = run_script(monkeypatch, capsys, "fit", *arguments)
        assert (code, "there is no data set" in err) == (2, True), err
