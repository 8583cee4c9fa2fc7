"""Shards: together they are the sweep, they cost alike, groups stay whole, and neither records nor measured times move a cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.benchmark.groups import Shard, groups_of, rule_of_thumb_s, shard_of
from lib.benchmark.plan import Estimates, Plan, plan_cells
from lib.benchmark.prepare import PreparedSweep, prepared
from lib.config import Settings
from lib.errors import CvAutomlError
from lib.records.costs import Rates
from tests.benchmark.made_up_sweep import ready, request, swept, write_tiny_set


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    """One small set, two heads, three seeds: six cells to copy."""
    folder = tmp_path_factory.mktemp("shards")
    settings = Settings(runs_dir=folder / "runs", cache_dir=folder / "cache")
    return ready(write_tiny_set(folder / "tiny", images=6), settings, seeds=(0, 1, 2))


def grid(sweep: PreparedSweep, images: list[int], *, features_rate: float | None = None) -> Plan:
    """The plan of the sweep's cells on made-up sets of so many images."""
    cells = [
        replace(
            p.cell,
            data_set=p.cell.data_set.model_copy(update={"name": f"set{i}", "n_images": n, "n_train": n}),
        )
        for i, n in enumerate(images)
        for p in sweep.plan.cells
    ]
    rates = Rates({"handcrafted": features_rate}) if features_rate else Rates()
    return plan_cells(cells, lambda cell: None, Estimates(rates))


def keys(plan: Plan) -> list[tuple[str, str]]:
    return [(one.cell.data_set.name, one.cell.key) for one in plan.cells]


SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=30)


@given(images=SIZES, n=st.integers(1, 7))
def test_shards_are_the_plan_and_groups_stay_whole(sweep: PreparedSweep, images: list[int], n: int) -> None:
    plan = grid(sweep, images)
    shards = [shard_of(plan, Shard(number, n)) for number in range(1, n + 1)]
    assert sorted(key for shard in shards for key in keys(shard)) == sorted(keys(plan))
    groups = [{one.cell.group for one in shard.cells} for shard in shards]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert sum(shard.estimated_s for shard in shards) == pytest.approx(plan.estimated_s)


@given(images=SIZES, n=st.integers(1, 7))
def test_no_shard_costs_more_than_the_mean_and_one_group(
    sweep: PreparedSweep, images: list[int], n: int
) -> None:
    plan = grid(sweep, images)
    weights = rule_of_thumb_s(plan)
    costs = [sum(rule_of_thumb_s(shard_of(plan, Shard(k, n))).values()) for k in range(1, n + 1)]
    assert max(costs) <= sum(costs) / n + max(weights.values()) + 1e-9


@given(images=SIZES, n=st.integers(1, 5))
def test_neither_measured_times_nor_the_order_move_a_cell(
    sweep: PreparedSweep, images: list[int], n: int
) -> None:
    plan, measured = grid(sweep, images), grid(sweep, images, features_rate=3.0)
    backwards = replace(plan, cells=plan.cells[::-1])
    for number in range(1, n + 1):
        cut = [sorted(keys(shard_of(one, Shard(number, n)))) for one in (plan, measured, backwards)]
        assert cut[0] == cut[1] == cut[2]


def test_a_shard_that_starts_late_does_not_do_what_another_did(tmp_path: Path, settings: Settings) -> None:
    sets = [str(write_tiny_set(tmp_path / f"set{n}", images=6, seed=n)) for n in range(3)]
    asked = request(sets[0], data_sets=tuple(sets))
    written = []
    for number in (1, 2):
        part = prepared(asked, settings, shard=f"{number}/2")
        written += [record.key for record in swept(part, settings).records]
    assert len(written) == len(set(written)) == 6
    assert not [one for one in prepared(asked, settings).plan.cells if one.to_run]


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_no_shard(text: str) -> None:
    with pytest.raises(CvAutomlError, match=r"expected i/n"):
        Shard.parsed(text)


@given(images=SIZES)
def test_long_groups_run_first_and_hold_every_cell_to_run(sweep: PreparedSweep, images: list[int]) -> None:
    plan = grid(sweep, images)
    groups = groups_of(plan, {("handcrafted", False): 500.0})
    assert [g.expected_s for g in groups] == sorted((g.expected_s for g in groups), reverse=True)
    assert sum(g.expected_s for g in groups) == pytest.approx(plan.estimated_s)
    assert sum(len(g.cells) for g in groups) == len(plan.cells)
    assert {g.memory_mb for g in groups} == {600.0}
