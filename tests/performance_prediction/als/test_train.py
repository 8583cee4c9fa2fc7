"""Completing our own quality matrix: planted holes, honest held-out errors, rivals beside it, files that can be read back."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.config import AlsSettings
from lib.errors import CvAutomlError, TooLittleDataError
from lib.performance_prediction.als.explicit import supported_rank
from lib.performance_prediction.als.matrix import QualityMatrix, quality_matrix
from lib.performance_prediction.als.report import report_of, verdict, write_completion
from lib.performance_prediction.als.train import complete_zoo, refuse_too_little
from lib.performance_prediction.boosting.evidence import gather_evidence
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run, incompatible_run

INFO = data_set_info("steel")
SETTINGS = AlsSettings(sweeps=20)


def planted(
    n_backbones: int = 8, n_heads: int = 6, hole_share: float = 0.25
) -> tuple[QualityMatrix, np.ndarray]:
    """A matrix of additive and rank-1 structure with holes, and its full truth."""
    rng = np.random.default_rng(3)
    u, v = rng.normal(size=(n_backbones, 1)), rng.normal(size=(1, n_heads))
    truth = np.clip(
        0.7 + 0.06 * u * v + 0.05 * rng.normal(size=(n_backbones, 1)) + 0.03 * rng.normal(size=(1, n_heads)),
        0,
        1,
    )
    hidden = rng.uniform(size=truth.shape) < hole_share
    hidden[0], hidden[:, 0] = False, False
    runs = [
        finished_run(INFO, f"b{i}", f"h{j}", float(truth[i, j]))
        for i in range(n_backbones)
        for j in range(n_heads)
        if not hidden[i, j]
    ]
    return quality_matrix(gather_evidence(runs)), truth


MATRIX, TRUTH = planted()
COMPLETION = complete_zoo(MATRIX, SETTINGS)


def test_planted_holes_are_completed_and_measured_cells_kept() -> None:
    holes = COMPLETION.completed
    assert holes.sum() > 5
    np.testing.assert_array_equal(COMPLETION.values[~holes], MATRIX.values[~holes])
    additive_error = np.abs(TRUTH[holes] - TRUTH.mean()).mean()
    assert np.abs(COMPLETION.values - TRUTH)[holes].mean() < 0.3 * additive_error


def test_als_beats_the_additive_rival_where_there_is_an_interaction() -> None:
    assert COMPLETION.model.rank >= 1
    assert COMPLETION.held_out_mae["als"] < COMPLETION.held_out_mae["additive"]
    assert set(COMPLETION.held_out_mae) == {"als", "additive", "column_mean", "implicit"}
    assert verdict(COMPLETION).startswith("ALS beats every rival")


def test_held_out_errors_are_larger_than_training_errors_and_given_for_every_measured_cell() -> None:
    measured = MATRIX.measured
    assert np.isfinite(COMPLETION.held_out_error[measured]).all()
    assert np.isnan(COMPLETION.held_out_error[~measured]).all()
    assert COMPLETION.held_out_error[measured].mean() > COMPLETION.training_error[measured].mean()


def test_held_out_errors_do_not_know_the_cell() -> None:
    """Changing one cell must not change what its own fold says of it."""
    i, j = map(int, np.argwhere(MATRIX.measured)[7])
    changed = MATRIX.values.copy()
    changed[i, j] = 0.0
    again = complete_zoo(replace(MATRIX, values=changed), SETTINGS)
    predicted_before = {
        MATRIX.values[i, j] - COMPLETION.held_out_error[i, j],
        MATRIX.values[i, j] + COMPLETION.held_out_error[i, j],
    }
    assert any(again.held_out_error[i, j] == pytest.approx(p) for p in predicted_before)


def test_where_als_does_not_beat_a_rival_the_verdict_says_so() -> None:
    beaten = replace(COMPLETION, held_out_mae={"als": 0.05, "additive": 0.04, "column_mean": 0.2})
    assert beaten.beaten_by == ("additive",)
    assert "does NOT beat additive (0.0400)" in verdict(beaten)
    tied = replace(COMPLETION, held_out_mae={"als": 0.0399, "additive": 0.04})
    assert verdict(tied).startswith("ALS is no better than additive")


def test_rank_is_limited_by_the_cells() -> None:
    values = np.full((4, 3), 0.5)
    assert supported_rank(values) == 0
    assert supported_rank(np.full((12, 8), 0.5)) == 3
    runs = [
        finished_run(INFO, f"b{i}", f"h{j}", 0.5 + 0.05 * i + 0.02 * j) for i in range(4) for j in range(3)
    ]
    assert complete_zoo(quality_matrix(gather_evidence(runs)), SETTINGS, rank=5).model.rank == 0


def test_one_backbone_or_no_overlap_is_refused_with_what_to_run() -> None:
    one = [finished_run(INFO, "b0", f"h{j}", 0.5) for j in range(4)]
    with pytest.raises(TooLittleDataError, match=r"only one backbone \(b0\)"):
        refuse_too_little(quality_matrix(gather_evidence(one)))
    apart = [finished_run(INFO, f"b{i}", f"h{i}", 0.5) for i in range(3)]
    with pytest.raises(TooLittleDataError, match="do not overlap"):
        refuse_too_little(quality_matrix(gather_evidence(apart)))


def test_an_incompatible_pair_is_not_completed() -> None:
    runs = [
        finished_run(INFO, f"b{i}", f"h{j}", 0.5 + 0.1 * i)
        for i in range(3)
        for j in range(3)
        if (i, j) != (1, 1)
    ]
    runs.append(incompatible_run(INFO, "b1", "h1", "cannot"))
    completion = complete_zoo(quality_matrix(gather_evidence(runs)), SETTINGS)
    assert np.isnan(completion.values[1, 1])
    assert not completion.completed.any()


def test_the_loss_is_reported_after_each_sweep_and_never_rises_much() -> None:
    seen: list[tuple[int, float]] = []
    complete_zoo(MATRIX, SETTINGS, on_sweep=lambda sweep, loss: seen.append((sweep, loss)))
    assert [sweep for sweep, _ in seen] == list(range(1, 21))
    assert seen[-1][1] <= seen[0][1]


def test_files_can_be_read_back_without_pickles(tmp_path: Path) -> None:
    files = write_completion(COMPLETION, report_of(COMPLETION), tmp_path)
    assert [f.name for f in files] == [
        "classification_all_epoch10.factors.npz",
        "classification_all_epoch10.matrix.csv",
        "classification_all_epoch10.report.json",
        "classification_all_epoch10.report.md",
    ]
    with np.load(files[0], allow_pickle=False) as factors:
        rebuilt = (
            factors["mean"]
            + factors["backbone_biases"][:, None]
            + factors["head_biases"]
            + factors["backbone_factors"] @ factors["head_factors"].T
        )
        assert list(factors["backbones"]) == list(MATRIX.backbones)
    np.testing.assert_allclose(
        np.clip(rebuilt, 0, 1)[COMPLETION.completed], COMPLETION.values[COMPLETION.completed]
    )
    rows = list(csv.DictReader(files[1].open(encoding="utf-8")))
    assert len(rows) == MATRIX.values.size
    assert {row["status"] for row in rows} == {"measured", "completed"}
    assert json.loads(files[2].read_text())["held_out_mae"] == COMPLETION.held_out_mae
    assert verdict(COMPLETION) in files[3].read_text()


def test_every_completed_cell_has_an_interval_around_it() -> None:
    for cell in report_of(COMPLETION)["cells"]:
        assert 0 <= cell["low"] <= cell["value"] <= cell["high"] <= 1
        assert (cell["low"] < cell["high"]) == (cell["status"] == "completed")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CvAutomlError, match="--out"):
        write_completion(COMPLETION, report_of(COMPLETION), tmp_path / "below")


def test_a_file_in_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(CvAutomlError, match="--out"):
        write_completion(COMPLETION, report_of(COMPLETION), tmp_path / "taken" / "below")
