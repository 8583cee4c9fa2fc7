"""Names and text that nobody expects: each gets a sentence or is shown as it is, and none is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT
from tests.datasets import made_up
from tests.faults.conftest import Run

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
)
CARDS: dict[str, bytes] = {
    "layout is a list": b"name: mine\ndomain: industrial\ntask: classification\nlayout: [a]\nclasses: [a, b, c]\n",
    "name is a list": b"name: [a]\ndomain: industrial\ntask: classification\nlayout: folders\n",
    "a name with NUL": b'name: "mi\\0ne"\ndomain: industrial\ntask: classification\nlayout: folders\n',
    "a domain with a slash": b"name: mine\ndomain: ../../etc\ntask: classification\nlayout: folders\n",
    "five thousand brackets": b"[" * 5000,
    "not UTF-8": b"name: mi\xffne\n",
    "a bomb of aliases": (BOMB + "classes: *i\nname: mine\ndomain: x\nlayout: folders\n").encode(),
    "a field misspelt": b"name: mine\ndomain: industrial\ntask: classification\nlayout: folders\nlicense: MIT\n",
    "a task of its own": b"name: mine\ndomain: industrial\ntask: guessing\nlayout: folders\n",
    "classes are a number": b"name: mine\ndomain: industrial\ntask: classification\nlayout: folders\nclasses: 3\n",
    "a group that never ends": b'name: mine\ndomain: industrial\ntask: classification\nlayout: folders\ngroup: "(([0-9a-z]+)*)+!"\n',
    "a group that is no pattern": b'name: mine\ndomain: industrial\ntask: classification\nlayout: folders\ngroup: "(("\n',
    "a tag of Python's": b"name: !!python/object/apply:os.system ['true']\n",
}


@pytest.mark.parametrize("card", CARDS)
def test_a_card_nobody_can_mean_is_refused_by_a_sentence(run: Run, classes: Path, card: str) -> None:
    (classes / "dataset.yaml").write_bytes(CARDS[card])
    made_up.picture(7777).save(classes / "images" / "a" / f"{'0' * 40}.png")
    done = run("dataset", "check", classes)
    assert done.code in (1, 2), done
    assert "dataset.yaml" in done.out + done.err
    assert len(done.out + done.err) < 3000
    run("zoo", "plan", "--dataset", classes, "--backbone", "handcrafted", "--head", "linear").refused(
        "dataset.yaml"
    )


def test_names_that_are_no_text_are_refused_by_a_sentence(run: Run, classes: Path) -> None:
    made_up.picture(77).save(classes / "images" / "a" / "odd.png")
    os.rename(
        os.fsencode(classes / "images" / "a" / "odd.png"),
        os.fsencode(classes / "images" / "a") + b"/\xff\xfe.png",
    )
    done = run("dataset", "check", classes)
    assert done.code in (1, 2) and "Traceback" not in done.err
    assert "UTF-8" in done.out + done.err


@pytest.mark.parametrize("digits", ["9" * 5000, "1e3", "١", "-1", "", "0x1"])
def test_class_ids_of_any_length_are_named_with_their_line(run: Run, tmp_path: Path, digits: str) -> None:
    steel = made_up.severstal(tmp_path / "steel", [0, 1, 2, 3, 1, 2])
    lines = (steel / "train.csv").read_text().splitlines()
    image, _, runs = lines[2].split(",")
    lines[2] = f"{image},{digits},{runs}"
    (steel / "train.csv").write_text("\n".join(lines) + "\n")
    done = run("dataset", "check", steel)
    assert done.code in (1, 2) and "train.csv" in done.out + done.err and "3" in done.out + done.err
    assert len(done.out + done.err) < 2000


def test_a_wrong_value_among_remembered_files_costs_only_another_look(
    run: Run, classes: Path, tmp_path: Path
) -> None:
    run("dataset", "describe", classes).fine()
    remembered = sorted((tmp_path / "cache").rglob("*.json"))
    assert remembered
    for content in (b"[]", b'{"files": 3}', b"null", b'{"a": {"size": "x"}}', b"\xff", b"[" * 5000):
        for path in remembered:
            path.write_bytes(content)
        run("dataset", "describe", classes).fine()


def test_markup_in_names_is_shown_and_not_obeyed(run: Run, runs: Path, tmp_path: Path) -> None:
    from lib.records import RecordStore
    from tests.records.factory import make_record

    RecordStore(tmp_path / "runs").write(make_record("[red]x[/nonsense]", "net_[bold]", "linear", 0.9))
    run("zoo", "show").fine("[red]x")
    run("als", "train", "--epoch=10").fine()


def test_control_characters_do_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    hostile = made_up.folders(tmp_path / "mine", {"a\x1b[31m": 10, "b\x07": 10}, with_card=False)
    done = run("dataset", "describe", hostile)
    assert "\x1b[31m" not in done.out + done.err and "\x07" not in done.out + done.err


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_an_empty_name_is_no_folder(run: Run, name: str) -> None:
    run("dataset", "describe", name).refused()
    run("recommend", name).refused()


def test_a_terminal_without_unicode_gets_tables_too(runs: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "CVAUTOML_RUNS_DIR": str(runs),
    }
    done = subprocess.run(
        [sys.executable, "scripts/zoo.py", "show"],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        timeout=120,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr[-500:]
