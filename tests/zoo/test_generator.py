"""Generators: trained on the train part alone, resumable, judged for class and copying, and written as a marked data set."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.datasets import DataSet, load_data_set
from lib.datasets.checking import check_data_set
from lib.datasets.generated import is_drawn, labels_to_generate, write_generated
from lib.errors import CvAutomlError, DataSetError
from lib.zoo.backbones import open_backbone
from lib.zoo.generator.judging import judge_samples, nearest, nearest_other
from lib.zoo.generator.models import GENERATORS, build_generator
from lib.zoo.generator.study import SHARES, study, with_share
from lib.zoo.generator.training import lesson_of, reduced, train_generator
from tests.benchmark.made_up_sweep import write_tiny_set
from tests.running import run_script


@pytest.fixture
def lesson(settings, tmp_path):
    small = settings.override(generator={"size_px": 16, "batch_size": 8, "learning_rate": 2e-3}, device="cpu")
    data_set = load_data_set(write_tiny_set(tmp_path / "datasets" / "tiny"), small)
    return lesson_of(data_set, "vae", small, epochs=2)


@pytest.fixture
def generated(lesson, tmp_path):
    """The tiny set with as many made-up pictures as real training images."""
    labels = labels_to_generate(lesson.data_set, 100)
    pictures = np.random.default_rng(0).integers(0, 256, (len(labels), 16, 16, 3)).astype(np.uint8)
    folder = tmp_path / "datasets" / "more"
    write_generated(lesson.data_set, folder, pictures, labels, 100, "by hand")
    return load_data_set(folder, lesson.settings)


@pytest.mark.parametrize(("kind", "channels"), zip(GENERATORS, (1, 3), strict=True))
def test_a_generator_draws_images_of_its_size_and_learns(kind, channels):
    if kind == "diffusion":
        pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model = build_generator(kind, channels, 16, 3)
    images, labels = torch.zeros(4, channels, 16, 16), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(8):
        loss = model.loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    with torch.no_grad():
        drawn = model.sample(labels)
    assert drawn.shape == images.shape
    assert drawn.abs().max() <= 1


def test_only_training_images_are_read(lesson, monkeypatch):
    read = []
    original = DataSet.read_image
    monkeypatch.setattr(DataSet, "read_image", lambda self, i: (read.append(i), original(self, i))[1])
    train_generator(replace(lesson, epochs=1))
    assert set(read) == set(lesson.rows.tolist())


def test_a_resumed_training_equals_an_uninterrupted_one(lesson):
    whole = train_generator(lesson)
    kept = lesson.file.read_bytes()
    lesson.file.unlink()
    train_generator(replace(lesson, epochs=1))
    told = []
    again = train_generator(lesson, lambda epoch, loss: told.append(epoch))
    labels = np.array([0, 1, 2])
    assert told == [2]
    assert again.curve == whole.curve
    assert np.array_equal(again.draw(labels, 5), whole.draw(labels, 5))
    assert len(lesson.file.read_bytes()) == pytest.approx(len(kept), abs=50)
    assert train_generator(lesson, lambda epoch, loss: pytest.fail("trained again")).curve == whole.curve


def test_a_few_epochs_give_images_of_their_class(lesson):
    trained = train_generator(replace(lesson, epochs=15))
    bright, dark = (trained.draw(np.full(20, k)).mean() for k in (0, 1))
    real = [
        reduced(lesson.data_set, lesson.rows[lesson.data_set.labels[lesson.rows] == k], 16).mean()
        for k in (0, 1)
    ]
    assert abs(bright - real[0]) < abs(bright - real[1])
    assert abs(dark - real[1]) < abs(dark - real[0])


def test_copies_and_wrong_classes_are_found_out(lesson):
    data_set, backbone = lesson.data_set, open_backbone("handcrafted", lesson.settings)
    copies, labels = reduced(data_set, lesson.rows, 16), data_set.labels[lesson.rows]
    judged = judge_samples(data_set, copies, labels, backbone, 16)
    assert (judged.copied, judged.accuracy, judged.distance) == (1, 1, pytest.approx(0, abs=1e-3))
    other = judge_samples(data_set, 255 - copies, (labels + 1) % 3, backbone, 16)
    assert other.copied == 0
    assert other.distance > other.distance_real


def test_nearest_distances_are_those_of_all_pairs():
    points = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    table = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert nearest(points[:5], points[5:]) == pytest.approx(table[:5, 5:].min(axis=1), abs=1e-5)
    np.fill_diagonal(table, np.inf)
    assert nearest_other(points) == pytest.approx(table.min(axis=1), abs=1e-5)


def test_a_generated_set_is_marked_and_tests_real_images_alone(lesson, generated):
    data_set, drawn = lesson.data_set, is_drawn(generated)
    assert set(generated.parts[drawn]) == {"train"}
    for part in ("validation", "test"):
        assert len(generated.indices(part)) == len(data_set.indices(part))
    info = generated.info("folds")
    assert info.generated
    assert (info.n_folds, info.parent, info.derivation) == (1, "tiny", "generated 100% by hand")
    assert info.n_train == 2 * len(lesson.rows)
    assert not data_set.info("own").generated
    assert not check_data_set(generated.root, lesson.settings).problems


def test_what_is_no_generated_set_is_not_overwritten(lesson):
    with pytest.raises(DataSetError, match="holds something else than generated images"):
        write_generated(lesson.data_set, lesson.data_set.root, np.empty((0, 16, 16, 3)), np.array([]), 50, "")


def test_classes_keep_their_shares():
    data_set = lesson_like(np.array([0] * 30 + [1] * 10))
    assert np.bincount(labels_to_generate(data_set, 50)).tolist() == [15, 5]


def lesson_like(labels):
    from tests.zoo.made_up import made_up_data_set

    made = made_up_data_set(n=len(labels), n_classes=2)
    return replace(made, labels=labels, parts=np.full(len(labels), "train"))


def test_the_study_adds_the_share_it_says(lesson, generated):
    drawn = is_drawn(generated)
    for percent in SHARES:
        train = with_share(generated, percent, 1).indices("train")
        assert (
            abs(drawn[train].sum() - drawn.sum() * percent / 100) <= 1.5
        )  # every class is rounded by itself
        assert (~drawn[train]).sum() == len(lesson.rows)
    found = study(generated, "handcrafted", "linear", lesson.settings, seeds=(0, 1))
    assert [row.percent for row in found.rows] == list(SHARES)
    assert found.rows[0].spread == 0
    assert all(len(row.accuracies) == 2 for row in found.rows)


def test_masks_cannot_be_generated(lesson):
    with pytest.raises(CvAutomlError, match="@dominant"):
        train_generator(replace(lesson, data_set=replace(lesson.data_set, labels=None)))


def test_the_command_writes_set_pictures_and_study(lesson, tmp_path, monkeypatch, capsys):
    for name, value in {
        "CACHE_DIR": tmp_path / "cache",
        "TUNED_DIR": tmp_path / "tuned",
        "DATASETS_DIR": tmp_path / "datasets",
        "GENERATOR__SIZE_PX": 16,
    }.items():
        monkeypatch.setenv(f"CVAUTOML_{name}", str(value))
    words = ("generate", "--dataset", "tiny", "--model", "vae", "--epochs", 2, "--study", "--json")
    code, out, err = run_script(monkeypatch, capsys, "zoo", *words)
    assert code == 0, err
    told = json.loads(out)
    assert told["data_set"] == "tiny_generated100"
    assert [row["percent"] for row in told["study"]["rows"]] == list(SHARES)
    for name in ("png", "study_png"):
        assert (tmp_path / told[name]).is_file()
    code, _, err = run_script(monkeypatch, capsys, "zoo", "generate", "--dataset", "tiny_generated100")
    assert code == 2
    assert "holds generated images already" in err
