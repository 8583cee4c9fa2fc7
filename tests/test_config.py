"""Settings: the file, the environment on top, and one sentence for what is wrong."""

from pathlib import Path

import pytest

from lib.config import PROJECT_ROOT, Settings, load_settings
from lib.errors import ConfigError


def test_the_committed_file_says_the_defaults() -> None:
    settings = load_settings(environment={})
    assert settings.als.epoch == 5
    assert settings.runs_dir == PROJECT_ROOT / "data" / "runs"
    folders = {
        "runs_dir",
        "out_dir",
        "datasets_dir",
        "cache_dir",
        "models_dir",
        "tuned_dir",
        "related_data_sets",
    }
    assert settings.model_dump(exclude=folders) == Settings().model_dump(exclude=folders)


def test_environment_overrides_the_file_also_nested(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("classification:\n  epochs: 7\n  batch_size: 9\n")
    settings = load_settings(file, {"CVAUTOML_CLASSIFICATION__EPOCHS": "3", "CVAUTOML_WEIGHTS_DIR": "/w"})
    assert (settings.classification.epochs, settings.classification.batch_size) == (3, 9)
    assert settings.weights_dir == Path("/w")


def test_relative_folders_are_taken_from_the_files_folder(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("runs_dir: my/runs\n")
    assert load_settings(file, {}).runs_dir == tmp_path / "my" / "runs"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("classification: {epochs: zero}", "classification.epochs"),
        ("classification: {epochs: 0}", "classification.epochs"),
        ("epoch: 3", "epoch"),
        ("device: [", "not valid YAML"),
        ("- a\n- b", "expected"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named) as error:
        load_settings(file, {})
    assert "c.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_settings(tmp_path / "none.yaml", {})


def test_none_leaves_a_setting_as_it_is() -> None:
    assert Settings().override(device=None, threads=2) == Settings(threads=2)
