"""The main job from end to end on a procedural steel-strip set: each step is a command that anyone can type."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from lib.command_line import run_command
from lib.config import PROJECT_ROOT, Settings, load_settings
from lib.errors import CvAutomlError, WeightsError

NETWORK = "mobilenetv2_100"
IMAGES = 40
NEW_IMAGES = 24
SMALL_MASKS = {"CVAUTOML_SEGMENTATION__IMAGE_HEIGHT_PX": "64", "CVAUTOML_SEGMENTATION__IMAGE_WIDTH_PX": "400"}

console = Console(highlight=False)


def weights_choice(settings: Settings) -> list[str]:
    """The options that say which weights the demo's network has: pretrained where they can be had, else random, loudly."""
    from lib.zoo.weights import find_weights

    try:
        origin = find_weights(NETWORK, settings).origin
    except WeightsError as error:
        console.print(f"[bold red]No pretrained weights for {NETWORK}[/]: {error}")
        console.print(
            "[bold red]The demo goes on with RANDOM weights[/]: its runs show that everything works, not how good the network is."
        )
        return ["--weights", "random"]
    console.print(f"Pretrained weights of {NETWORK}: {origin}.")
    return []


def step(title: str, *arguments: str | Path) -> None:
    """Prints the command as a user would type it, and runs it; raises CvAutomlError when it fails."""
    words = [str(argument) for argument in arguments]
    console.print(f"\n[bold cyan]{title}[/]\n[dim]$ poetry run python {shlex.join(words)}[/]")
    done = subprocess.run(
        [sys.executable, *words], cwd=PROJECT_ROOT, env={**os.environ, **SMALL_MASKS}, check=False
    )
    if done.returncode:
        raise CvAutomlError(
            f"this step of the demo failed with exit code {done.returncode}: {shlex.join(words)}"
        )


def shipped_records(runs: Path, settings: Settings) -> None:
    """Starts the demo's folder of runs as a copy of the records that come with the project."""
    runs.mkdir(parents=True, exist_ok=True)
    for data_set in sorted(path for path in settings.runs_dir.glob("*") if path.is_dir()):
        shutil.copytree(data_set, runs / data_set.name, dirs_exist_ok=True)
    count = len(list(runs.glob("*/*__*.json")))
    console.print(
        f"{count} run records in {runs}, copied from {settings.runs_dir}, which the demo leaves alone."
    )


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("demo"), help="Where everything is written."
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings file instead of config.yaml.")
def demo(folder: Path, config: Path | None) -> None:
    """Data set → zoo → run records → ALS → CatBoost → recommendation, in a few minutes on two cores."""
    started = time.monotonic()
    settings = load_settings(config)
    folder = folder.resolve()
    shown = folder.relative_to(PROJECT_ROOT) if folder.is_relative_to(PROJECT_ROOT) else folder
    sets, runs, out = shown / "datasets", shown / "runs", shown / "out"
    strips, patches, unseen = sets / "steel_sample", sets / "steel_patches", sets / "new_steel"
    where = ["--runs", runs, "--out", out, *(["--config", config.resolve()] if config else [])]
    folder.mkdir(parents=True, exist_ok=True)
    console.print(
        "[bold]CV AutoML, the main job end to end.[/] The images are [bold]procedural[/]: drawn by a program, no steel was photographed."
    )
    shipped_records(folder / "runs", settings)
    weights = weights_choice(settings)

    step(
        "1. A procedural steel-strip set in Severstal's layout",
        "scripts/dataset.py",
        "sample",
        "--to",
        strips,
        "--images",
        str(IMAGES),
    )
    step("2. Its fact sheet", "scripts/dataset.py", "describe", strips, "--png", shown / "steel_sample.png")
    step(
        "3. Patches around its defects: a classification set",
        "scripts/dataset.py",
        "patches",
        strips,
        "--to",
        patches,
    )
    run = ["scripts/zoo.py", "run", *weights, *where]
    step(
        "4. A small zoo on the patches",
        *run,
        "--dataset",
        patches,
        "--backbone",
        f"handcrafted,{NETWORK}",
        "--head",
        "naive,linear,mlp,knn",
        "--epochs",
        "5",
    )
    step(
        "5. A decoder on the masks",
        *run,
        "--dataset",
        strips,
        "--backbone",
        NETWORK,
        "--head",
        "naive,deeplabv3plus",
        "--epochs",
        "3",
    )
    step(
        "6. ALS fills in the pairs nobody has run",
        "scripts/als.py",
        "train",
        "--epoch",
        "5",
        "--task",
        "classification",
        *where,
    )
    step("7. CatBoost learns from all runs", "scripts/boosting.py", "train", *where)
    step(
        "8. A new set, never trained on",
        "scripts/dataset.py",
        "sample",
        "--to",
        sets / "new_strips",
        "--images",
        str(NEW_IMAGES),
        "--seed",
        "7",
    )
    step("9. Its patches", "scripts/dataset.py", "patches", sets / "new_strips", "--to", unseen)
    step("10. Which pair should I train on it?", "scripts/recommend.py", unseen, *where)

    console.print(f"\n[bold green]Done in {time.monotonic() - started:.0f} s.[/] What it wrote:")
    for path, what in (
        (strips, "the procedural set"),
        (shown / "steel_sample.png", "its fact sheet"),
        (runs, "the run records"),
        (out, "completed matrix, pictures, CatBoost model"),
    ):
        console.print(f"  {path}  [dim]{what}[/]")


if __name__ == "__main__":
    run_command(demo)
