"""Measured quality and speed of completion, written to benchmarks/results/completion_*.json.

`quality MATRIX…` runs `als.py evaluate`'s protocol on tables from anywhere, one result file a table. `speed` times explicit
ALS against `implicit` in one run, and a large table of which a tenth is measured.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import numpy as np
import scipy.sparse
from threadpoolctl import threadpool_limits

from lib.config import PROJECT_ROOT
from lib.files import write_atomically
from lib.performance_prediction.als.explicit import fit_als
from lib.performance_prediction.table.circumstances import circumstances, write_report
from lib.performance_prediction.table.evaluate import EvaluationPlan, evaluate_files, parse_fractions
from lib.performance_prediction.table.score_table import COMPLETERS, Floats
from lib.reporting.score_tables import show_report, show_scores, tell

RESULTS = PROJECT_ROOT / "benchmarks" / "results"
RANK, SWEEPS = 8, 20


@click.group()
def benchmark() -> None:
    """Completion: how wrong, and how fast."""


@benchmark.command()
@click.argument("matrices", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--fractions", default="0.3,0.5,0.7,0.9")
@click.option("--seeds", default=3)
def quality(matrices: tuple[Path, ...], fractions: str, seeds: int) -> None:
    """All completers on each table; one JSON a table."""
    for matrix in matrices:
        plan = EvaluationPlan(parse_fractions(fractions), seeds, COMPLETERS.names())
        report = evaluate_files([matrix], (), (), True, plan, show_scores, tell)
        show_report(report)
        write_report(RESULTS / f"completion_{matrix.stem}.json", report)


@benchmark.command()
@click.option(
    "--threads", default=1, show_default=True, help="For the large table; the small one is timed on one core."
)
def speed(threads: int) -> None:
    """Explicit ALS and `implicit` on the same table, in the same run."""
    results = {
        "circumstances": circumstances(),
        "table_1000_x_1000": [_against_implicit(share) for share in (1.0, 0.5, 0.1)],
        "table_20000_x_5000": _large_table(threads),
    }
    text = json.dumps(results, indent=1)
    write_atomically(RESULTS / "completion_speed.json", text + "\n")
    click.echo(text)


def _low_rank(n_rows: int, n_columns: int, share: float, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    values = 0.5 + 0.05 * rng.standard_normal((n_rows, 8)) @ rng.standard_normal((8, n_columns))
    values[rng.random(values.shape) >= share] = np.nan
    return values


def _best_of(times: int, run: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def _against_implicit(share: float) -> dict[str, float]:
    """Best of five, on one thread each, with the same rank and number of sweeps."""
    from implicit.cpu.als import AlternatingLeastSquares

    values = _low_rank(1000, 1000, share)
    stored = scipy.sparse.csr_matrix(np.nan_to_num(values).astype(np.float32))

    def run_implicit() -> None:
        model = AlternatingLeastSquares(factors=RANK, iterations=SWEEPS, num_threads=1, random_state=0)
        model.fit(stored, show_progress=False)

    with threadpool_limits(1):
        ours = _best_of(5, lambda: fit_als(values, RANK, 0.1, SWEEPS))
        theirs = _best_of(5, run_implicit)
    return {
        "observed_share": share,
        "rank": RANK,
        "sweeps": SWEEPS,
        "explicit_als_s": round(ours, 4),
        "implicit_s": round(theirs, 4),
        "implicit_over_explicit": round(theirs / ours, 2),
    }


def _large_table(threads: int) -> dict[str, float]:
    """20,000 × 5,000 at 10 % observed; peak memory of the whole process."""
    rng = np.random.default_rng(0)
    count = 10_000_000
    rows = rng.integers(0, 20_000, count, dtype=np.int32)
    columns = rng.integers(0, 5_000, count, dtype=np.int32)
    left, right = rng.standard_normal((20_000, 8)), rng.standard_normal((5_000, 8))
    values = np.full((20_000, 5_000), np.nan, dtype=np.float32)
    values[rows, columns] = 0.5 + 0.05 * np.einsum("ck,ck->c", left[rows], right[columns])
    with threadpool_limits(threads):
        begun = time.perf_counter()
        model = fit_als(values, RANK, 0.1, SWEEPS)
        seconds = time.perf_counter() - begun
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024) / 1024
    )
    return {
        "observed": int(np.isfinite(values).sum()),
        "rank": RANK,
        "sweeps": SWEEPS,
        "threads": threads,
        "seconds": round(seconds, 2),
        "peak_memory_gib": round(peak / (1024 if sys.platform == "darwin" else 1), 2),
        "final_rmse": round(model.losses[-1], 5),
    }


if __name__ == "__main__":
    benchmark()
