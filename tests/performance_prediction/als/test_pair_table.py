"""Completing data set × pair: dear columns of few cells, what a design hides, and the mean that people know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lib.config import AlsSettings
from lib.performance_prediction.als.matrix import quality_matrix, side_of_pairs
from lib.performance_prediction.als.pair_table import kind_of
from lib.performance_prediction.als.train import ZooCompletion, complete_zoo, parted
from lib.performance_prediction.boosting.cells import Cell
from lib.performance_prediction.boosting.evidence import Evidence, Pair, gather_evidence
from lib.records.design import Design, DesignCell
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run

SETTINGS = AlsSettings(sweeps=10, rank=1)
NETS, HEADS = ("net0", "net1", "net2", "net3"), ("knn", "linear", "mlp")
TUNED = "linear (fine-tuned)"


def planted() -> tuple[Evidence, dict[tuple[str, str], float]]:
    """Twelve sets on which fine-tuning brings the more, the harder they are; each fine-tuned pair is measured on three, the last
    network's on none. Beside it the fine-tuned truth by (set, backbone)."""
    rng, runs, truth = np.random.default_rng(0), [], {}
    for k, level in enumerate(np.linspace(0.5, 0.85, 12)):
        info = data_set_info(f"set{k:02}")
        for i, net in enumerate(NETS):
            for j, head in enumerate(HEADS):
                quality = level + 0.02 * i + 0.02 * j + rng.normal(0, 0.003)
                runs.append(finished_run(info, net, head, quality))
            truth[info.name, net] = level + 0.02 * i + 0.4 * (0.95 - level) + rng.normal(0, 0.003)
            if net != "net3" and (k + i) % 4 == 0:
                run = finished_run(info, net, "linear", truth[info.name, net])
                runs.append(
                    run.model_copy(
                        update={
                            "recipe": run.recipe.model_copy(update={"finetune": True}),
                            "key": f"{info.name}{net}",
                        }
                    )
                )
    return gather_evidence(runs, 10), truth


EVIDENCE, TRUTH = planted()
DONE = complete_zoo(quality_matrix(EVIDENCE), SETTINGS)


def place(done: ZooCompletion, net: str, column: str) -> tuple[int, int]:
    return done.matrix.backbones.index(net), done.matrix.heads.index(column)


def test_a_pair_measured_everywhere_is_its_plain_mean_and_white() -> None:
    own = [cell.quality for cell in EVIDENCE.cells if cell.pair == Pair("net1", "mlp")]
    at = place(DONE, "net1", "mlp")
    assert DONE.values[at] == pytest.approx(np.mean(own))
    assert (DONE.status(*at), DONE.low[at], DONE.high[at]) == ("measured", DONE.values[at], DONE.values[at])


@pytest.mark.parametrize("net", NETS)
def test_a_fine_tuned_pair_of_few_cells_or_none_is_near_its_truth_over_all_sets(net: str) -> None:
    at = place(DONE, net, TUNED)
    truth = np.mean([value for (_, name), value in TRUTH.items() if name == net])
    assert DONE.status(*at) == "completed"
    assert DONE.measured_share[at] == (0 if net == "net3" else 0.25)
    assert DONE.values[at] == pytest.approx(truth, abs=0.02)
    assert DONE.low[at] < DONE.values[at] < DONE.high[at]


def test_errors_are_told_for_each_kind_and_als_beats_additive_on_dear_columns() -> None:
    kinds = {one.kind: one for one in DONE.held_out}
    assert {kind: (one.n_cells, one.hidden) for kind, one in kinds.items()} == {
        "frozen": (144, False),
        "fine-tuned": (9, False),
    }
    assert kinds["fine-tuned"].beats
    assert "hidden in turn" in kinds["fine-tuned"].sentence
    losing = replace(kinds["frozen"], mae={"als": 0.2, "additive": 0.1, "column_mean": 0.3})
    assert "does NOT beat additive" in losing.sentence
    assert "tried" in losing.sentence


def test_what_a_design_hides_is_judged_on_and_moves_nothing() -> None:
    cell = next(c for c in EVIDENCE.cells if c.pair.head == TUNED)
    place_of = DesignCell(cell.data_set, *cell.pair)
    design = Design(seed=0, share=0.3, hidden_share=0.1, possible=9, cells=(), hidden=(place_of,))

    def completed(quality: float) -> ZooCompletion:
        cells: tuple[Cell, ...] = tuple(
            replace(c, quality=quality) if c is cell else c for c in EVIDENCE.cells
        )
        shown, hidden = parted(replace(EVIDENCE, cells=cells), design)
        assert [(c.data_set, c.pair) for c in hidden] == [(cell.data_set, cell.pair)]
        return complete_zoo(quality_matrix(shown), SETTINGS, rank=0, hidden=hidden)

    one, other = completed(0.3), completed(0.9)
    np.testing.assert_array_equal(one.values, other.values)
    errors = [next(h for h in done.held_out if h.hidden).mae["als"] for done in (one, other)]
    assert sum(errors) == pytest.approx(0.6)  # the same number said of both


def test_side_information_names_backbone_head_and_fine_tuning() -> None:
    side = side_of_pairs([Pair("a", "linear"), Pair("a", "linear (fine-tuned)"), Pair("b", "knn")])
    np.testing.assert_array_equal(side, [[1, 0, 0, 1, 0], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0]])
    assert kind_of("deeplabv3plus (fine-tuned)", "segmentation") == "masks, fine-tuned"
