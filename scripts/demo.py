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
SMALL_MASKS = {"CVAUTOML_SEGMENTATION__IMAGE_HEIGHT_PX": "64", "CVAUTOML_SEGMENTATION__IMAGE_WIDTH_PX": "400"}
STEPS = (
    ("A procedural steel-strip set in Severstal's layout", "dataset.py sample --to {strips} --images 40"),
    ("Its fact sheet", "dataset.py describe {strips} --png {picture}"),
    ("Patches around its defects: a classification set", "dataset.py patches {strips} --to {patches}"),
    (
        "A small zoo on the patches",
        "zoo.py run --dataset {patches} --backbone handcrafted,{network} --head naive,linear,mlp,knn --epochs 5 {weights} {where}",
    ),
    (
        "A decoder on the masks",
        "zoo.py run --dataset {strips} --backbone {network} --head naive,deeplabv3plus --epochs 3 --folds 1 {weights} {where}",
    ),
    ("ALS fills in the pairs nobody has run", "als.py train --epoch 5 --task classification {where}"),
    (
        "CatBoost learns from all runs, judged on sets left out",
        "boosting.py evaluate --no-ablation --task classification {where}",
    ),
    ("New images, on which nothing was trained", "dataset.py sample --to {new_strips} --images 24 --seed 7"),
    ("Their patches", "dataset.py patches {new_strips} --to {new_patches}"),
    ("Which pair should I train on them?", "recommend.py {new_patches} {where}"),
    ("All of it on one page", "report.py build {where}"),
)

console = Console(highlight=False)


def weights_options(settings: Settings) -> str:
    """The options that say which weights the demo's network has: pretrained where they can be had, else random, loudly."""
    from lib.zoo.weights import find_weights

    try:
        origin = find_weights(NETWORK, settings).origin
    except WeightsError as error:
        console.print(f"[bold red]No pretrained weights.[/] {error}.")
        console.print(
            "[bold red]The demo goes on with RANDOM weights:[/] its own runs show that everything works, "
            "not how good the network is."
        )
        return "--weights random"
    console.print(f"Pretrained weights of {NETWORK} from: {origin}.")
    return ""


def run_step(number: int, title: str, command: str) -> None:
    """Prints the command as a user would type it, and runs it; raises CvAutomlError when it fails."""
    console.print(f"\n[bold cyan]{number}. {title}[/]\n[dim]$ poetry run python {command}[/]", soft_wrap=True)
    environment = {**os.environ, **SMALL_MASKS}
    done = subprocess.run(
        [sys.executable, *shlex.split(command)], cwd=PROJECT_ROOT, env=environment, check=False
    )
    if done.returncode:
        raise CvAutomlError(f"step {number} of the demo failed with exit code {done.returncode}: {command}")


def copy_shipped_records(runs: Path, settings: Settings) -> None:
    """Starts the demo's folder of runs as a copy of the records that come with the project."""
    for data_set in sorted(path for path in settings.runs_dir.glob("*") if path.is_dir()):
        shutil.copytree(data_set, runs / data_set.name, dirs_exist_ok=True)
    count = len(list(runs.glob("*/*__*.json")))
    console.print(
        f"{count} run records to start from: a copy of {settings.runs_dir}, which the demo leaves alone."
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
    runs, out, strips, picture = (
        shown / name for name in ("runs", "out", "datasets/steel_sample", "steel_sample.png")
    )
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    console.print(
        "[bold]CV AutoML, the main job end to end.[/] Its images are [bold]procedural[/]: drawn by a program, "
        "no steel was photographed."
    )
    copy_shipped_records(folder / "runs", settings)
    where = ["--runs", str(runs), "--out", str(out), *(["--config", str(config.resolve())] if config else [])]
    folders = {
        "strips": strips,
        "picture": picture,
        "patches": shown / "datasets/steel_patches",
        "new_strips": shown / "datasets/new_strips",
        "new_patches": shown / "datasets/new_steel",
    }
    names = {name: shlex.quote(str(place)) for name, place in folders.items()}
    names |= {"network": NETWORK, "weights": weights_options(settings), "where": shlex.join(where)}
    for number, (title, command) in enumerate(STEPS, start=1):
        run_step(number, title, "scripts/" + " ".join(command.format(**names).split()))
    console.print(f"\n[bold green]Done in {time.monotonic() - started:.0f} s.[/] What it wrote:")
    for path, what in (
        (strips, "the procedural set"),
        (picture, "its fact sheet"),
        (runs, "the run records"),
        (out, "completed matrix, pictures, CatBoost model"),
        (out / "index.html", "the page: open it in a browser"),
    ):
        console.print(f"  {path}  [dim]{what}[/]")


if __name__ == "__main__":
    run_command(demo)
