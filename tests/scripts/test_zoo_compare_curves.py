"""`zoo.py compare` and `zoo.py curves`: what they say is what was trained, measured and recorded."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lib.errors import CvAutomlError
from lib.records import RecordStore
from lib.reporting.compare import STUDY, is_severstal_patches, sentences
from lib.reporting.curves import curves_of
from lib.zoo.comparison import Answered, Comparison
from tests.benchmark.made_up_sweep import write_tiny_set
from tests.conftest import make_latency_quick
from tests.datasets import made_up
from tests.records.factory import make_record
from tests.zoo.made_up import made_up_backbone_info

ROOT = Path(__file__).resolve().parents[2]
ZOO = runpy.run_path(str(ROOT / "scripts" / "zoo.py"))["zoo"]


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs a command with folders of the test's own; returns what it printed on standard output."""
    monkeypatch.setenv("CVAUTOML_CACHE_DIR", str(tmp_path / "cache"))
    make_latency_quick(monkeypatch)

    def run(*arguments):
        result = CliRunner().invoke(ZOO, [*map(str, arguments), "--runs", str(tmp_path / "runs")])
        if isinstance(result.exception, CvAutomlError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_compare_judges_every_head_on_every_image_and_agrees_with_its_run(call, tmp_path):
    data_set = write_tiny_set(tmp_path / "tiny")
    cells = ("--dataset", data_set, "--backbone", "handcrafted", "--head", "naive,mlp,student", "--epochs", 2)
    told = json.loads(call("compare", *cells, "--json", "--png", tmp_path / "confusions.png"))
    rows = {row["head"]: row for row in told["rows"]}
    assert list(rows) == ["linear", "student", "mlp", "naive"] and told["tested"] == 36
    for head, row in rows.items():
        confusion = np.array(told["confusion"][f"handcrafted × {head}"])
        assert confusion.sum() == 36
        assert row["accuracy"]["value"] == pytest.approx(np.trace(confusion) / 36)
    teacher, student = rows["mlp"], rows["student"]
    assert student["compression"] == pytest.approx(teacher["parameters"] / student["parameters"])
    assert rows["linear"]["improvement"] is None and rows["naive"]["improvement"]["difference"]["value"] < 0
    assert rows["mlp"]["head_latency"]["batch1_median_ms"] > 0 and rows["naive"]["head_latency"] is None
    assert not (tmp_path / "runs").exists()
    with Image.open(tmp_path / "confusions.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    records = json.loads(call("run", *cells[:4], "--head", "linear", "--epochs", 2, "--json"))
    assert records[0]["final"]["confusion"] == told["confusion"]["handcrafted × linear"]


def test_compare_refuses_masks_and_several_sets_in_a_sentence(call, tmp_path, monkeypatch):
    masks = made_up.masks(tmp_path / "datasets" / "masks", [0, 1, 2, 1] * 3)
    with pytest.raises(CvAutomlError, match="has masks and no class labels"):
        call("compare", "--dataset", masks, "--backbone", "handcrafted", "--head", "naive")
    write_tiny_set(tmp_path / "datasets" / "tiny")
    monkeypatch.setenv("CVAUTOML_DATASETS_DIR", str(tmp_path / "datasets"))
    with pytest.raises(CvAutomlError, match="name one with --dataset"):
        call("compare", "--dataset", "all", "--backbone", "handcrafted")


def answered(parent, derivation, heads):
    data_set = make_record().data_set.model_copy(update={"parent": parent, "derivation": derivation})
    labels = np.arange(40) % 2
    pairs = [(made_up_backbone_info("net"), head, right) for head, right in heads.items()]
    answers = tuple(
        Answered(info, head, 10, np.where(np.arange(40) < right, labels, 1 - labels))
        for info, head, right in pairs
    )
    return Comparison(data_set, labels, answers)


def test_what_distillation_brought_is_the_students_lead_over_its_twin():
    told = sentences(answered(None, None, {"linear": 30, "student": 38, "student_alone": 34}))
    assert any("distillation brought the student +10.0" in sentence for sentence in told)


@pytest.mark.parametrize(
    ("parent", "shown", "says"), [("severstal", True, False), ("severstal_subset", True, True), ("other", False, False)]
)  # fmt: skip
def test_the_original_study_stands_beside_severstals_patches_and_the_missing_set_is_told(parent, shown, says):
    comparison = answered(parent, "patches size=224 context=0.25", {"linear": 30})
    assert is_severstal_patches(comparison.data_set) is shown
    assert any("full Severstal set is not at hand" in sentence for sentence in sentences(comparison)) is says
    assert [a for *_, a in STUDY] == [0.9223, 0.9432, 0.9377, 0.9249]


def test_curves_show_the_best_on_validation_and_the_chance_line(call, tmp_path):
    store = RecordStore(tmp_path / "runs")
    for i in range(14):
        store.write(make_record(backbone=f"net_{i:02}", quality=0.5, validation=0.5 + i / 100))
    store.write(make_record(head="naive", quality=0.3))
    told = json.loads(call("curves", "--dataset", "strips", "--json", "--png", tmp_path / "curves.png"))
    assert [one["name"].split()[0] for one in told["curves"]] == [f"net_{i:02}" for i in range(13, 1, -1)]
    assert told["chance"] == pytest.approx(0.3) and told["left_out"] == 2
    assert told["curves"][0]["epochs"] == list(range(1, 11))
    assert told["curves"][0]["validation"][-1] == pytest.approx(0.63)
    with Image.open(tmp_path / "curves.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10
    assert "net_13 × linear" in call("curves", "--dataset", "strips")
    (key,) = {one["key"] for one in told["curves"][:1]}
    named = json.loads(call("curves", "--dataset", "strips", "--run", key[:8], "--json"))
    assert [one["key"] for one in named["curves"]] == [key]


@pytest.mark.parametrize(
    ("data_set", "runs", "metric", "sentence"),
    [
        ("stripes", (), None, "did you mean strips"),
        ("strips", ("zz",), None, "unknown run 'zz'"),
        ("strips", ("",), None, "2 runs begin with ''"),
        ("strips", (), "dice", "'strips' has no dice"),
    ],
)
def test_curves_of_what_is_not_there_are_refused_in_a_sentence(data_set, runs, metric, sentence):
    records = [make_record(), make_record(backbone="net_b")]
    with pytest.raises(CvAutomlError, match=sentence):
        curves_of(records, data_set, runs, metric)


def test_ablate_compares_the_values_given_and_draws_them(call, tmp_path):
    data_set, png = write_tiny_set(tmp_path / "tiny"), tmp_path / "ablation.png"
    cells = (
        "--dataset",
        data_set,
        "--backbone",
        "handcrafted",
        "--head",
        "mlp",
        "--folds",
        1,
        "--seed",
        "0,1,2",
    )
    over = ("--over", "classification.mlp_dropouts", "--value", "[0.0]", "--value", "[0.9]")
    rows = json.loads(call("ablate", *cells, *over, "--epochs", 2, "--json", "--png", png))
    assert [(row["value"], row["n_runs"]) for row in rows] == [("[0.0]", 3), ("[0.9]", 3)]
    assert "can be told apart" in call("ablate", *cells, *over, "--epochs", 2) or rows[1]["low"] is not None
    assert Image.open(png).width > 300


def test_augmentations_are_drawn_one_row_an_image(tmp_path):
    data_set, png = write_tiny_set(tmp_path / "tiny"), tmp_path / "grid.png"
    dataset = runpy.run_path(str(ROOT / "scripts" / "dataset.py"))["dataset"]
    given = ["augmentations", str(data_set), "--recipe", "heavy", "--png", str(png), "--images", "2"]
    assert CliRunner().invoke(dataset, given).exit_code == 0
    assert Image.open(png).width > 2 * Image.open(png).height
    wrong = CliRunner().invoke(dataset, [*given[:3], "heavi", *given[4:]])
    assert "heavy" in str(wrong.exception)
