"""What more images bring: a planted power law is found, judged on families left out, and silence without views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lib.performance_prediction.boosting.cells import Pair
from lib.performance_prediction.boosting.evidence import Evidence, gather_evidence
from lib.recommendation.more_images import grow, growths, judged, more_images
from lib.records import DataSetInfo, RunRecord
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run

PAIR = Pair("resnet18", "linear")
SIZES = {"@train10": 40, "@train33": 132, "": 400}


def info_of(name: str, view: str) -> DataSetInfo:
    whole = data_set_info(name, n_train=400)
    own = {"name": name + view, "n_train": SIZES[view], "parent": name if view else None}
    return whole.model_copy(update={**own, "derivation": view.removeprefix("@") or None})


def sets(powers: Sequence[float], noise: float = 0.0) -> list[RunRecord]:
    """One family a power: error 0.4 at 40 images, falling as n to the minus `power`."""
    rng = np.random.default_rng(0)
    return [
        finished_run(info_of(f"set{k:02}", view), *PAIR, 1 - 0.4 * (n / 40) ** -power + rng.normal(0, noise))
        for k, power in enumerate(powers)
        for view, n in SIZES.items()
    ]


def evidence_of(powers: Sequence[float], noise: float = 0.0) -> Evidence:
    return gather_evidence(sets(powers, noise), 10)


def test_views_stand_apart_from_the_table_of_sets() -> None:
    evidence = evidence_of([0.2, 0.3])
    assert evidence.data_sets == ("set00", "set01")
    assert [(v.whole, v.n_train, v.n_whole) for v in evidence.views] == [
        (name, n, 400) for name in evidence.data_sets for n in (40, 132)
    ]
    assert {view.cell.family for view in evidence.without({"set00"}).views} == {"set01"}
    alone = gather_evidence([run for run in sets([0.2]) if "@" in run.data_set.name], 10)
    assert alone.data_sets == (
        "set00@train10",
        "set00@train33",
    )  # without the whole they are sets as any other


def test_a_common_power_law_is_found_exactly() -> None:
    evidence = evidence_of([0.3] * 10)
    given = more_images(evidence, PAIR, 0.7, (Pair("big", "mlp"), 0.72))
    assert [gain.gain for gain in given.gains] == [
        pytest.approx(0.3 * (1 - 2**-0.3), abs=1e-4),
        pytest.approx(0.3 * (1 - 4**-0.3), abs=1e-4),
    ]
    assert given.errors["families"].mean == pytest.approx(0, abs=1e-4)
    assert given.next_gain == pytest.approx(0.02)
    assert "big × mlp, would bring +0.020" in given.sentences[0]


def test_a_few_sets_that_gain_much_do_not_raise_what_is_promised_to_all() -> None:
    given = more_images(evidence_of([0.2] * 18 + [1.4] * 4), PAIR, 0.7, None)
    assert given.gains[0].gain == pytest.approx(0.3 * (1 - 2**-0.2), abs=0.01)


def test_noisy_sets_are_predicted_better_than_by_their_own_law_or_none() -> None:
    losses = judged(
        growths(evidence_of(np.random.default_rng(1).uniform(0.24, 0.3, 24).tolist(), noise=0.012))
    )
    mean = {name: np.mean([*values.values()]) for name, values in losses.items()}
    assert mean["families"] < mean["own power law"] < mean["no gain"]


def test_the_interval_holds_the_power_of_most_families_and_no_pair_is_said_to_be_better_where_none_is() -> (
    None
):
    powers = np.linspace(0.1, 0.5, 20).tolist()
    given = more_images(evidence_of(powers), PAIR, 0.8, (PAIR, 0.8))
    (twice, _) = given.gains
    inside = [twice.low <= grow(0.8, 2, power) - 0.8 <= twice.high for power in powers]
    assert np.mean(inside) == pytest.approx(0.9, abs=0.05)
    assert "no other pair is expected to be better" in given.sentences[0]


@pytest.mark.parametrize(
    ("powers", "said"), [([], "no records of views"), ([0.3] * 3, "of 3 unrelated sets")]
)
def test_without_views_or_with_few_it_says_so(powers: list[float], said: str) -> None:
    runs = [*sets(powers), finished_run(data_set_info("other"), *PAIR, 0.5)]
    given = more_images(gather_evidence(runs, 10), PAIR, 0.5, None)
    assert (given.gains, given.errors) == ((), {})
    assert said in given.sentences[0]
