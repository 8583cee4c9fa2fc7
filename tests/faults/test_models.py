"""Models on disk that do not fit what lies beside them, or are torn, count as none: the answer comes without them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT
from tests.faults.conftest import Run

SHIPPED = PROJECT_ROOT / "data"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped models before the shipped runs."""
    monkeypatch.setenv("CVAUTOML_RUNS_DIR", str(SHIPPED / "runs"))
    shutil.copytree(SHIPPED / "als", tmp_path / "out")
    return tmp_path / "out"


def test_trees_that_are_not_their_own_count_as_none(run: Run, shipped: Path, classes: Path) -> None:
    (shipped / "quality_classification_accuracy_all.cbm").write_bytes(b"CBM1" + b"x" * 500)
    run("boosting", "explain", classes, "--pair", "handcrafted x linear").fine()
    run("recommend", classes).fine("which pair to train")


@pytest.mark.parametrize("kind", ["unseen_sets", "row_model", "quality"])
@pytest.mark.parametrize("content", [b"", b'{"digest": 3}', b"[" * 5000])
def test_what_is_torn_of_a_judgement_counts_as_none(
    run: Run, shipped: Path, classes: Path, kind: str, content: bytes
) -> None:
    (shipped / f"{kind}_classification_accuracy_all.json").write_bytes(content)
    run("recommend", classes).fine("which pair to train")


@pytest.mark.parametrize(
    "domain", ["../../x", "a/b", "industrial/..", "\x1b[31m", "%s", "industrial,nowhere"]
)
def test_a_domain_is_a_name_and_never_a_path(run: Run, shipped: Path, domain: str) -> None:
    # Records that were read are remembered in the cache, under names of their own.
    cache = shipped.parent / "cache"

    def there() -> list[str]:
        return sorted(p.name for p in shipped.parent.rglob("*") if not p.is_relative_to(cache))

    before = there()
    run("boosting", "train", "--domain", domain).refused()
    run("als", "train", "--domain", domain).refused()
    assert there() == before
