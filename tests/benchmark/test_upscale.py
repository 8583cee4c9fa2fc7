"""How images are enlarged is part of a run: in its key, its recipe, and where it was learned in a note."""

from lib.benchmark.cell_run import Bench, run_cell
from lib.benchmark.listening import Listener
from lib.benchmark.prepare import prepared
from lib.benchmark.selection import Request
from tests.benchmark.made_up_sweep import write_tiny_set


def run(folder, settings, upscale):
    settings = settings.override(upscale=upscale, weights="random")
    request = Request((str(folder),), ("tf_mobilenetv3_small_100",), ("knn",), folds=1)
    sweep = prepared(request, settings)
    (planned,) = sweep.plan.cells
    return run_cell(
        planned.cell,
        Bench(sweep.selection.data_sets[0].data_set, planned.cell.backbone.name, settings),
        Listener(),
    )


def test_each_rule_is_a_run_of_its_own(tmp_path, settings):
    folder = write_tiny_set(tmp_path / "tiny", images=10, side=52)
    records = {name: run(folder, settings, name) for name in (None, "lanczos", "learned")}
    assert [r.status for r in records.values()] == ["finished"] * 3
    assert (
        len({r.key for r in records.values()}) == len({r.backbone.input_hash for r in records.values()}) == 3
    )
    assert [r.recipe.options.get("upscale") for r in records.values()] == [None, "lanczos", "learned"]
    told = [any("enlarged by a network" in note for note in r.notes) for r in records.values()]
    assert told == [False, False, True]
