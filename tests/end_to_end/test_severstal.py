"""The main job from end to end through the scripts, on real Severstal images with real weights."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.end_to_end.project import Project


def test_the_whole_chain_runs_on_real_severstal_images_with_a_real_network(
    tmp_path: Path, realdata: Path, weights_dir: Path
) -> None:
    project = Project(tmp_path, CVAUTOML_WEIGHTS_DIR=str(weights_dir))
    severstal, patches = realdata / "severstal_subset", tmp_path / "severstal_patches"
    project.run("dataset.py", "patches", severstal, "--to", patches, "--size", "224", "--context", "0.25")
    with Image.open(next(patches.glob("images/*/*"))) as patch:
        assert patch.size == (224, 224)
    project.run(
        "zoo.py",
        "run",
        "--dataset",
        patches,
        "--backbone",
        "tf_mobilenetv3_small_100,handcrafted",
        "--head",
        "naive,linear,mlp,knn",
    )
    records = project.records("severstal_patches")
    network, chance = records["tf_mobilenetv3_small_100", "mlp"], records["handcrafted", "naive"]
    assert (network.quality() or 0) > (chance.quality() or 0) + 0.2
    assert network.backbone.weights_origin == "weights_dir" and network.data_set.parent == "severstal_subset"
    assert all(len(r.epochs) == 10 and r.standard_error() for r in records.values())

    project.run("als.py", "train", "--epoch", "10")
    answer = project.json("recommend.py", realdata / "severstal_subset" / "test_images")
    assert {candidate["basis"] for candidate in answer["candidates"]} == {"predicted"}
    assert all(0 <= candidate["quality"] <= 1 for candidate in answer["candidates"])
