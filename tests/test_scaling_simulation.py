"""The simulation behind docs/scaling.md: without burdens it is arithmetic, and each burden costs what it should."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parent.parent / "benchmarks" / "scaling_simulation.py"


@pytest.fixture(scope="module")
def simulation() -> Any:
    spec = importlib.util.spec_from_file_location("scaling_simulation", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def free(simulation: Any) -> Any:
    """A world in which only the cells take time."""
    return simulation.World(
        workers=1, straggling=0, node_lost_every_s=0, driver_cell_s=0, start_s=0, store_mb_s=float("inf")
    )


@pytest.fixture
def times(simulation: Any) -> Any:
    """Groups of ten cells of 10 s that share features of 20 s: 120 s each."""
    return [simulation.GroupTimes(20.0, (10.0, 10.0))]


def test_one_worker_takes_the_sum_and_ten_a_tenth(simulation: Any, free: Any, times: Any) -> None:
    one = simulation.simulated(times, 3000, free)
    assert one["hours"] == pytest.approx(300 * 120 / 3600) and one["efficiency"] == 1
    assert simulation.simulated(times, 3000, replace(free, workers=10))["hours"] == pytest.approx(1)


def test_features_not_shared_are_paid_for_each_cell(simulation: Any, free: Any, times: Any) -> None:
    alone = simulation.simulated(times, 3000, replace(free, shares_features=False))
    assert alone["hours"] == pytest.approx(3000 * 30 / 3600)


def test_a_slow_driver_and_a_slow_store_bound_the_sweep(simulation: Any, free: Any, times: Any) -> None:
    many = replace(free, workers=512)
    assert simulation.simulated(times, 3000, replace(many, driver_cell_s=12))["hours"] >= 10
    # 15 data sets to the 38 nodes of 300 busy workers at most, each alone on the line
    assert simulation.simulated(times, 3000, replace(many, store_mb_s=10))["hours"] >= 15 * 100 / 3600


def test_lost_nodes_cost_time_but_no_cell(simulation: Any, free: Any, times: Any) -> None:
    steady = simulation.simulated(times, 30_000, replace(free, workers=16))
    shaken = simulation.simulated(times, 30_000, replace(free, workers=16, node_lost_every_s=3600.0))
    assert shaken["lost_nodes"] > 0 and shaken["efficiency"] < steady["efficiency"]
