"""A design: seeded, large enough, even, covering, and nothing hidden that is learnt from."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import CvAutomlError
from lib.records.design import DesignCell, draw_design, read_design


def grid(n_sets: int, n_backbones: int, n_columns: int) -> list[DesignCell]:
    sizes = {"set": n_sets, "net": n_backbones, "head": n_columns}
    names = [[f"{kind}{k}" for k in range(size)] for kind, size in sizes.items()]
    return [DesignCell(*cell) for cell in product(*names)]


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4)),
    share=st.floats(0.05, 0.9),
    hidden=st.floats(0, 0.1),
    seed=st.integers(0, 99),
    dropped=st.integers(0, 5),
)
def test_every_data_set_and_pair_is_covered_and_the_share_reached(
    sizes: tuple[int, int, int], share: float, hidden: float, seed: int, dropped: int
) -> None:
    possible = grid(*sizes)[dropped:] or grid(*sizes)
    design = draw_design(possible, share, hidden, seed)
    assert {c.data_set for c in design.cells} == {c.data_set for c in possible}
    assert {c[1:] for c in design.cells} == {c[1:] for c in possible}
    assert len(design.cells) >= share * len(possible)
    assert not set(design.cells) & set(design.hidden)
    assert design.to_run <= set(possible)
    assert len(design.to_run) == len(design.cells) + len(design.hidden)
    left = len(possible) - len(design.cells)
    assert len(design.hidden) >= min(hidden * len(possible), left)
    assert design == draw_design(possible, share, hidden, seed)


def test_no_data_set_pair_backbone_or_column_is_favoured() -> None:
    design = draw_design(grid(20, 5, 4), 0.35, 0.05, 3)
    assert (len(design.cells), len(design.hidden)) == (140, 20)
    for key in (lambda c: c.data_set, lambda c: c[1:], lambda c: c.backbone, lambda c: c.column):
        counts = Counter(map(key, design.cells)).values()
        assert max(counts) - min(counts) <= 2


def test_another_seed_draws_other_cells() -> None:
    assert draw_design(grid(6, 3, 2), 0.4, 0.1, 1).cells != draw_design(grid(6, 3, 2), 0.4, 0.1, 2).cells


def test_a_design_is_read_as_it_was_written_one_cell_a_line(tmp_path: Path) -> None:
    design, path = draw_design(grid(4, 3, 2), 0.35, 0.1, 0), tmp_path / "design.json"
    design.write(path)
    assert read_design(path) == design
    assert sum('"set0"' in line for line in path.read_text().splitlines()) == sum(
        cell.data_set == "set0" for cell in design.to_run
    )


@pytest.mark.parametrize("content", ["", "{}", '{"seed": 0}', "[1, 2]", "\0"])
def test_a_file_that_is_no_design_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(CvAutomlError, match=r"broken\.json.*zoo\.py design"):
        read_design(path)


def test_shares_beyond_the_whole_and_an_empty_grid_are_refused() -> None:
    with pytest.raises(CvAutomlError, match="more than all cells"):
        draw_design(grid(2, 2, 2), 0.9, 0.2, 0)
    with pytest.raises(CvAutomlError, match="no cell is possible"):
        draw_design([], 0.3, 0.05, 0)
