"""Which networks to probe: the one that tells most within the time, by the Gaussian that conditions on it."""

from __future__ import annotations

import numpy as np
import pytest

from lib.errors import TooLittleDataError
from lib.performance_prediction.boosting.cells import PROBE_PAIRS
from lib.performance_prediction.boosting.evidence import Evidence, gather_evidence
from lib.performance_prediction.boosting.leave_set_out import leave_families_out
from lib.performance_prediction.boosting.pair_gaussian import PairGaussian
from lib.performance_prediction.boosting.probe_choice import choose_probes, with_probes
from lib.records.schema import PROBE_BACKBONES, PROBE_S
from tests.performance_prediction.synthetic_zoo import data_set_info, facts_of, finished_run


def two_kinds(n_sets: int = 16) -> Evidence:
    """`vit_tiny_patch16_224` shares its sets' ups and downs with `resnet18`; `handcrafted` has its own; both timed alike."""
    rng, runs, facts = np.random.default_rng(0), [], {}
    for k in range(n_sets):
        info = data_set_info(f"set{k:02}")
        facts[info.name] = facts_of(info, 0.5)
        deep, simple = rng.normal(0, 0.1, 2)
        for net, level in (
            ("vit_tiny_patch16_224", deep),
            ("resnet18", deep),
            ("resnet50", deep),
            ("handcrafted", simple),
        ):
            for head, shift in (("linear", 0.02), ("knn", 0.0)):
                run = finished_run(
                    info, net, head, float(np.clip(0.7 + level + shift + rng.normal(0, 0.005), 0, 1))
                )
                slow = 100.0 if net == "resnet50" else 5.0
                runs.append(
                    run.model_copy(update={"timing": run.timing.model_copy(update={"features_s": slow})})
                )
    return gather_evidence(runs, 10, facts=facts)


EVIDENCE = two_kinds()


def test_what_tells_most_comes_first_and_what_takes_too_long_never() -> None:
    choice = choose_probes(EVIDENCE, 30.0)
    assert choice.steps[0].backbone in ("vit_tiny_patch16_224", "resnet18")
    assert "handcrafted" in choice.backbones
    assert "resnet50" not in choice.backbones
    errors = [choice.error_without, *(step.error for step in choice.steps)]
    assert errors == sorted(errors, reverse=True)
    assert choice.steps[-1].seconds <= 30.0
    assert {pair.backbone for pair in choice.pairs} == set(choice.backbones)


def test_at_least_the_quickest_is_probed() -> None:
    assert len(choose_probes(EVIDENCE, 0.001).steps) == 1


def test_the_pairs_chosen_are_those_revealed_of_left_out_sets() -> None:
    probed = with_probes(EVIDENCE, 12.0)
    assert probed.probed == choose_probes(EVIDENCE, 12.0).pairs
    assert probed.digest() != EVIDENCE.digest()
    left_out = leave_families_out(probed, {"gaussian": PairGaussian()}, ("probed",))["probed"]
    shown = {
        pair for entry in left_out for pair, told in zip(entry.pairs, entry.revealed, strict=True) if told
    }
    assert shown == set(probed.probed)
    assert with_probes(EVIDENCE, PROBE_S).probed == PROBE_PAIRS


def test_more_time_adds_to_what_is_always_probed() -> None:
    longer = {pair.backbone for pair in with_probes(EVIDENCE, 300.0).probed}
    assert longer >= {name for name in PROBE_BACKBONES if name in {pair.backbone for pair in EVIDENCE.pairs}}


def test_two_families_are_too_few() -> None:
    with pytest.raises(TooLittleDataError, match="three unrelated"):
        choose_probes(two_kinds(2), 20.0)
