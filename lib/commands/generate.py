"""`zoo.py generate`: new images of each class, and what they are worth."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lib.command_line import (
    FILE,
    choice_option,
    echo_json,
    json_option,
    seed_option,
    terminal,
    weights_options,
)
from lib.commands.embed import data_set_option
from lib.commands.progress import counting
from lib.config import Settings
from lib.files import refuse_output

if TYPE_CHECKING:
    from lib.datasets import DataSet
    from lib.zoo.generator.judging import Judgement
    from lib.zoo.generator.study import Study
    from lib.zoo.generator.training import Lesson, Trained

GRID_COLUMNS = 8
JUDGED_A_CLASS = 20


@click.command()
@weights_options
@data_set_option
@choice_option("--model", "Diffusion (extra `diffusion`), or a variational autoencoder.", "diffusion", "vae")
@click.option("--epochs", default=100, show_default=True, type=click.IntRange(min=1, max=100_000))
@click.option(
    "--share",
    default=50,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Generated images, % of the real training ones.",
)
@click.option("--to", type=FILE, help="Folder of the new data set [datasets_dir/DATASET_generatedSHARE].")
@click.option("--png", type=FILE, help="Samples of each class [beside the model].")
@click.option(
    "--backbone", default="handcrafted", show_default=True, help="Judges samples; trained in --study."
)
@click.option("--head", default="linear", show_default=True, help="Trained in --study.")
@click.option(
    "--study", "with_study", is_flag=True, help="Accuracy with 0, 25, 50, 100 % generated, 3 seeds."
)
@seed_option()
@json_option
def generate(
    settings: Settings,
    data_set: str,
    model: str,
    epochs: int,
    share: int,
    to: Path | None,
    png: Path | None,
    backbone: str,
    head: str,
    with_study: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Trains a small model on the training images of the first fold, draws new ones, and writes a data set with both.

    Interrupt it at any time: the same command goes on. With --study the data set holds as many generated images as real ones.
    """
    from lib.datasets import load_data_set
    from lib.zoo.backbones import open_backbone
    from lib.zoo.generator.training import lesson_of, train_generator
    from lib.zoo.heads import HEADS

    loaded = load_data_set(data_set, settings)
    if loaded.card.generated:
        raise click.UsageError(f"{loaded.name} holds generated images already; name the real data set")
    lesson = lesson_of(loaded, model, settings, epochs, seed)
    percent = 100 if with_study else share
    folder = to or settings.datasets_dir / f"{loaded.name.replace('@', '_')}_generated{percent}"
    picture = png or lesson.file.with_suffix(".png")
    refuse_output(picture, ".png", [loaded.root])
    judge, _ = (
        open_backbone(backbone, settings),
        HEADS[head],
    )  # unknown names are told before anything is trained
    trained = train_generator(lesson, lambda epoch, loss: _tell(epoch, epochs, loss))
    judgement = _judged(lesson, trained, judge)
    _draw(lesson, trained, picture)
    card = _write(lesson, trained, folder, percent)
    facts: dict[str, Any] = {
        "data_set": card.name,
        "path": folder,
        "model": lesson.file,
        "png": picture,
        "epochs": len(trained.curve),
        "seconds": trained.seconds,
        "judgement": asdict(judgement),
    }
    found = _study(folder, backbone, head, settings) if with_study else None
    if found:
        from lib.reporting.generator import draw_study

        facts |= {"study": asdict(found), "study_png": picture.with_suffix(".study.png")}
        draw_study(found, facts["study_png"])
    echo_json(facts) if as_json else _show(model, trained, judgement, found, facts)


def _tell(epoch: int, epochs: int, loss: float) -> None:
    if epoch % max(1, epochs // 20) == 0 or epoch == epochs:
        click.echo(f"epoch {epoch}/{epochs}: loss {loss:.4f}", err=True)


def _judged(lesson: Lesson, trained: Trained, judge: Any) -> Judgement:
    import numpy as np

    from lib.zoo.generator.judging import judge_samples

    assert lesson.data_set.labels is not None
    present = np.unique(lesson.data_set.labels[lesson.rows])
    labels = np.repeat(present, JUDGED_A_CLASS)
    samples = trained.draw(labels, lesson.seed + 1)
    return judge_samples(lesson.data_set, samples, labels, judge, lesson.settings.generator.size_px)


def _draw(lesson: Lesson, trained: Trained, file: Path) -> None:
    import numpy as np

    from lib.reporting.generator import draw_samples
    from lib.zoo.generator.training import reduced

    data_set, size = lesson.data_set, lesson.settings.generator.size_px
    assert data_set.labels is not None
    of_class = {int(k): lesson.rows[data_set.labels[lesson.rows] == k] for k in np.unique(data_set.labels)}
    real = {k: reduced(data_set, rows[:GRID_COLUMNS], size) for k, rows in of_class.items() if len(rows)}
    drawn = {k: trained.draw(np.full(GRID_COLUMNS, k), lesson.seed + 100 + k) for k in real}
    title = f"{data_set.name}: {lesson.kind}, {size} px, {len(trained.curve)} epochs"
    draw_samples(data_set.classes, real, drawn, title, file)


def _write(lesson: Lesson, trained: Trained, folder: Path, percent: int) -> Any:
    from lib.datasets.generated import labels_to_generate, write_generated

    labels = labels_to_generate(lesson.data_set, percent)
    pictures = trained.draw(labels, lesson.seed + 3)
    how = f"by {lesson.kind} at {lesson.settings.generator.size_px} px, seed {lesson.seed}"
    return write_generated(lesson.data_set, folder, pictures, labels, percent, how)


def _study(folder: Path, backbone: str, head: str, settings: Settings) -> Study:
    from lib.datasets import load_data_set
    from lib.zoo.generator.study import study

    generated: DataSet = load_data_set(folder, settings)
    with counting(f"{backbone}: images") as count:
        return study(generated, backbone, head, settings, on_images=count)


def _show(
    model: str, trained: Trained, judgement: Judgement, found: Study | None, facts: dict[str, Any]
) -> None:
    from lib.reporting.generator import conclusion, judgement_table, study_table

    terminal().print(judgement_table({model: (judgement, trained.seconds / 60)}))
    click.echo(f"wrote {facts['path']}: data set {facts['data_set']}, tested on real images alone")
    click.echo(f"wrote {facts['png']}")
    if found:
        terminal().print(study_table(found))
        click.echo(f"{conclusion(found)}\nwrote {facts['study_png']}")
