"""The picture and the table of a completion: right colours in the right places, nothing overlapping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from lib.config import AlsSettings
from lib.performance_prediction.als.matrix import quality_matrix
from lib.performance_prediction.als.train import ZooCompletion, complete_zoo
from lib.performance_prediction.boosting.evidence import gather_evidence
from lib.reporting.als import BLUE, GREY, WHITE, draw_completion, picture_grid, shorten
from lib.reporting.als_table import completion_table
from tests.performance_prediction.synthetic_zoo import data_set_info, finished_run, incompatible_run


def completion(n_backbones: int, n_heads: int, prefix: str = "") -> ZooCompletion:
    info = data_set_info("steel")
    runs = [
        finished_run(info, f"{prefix}b{i}", f"{prefix}h{j}", 0.5 + 0.02 * i + 0.03 * j + 0.01 * ((i * j) % 3))
        for i in range(n_backbones)
        for j in range(n_heads)
        if (i, j) not in ((1, 1), (2, 0))
    ]
    runs.append(incompatible_run(info, f"{prefix}b2", f"{prefix}h0", "cannot"))
    return complete_zoo(quality_matrix(gather_evidence(runs)), AlsSettings(sweeps=5))


SMALL = completion(3, 3)


def test_grounds_say_what_each_cell_is() -> None:
    grid = picture_grid(SMALL)
    ground = {(cell.row, cell.column): cell.ground for cell in grid.cells}
    assert ground[0, 0] == WHITE
    assert ground[1, 1] == BLUE
    assert ground[2, 0] == GREY


def test_errors_are_red_and_embeddings_green() -> None:
    from matplotlib.colors import to_rgb

    grid = picture_grid(SMALL)
    errors = [cell for cell in grid.cells if cell.small_text]
    assert len(errors) == SMALL.matrix.measured.sum()
    for cell in errors:
        red, green, blue = to_rgb(cell.ground)
        assert red > max(green, blue)
    weights = [cell for cell in grid.cells if cell.text[:1] in "+-" and cell.text]
    assert len(weights) == 3 * 2 * (1 + SMALL.model.rank)
    for cell in weights:
        red, green, blue = to_rgb(cell.ground)
        assert green > max(red, blue)


def test_no_two_fields_overlap() -> None:
    cells = picture_grid(completion(4, 3)).cells
    for index, one in enumerate(cells):
        for other in cells[index + 1 :]:
            apart = abs(one.column - other.column) >= 1 - 1e-9 or abs(one.row - other.row) >= 1 - 1e-9
            assert apart, (one, other)


@pytest.mark.parametrize(
    ("n_backbones", "n_heads", "prefix"), [(3, 3, ""), (4, 3, "deeplabv3plus_vit_base_patch14_")]
)
def test_the_picture_grows_with_the_matrix(
    n_backbones: int, n_heads: int, prefix: str, tmp_path: Path
) -> None:
    draw_completion(completion(n_backbones, n_heads, prefix), tmp_path / "als.png")
    picture = np.asarray(Image.open(tmp_path / "als.png").convert("RGB"))
    assert picture.shape[1] >= 1100
    margin = np.concatenate(
        [picture[:3].reshape(-1, 3), picture[:, :3].reshape(-1, 3), picture[:, -3:].reshape(-1, 3)]
    )
    assert (margin == 255).all()  # nothing runs off the page


def test_a_long_name_keeps_its_ends() -> None:
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abc", 5) == "abc"


def test_the_terminal_table_tells_held_out_errors_apart_and_names_the_rivals() -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(completion_table(SMALL))
    text = console.export_text()
    for word in ("cannot work", "held-out absolute error", "column_mean", "implicit", "final loss"):
        assert word in text
