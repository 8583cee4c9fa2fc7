"""Options and settings that mean nothing are refused, never ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets import made_up
from tests.faults.conftest import Run

SEEDED = (
    ("als", "train"),
    ("boosting", "train"),
    ("zoo", "plan", "--dataset", "x", "--backbone", "handcrafted", "--head", "linear"),
    ("dataset", "sample"),
)


@pytest.mark.parametrize("seed", ["-1", "9" * 30, "1.5", "x", ""])
@pytest.mark.parametrize("command", SEEDED, ids=lambda command: " ".join(command[:2]))
def test_a_seed_is_a_number_that_every_library_takes(run: Run, command: tuple[str, ...], seed: str) -> None:
    run(*command, "--seed", seed).refused("seed")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CVAUTOML_CLASSIFICATION__EPOCHS", "["),
        ("CVAUTOML_RUNS_DIR__X", "1"),
        ("CVAUTOML_CLASSIFICATION", "3"),
        ("CVAUTOML_NONSENSE", "1"),
        ("CVAUTOML_CLASSIFICATION__EPOCHS", "ten"),
        ("CVAUTOML_", "1"),
        ("CVAUTOML_CLASSIFICATION__", "1"),
    ],
)
def test_a_wrong_variable_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    run("zoo", "show").refused("CVAUTOML_")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"[" * 5000, b"- a\n", b"threads: {a: 1}\n", b"a: b: c\n"]
)
def test_a_config_that_is_none_is_named(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.yaml").write_bytes(content)
    run("zoo", "show", "--config", tmp_path / "own.yaml").refused("own.yaml")


def test_a_view_is_not_dropped_in_silence(run: Run, runs: Path, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / "plain").mkdir(exist_ok=True)
        made_up.picture(i).save(tmp_path / "plain" / f"{i}.png")
    run("recommend", f"{tmp_path / 'plain'}@foo").refused("foo")


@pytest.mark.parametrize("option", ["--head", "--backbone", "--dataset"])
@pytest.mark.parametrize("value", [",,", "", " , "])
def test_an_empty_list_is_refused(run: Run, classes: Path, option: str, value: str) -> None:
    given = {"--head": "linear", "--backbone": "handcrafted", "--dataset": str(classes), option: value}
    run("zoo", "run", *(word for pair in given.items() for word in pair)).refused(option)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-3"])
def test_a_limit_is_a_positive_number(run: Run, runs: Path, classes: Path, value: str) -> None:
    run("recommend", classes, "--max-latency-ms", value).refused("max-latency-ms")


@pytest.mark.parametrize("score", ["0_1", "1,0", "0x1", "１", "inf", "1e400", "true", "0.5 %"])
def test_a_score_is_a_plain_number(run: Run, table: Path, tmp_path: Path, score: str) -> None:
    table.write_text(table.read_text().replace("0.7", f'"{score}"'))
    run("als", "complete", "--matrix", table, "--out", tmp_path / "full.csv").refused("scores.csv", "line 3")
    assert not (tmp_path / "full.csv").exists()
