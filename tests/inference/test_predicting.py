"""A folder of images → tables, masks and submissions; each image once, whatever interrupts it."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib.datasets.rle import fill, parse
from lib.errors import CvAutomlError
from lib.inference.folder import ImageFolder
from lib.inference.masks import PostProcessing, defects, index_map
from lib.inference.models import KeptModel
from lib.inference.predicting import predict_folder
from lib.inference.submission import ClassSubmission, MaskSubmission, Sample
from lib.inference.wanted import Wanted
from tests.running import run_script


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def predicted(kept, folder, tmp_path, **wanted):
    model = kept.drawing() if kept.record.data_set.task == "segmentation" else kept.load()
    return predict_folder(model, folder, Wanted(**wanted), tmp_path / "cache")


def test_the_class_of_every_image_is_its_most_probable_one(class_run, tmp_path):
    outcome = predicted(class_run, class_run.data_set / "images", tmp_path, out=tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    classes = class_run.record.data_set.classes
    assert (outcome.images, len(rows), sum(outcome.counts.values())) == (36, 36, 36)
    for row in rows:
        probabilities = [float(row[f"probability of {name}"]) for name in classes]
        assert row["class"] == classes[int(np.argmax(probabilities))]
        assert float(row["confidence"]) == max(probabilities)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert sum(row["file"].startswith(row["class"]) for row in rows) > 30  # the folder is the truth


def test_an_unreadable_image_is_skipped_and_told(class_run, tmp_path):
    folder = shutil.copytree(class_run.data_set / "images" / "dark", tmp_path / "in")
    (folder / "broken.png").write_bytes(b"no image")
    outcome = predicted(class_run, folder, tmp_path, out=tmp_path / "out")
    assert len(outcome.skipped) == 1
    assert "broken.png" in outcome.skipped[0]
    assert len(rows_of(tmp_path / "out" / "predictions.csv")) == 12


def test_predict_says_what_it_found_and_what_it_skipped(class_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(tmp_path / "cache"))
    folder = shutil.copytree(class_run.data_set / "images" / "dark", tmp_path / "in")
    (folder / "broken.png").write_bytes(b"no image")
    words = ("--run", class_run.key, "--models", class_run.settings.models_dir)
    asked = (folder, *words, "--submission", tmp_path / "s.csv")
    code, out, err = run_script(monkeypatch, capsys, "zoo", "predict", *asked, "--json")
    assert (code, json.loads(out)["images"], sum(json.loads(out)["counts"].values())) == (1, 13, 12)
    assert "RANDOM WEIGHTS" in err
    assert "skipped: " in err
    assert len(rows_of(tmp_path / "s.csv")) == 12
    code, out, _ = run_script(monkeypatch, capsys, "zoo", "models", *words[2:])
    assert (code, class_run.key in out) == (0, True)
    code, _, err = run_script(monkeypatch, capsys, "zoo", "predict", folder, "--run", "zzz", *asked[3:])
    assert (code, "no kept model of run 'zzz'" in err) == (2, True)


def test_an_interrupted_prediction_goes_on_and_sees_each_image_once(mask_run, tmp_path, monkeypatch):
    seen, answer = Counter(), KeptModel.probabilities

    def counted(self, images):
        seen.update(image.tobytes() for image in images)
        return answer(self, images)

    def interrupt(done, total):
        raise KeyboardInterrupt

    model, folder = mask_run.drawing(), mask_run.data_set / "images"
    monkeypatch.setattr(KeptModel, "probabilities", counted)
    wanted = Wanted(out=tmp_path / "out", submission=tmp_path / "submission.csv")
    with pytest.raises(KeyboardInterrupt):
        predict_folder(model, folder, wanted, tmp_path / "cache", interrupt)
    assert len(seen) == 8
    (journal,) = (tmp_path / "cache" / "predictions").iterdir()
    journal.write_bytes(journal.read_bytes()[:-5])  # the last line is torn
    outcome = predict_folder(model, folder, wanted, tmp_path / "cache")
    assert outcome.resumed == 7
    assert sorted(Counter(seen.values()).items()) == [(1, 19), (2, 1)]
    assert not journal.exists()
    at_once = predict_folder(model, folder, Wanted(submission=tmp_path / "whole.csv"), tmp_path / "cache")
    assert at_once.resumed == 0
    assert (tmp_path / "submission.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("form", ["kaggle", "single"])
def test_a_decoded_submission_is_the_masks_that_were_drawn(mask_run, tmp_path, form):
    folder = mask_run.data_set / "images"
    wanted = {"out": tmp_path / "out", "submission": tmp_path / "s.csv", "form": form}
    predicted(mask_run, folder, tmp_path, **wanted)
    rows, files = rows_of(tmp_path / "s.csv"), sorted(path.name for path in folder.iterdir())
    if form == "single":
        rows = [
            {**row, **dict(zip(("ImageId", "ClassId"), row["ImageId_ClassId"].rsplit("_", 1), strict=True))}
            for row in rows
        ]
    assert [(row["ImageId"], row["ClassId"]) for row in rows] == [(f, k) for f in files for k in ("1", "2")]
    drawn = 0
    for file in files:
        index = np.asarray(Image.open(tmp_path / "out" / "masks" / file))
        masks = np.zeros((2, *index.shape), bool)
        for k, row in enumerate(row for row in rows if row["ImageId"] == file):
            fill(parse(row["EncodedPixels"], *index.shape), masks[k])
        assert index.shape == (40, 56)
        assert np.array_equal(masks.any(axis=0), index > 0)
        assert all(masks[k][index == k + 1].all() for k in (0, 1))
        drawn += int(masks.any())
    assert drawn > 0


def test_the_defects_of_the_table_cover_the_masks(mask_run, tmp_path):
    predicted(
        mask_run, mask_run.data_set / "images", tmp_path, out=tmp_path / "out", submission=tmp_path / "s.csv"
    )
    areas = Counter()
    for row in rows_of(tmp_path / "out" / "defects.csv"):
        areas[row["file"]] += int(row["area_px"])
        assert 0 <= int(row["x0"]) < int(row["x1"]) <= 56
        assert 0 <= int(row["y0"]) < int(row["y1"]) <= 40
        assert 0 < float(row["confidence"]) <= 1
    submitted = Counter()
    for row in rows_of(tmp_path / "s.csv"):
        submitted[row["ImageId"]] += parse(row["EncodedPixels"]).area
    assert areas == +submitted


def test_masks_follow_thresholds_and_smallest_areas_of_the_networks_size():
    probabilities = np.zeros((3, 4, 8), np.float32)
    probabilities[0, :2] = 0.6  # half of the image
    probabilities[1, 0, :3] = 0.9  # 3 of 32 pixels: below a tenth
    probabilities[2, :, 4:] = 0.3
    post_processing = PostProcessing((0.5, 0.5, 0.25), (0.5, 0.1, 0.0))
    assert post_processing.kept(probabilities).tolist() == [True, False, True]
    masks, _ = post_processing.masks(probabilities, 4, 8)
    assert np.array_equal(masks, [probabilities[0] > 0, np.zeros((4, 8), bool), probabilities[2] > 0])
    larger, enlarged = post_processing.masks(probabilities, 40, 80)
    assert larger.shape == enlarged.shape == (3, 40, 80)
    assert larger[0].mean() == pytest.approx(0.45, abs=0.06)
    assert not larger[1].any()


def test_the_more_probable_class_has_a_pixel_that_two_claim():
    masks = np.array([[[1, 1, 0]], [[1, 0, 0]]], bool)
    probabilities = np.array([[[0.6, 0.9, 0.4]], [[0.7, 0.1, 0.4]]], np.float32)
    assert index_map(masks, probabilities).tolist() == [[2, 1, 0]]
    (first, second) = defects(masks, probabilities, ("a", "b"))
    assert (first.class_name, first.area_px, first.x1, first.confidence) == ("a", 2, 2, 0.75)
    assert (second.class_name, second.confidence) == ("b", 0.7)


def test_images_of_one_stem_have_masks_of_their_own(mask_run, tmp_path):
    (tmp_path / "in").mkdir()
    image = Image.open(mask_run.data_set / "images" / "01.png")
    for name in ("a.png", "a.bmp"):
        image.save(tmp_path / "in" / name)
    predicted(mask_run, tmp_path / "in", tmp_path, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["a.bmp.png", "a.png.png"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, "nothing to write"),
        ({"out": "images/x"}, "only read"),
        ({"submission": "images/s.csv"}, "only read"),
        ({"submission": "notes.txt"}, "no .csv file"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, wanted, told):
    (tmp_path / "images").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CvAutomlError, match=told):
        Wanted(**{name: tmp_path / place for name, place in wanted.items()}).refuse(tmp_path / "images")


def test_the_test_part_of_a_competitions_folder_is_predicted(tmp_path):
    for name in ("train/a.png", "test/b.png", "test/deep/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    (tmp_path / "sample_submission.csv").write_text("id,label\nb,x\n")
    folder = ImageFolder.at(tmp_path)
    assert (folder.root, folder.files) == (tmp_path / "test", ("b.png", "deep/c.png"))
    assert folder.sample == ImageFolder.at(tmp_path / "test").sample == tmp_path / "sample_submission.csv"
    for name in ("images/x.png", "masks/x.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / "set" / name)
    assert ImageFolder.at(tmp_path / "set").files == ("x.png",)
    (tmp_path / "none").mkdir()
    with pytest.raises(CvAutomlError, match="there are no images"):
        ImageFolder.at(tmp_path / "none")


def sample_of(tmp_path: Path, text: str) -> Sample:
    (tmp_path / "sample_submission.csv").write_text(text)
    return Sample.read(tmp_path / "sample_submission.csv")


ENTRIES = [
    {"file": "1.jpg", "probabilities": [0.7, 0.3]},
    {"file": "2.jpg", "probabilities": [0.2, 0.8]},
]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("id,label\n2,cat\n1,cat\n", [["2", "dog"], ["1", "cat"]]),
        ("image,label\n1.jpg,0\n2.jpg,0\n", [["1.jpg", 0], ["2.jpg", 1]]),
        ("id,dog,cat\n1,0,0\n2,0,0\n", [["1", 0.3, 0.7], ["2", 0.8, 0.2]]),
        ("id,label\n1,\n3,\n", [["1", "cat"]]),
    ],
)
def test_classes_are_submitted_as_the_sample_asks(tmp_path, sample, expected):
    submission = ClassSubmission(("cat", "dog"), sample_of(tmp_path, sample))
    assert list(submission.rows(ENTRIES)) == expected
    assert submission.header == tuple(sample.splitlines()[0].split(","))
    assert bool(submission.notes) == ("\n3," in sample or ",0\n2.jpg" in sample)


def test_without_a_sample_it_is_file_and_class():
    submission = ClassSubmission(("cat", "dog"))
    assert [submission.header, *submission.rows(ENTRIES)] == [
        ("file", "class"),
        ["1.jpg", "cat"],
        ["2.jpg", "dog"],
    ]


def test_a_sample_of_other_classes_is_refused(tmp_path):
    submission = ClassSubmission(("cat", "dog"), sample_of(tmp_path, "id,cow,cat\n1,0,0\n"))
    with pytest.raises(CvAutomlError, match="a column for each of cat, dog"):
        list(submission.rows(ENTRIES))


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("ImageId,EncodedPixels,ClassId\na.jpg,1 1,1\n", ["a.jpg", "1 2", "3"]),
        ("ImageId_ClassId,EncodedPixels\na.jpg_1,1 1\n", ["a.jpg_3", "1 2"]),
        ("ImageId_ClassId,EncodedPixels\na_1,1 1\n", ["a_3", "1 2"]),
    ],
)
def test_masks_are_submitted_as_the_sample_asks(tmp_path, sample, expected):
    submission = MaskSubmission(("3",), None, sample_of(tmp_path, sample))
    assert list(submission.rows([{"file": "a.jpg", "runs": ["1 2"]}])) == [expected]
