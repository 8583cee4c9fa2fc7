"""`zoo.py embed`: how backbones see a data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lib.command_line import FILE, backbones_option, echo_json, json_option, terminal, weights_options
from lib.commands.progress import counting
from lib.config import Settings
from lib.files import refuse_output

if TYPE_CHECKING:
    from lib.datasets import DataSet
    from lib.features.embedding_picture import EmbeddingPicture, Method

data_set_option = click.option("--dataset", "data_set", required=True, help="Name or folder of one data set.")


@click.command()
@weights_options
@data_set_option
@backbones_option(True, "Backbones by name, tuned ones too; lists are drawn side by side.")
@click.option("--umap", "by_umap", is_flag=True, help="Draw by UMAP instead of PCA (extra `umap`).")
@click.option("--png", type=FILE, help="Draw the embeddings by class into this file.")
@json_option
def embed(
    settings: Settings,
    data_set: str,
    backbones: tuple[str, ...],
    by_umap: bool,
    png: Path | None,
    as_json: bool,
) -> None:
    """Embeddings of a data set: explained variance, silhouette and k-NN purity by class, and their picture."""
    from lib.datasets import load_data_set
    from lib.reporting.embeddings import draw_embeddings, embedding_table

    loaded = load_data_set(data_set, settings, unlabelled=True)
    if png:
        refuse_output(png, ".png", [loaded.root])
    method: Method = "umap" if by_umap else "pca"
    pictures = [picture_of(loaded, name, settings, method) for name in backbones]
    if png:
        draw_embeddings(pictures, png)
    if as_json:
        return echo_json({"embeddings": [_facts(one) for one in pictures], "png": png})
    terminal().print(embedding_table(pictures))
    if png:
        click.echo(f"wrote {png}")


def picture_of(data_set: DataSet, name: str, settings: Settings, method: Method = "pca") -> EmbeddingPicture:
    """The data set as one backbone sees it; progress on standard error."""
    from lib.features.embedding_picture import embedding_picture
    from lib.features.embeddings import embeddings_of
    from lib.zoo.upscaling import opened_for

    with counting(f"{name}: images") as count:
        values = embeddings_of(data_set, opened_for(data_set, name, settings), settings, count).values
    return embedding_picture(data_set, name, values, method)


def _facts(picture: EmbeddingPicture) -> dict[str, object]:
    return asdict(picture) | {"labels": None if picture.labels is None else picture.labels.tolist()}
