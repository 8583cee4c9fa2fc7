"""Kept models for other programs: an ONNX file with its pre-processing inside, checked against torch (onnx)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lib.command_line import FILE, echo_json, json_option, kept_model_options, run_command, terminal
from lib.config import Settings

if TYPE_CHECKING:
    from lib.inference.onnx_check import Form
    from lib.records import Latency

EXIT_NOT_GOOD = 1


@click.group()
def export() -> None:
    """Writes kept models (`zoo.py run --keep-models`) in formats that need neither torch nor this project."""


@export.command()
@click.option("--run", "run", required=True, help="Key of a kept run, or its beginning; see `zoo.py models`.")
@click.option("--to", type=FILE, required=True, help="The .onnx file to write.")
@click.option(
    "--dataset", "data_set", help="The model's data set: compare and judge on its test part [noise]."
)
@click.option("--int8", is_flag=True, help="Also FILE.int8.onnx, dynamically quantised, and what that costs.")
@click.option("--no-latency", is_flag=True, help="Do not time it.")
@kept_model_options
@json_option
def onnx(
    settings: Settings, run: str, to: Path, data_set: str | None, int8: bool, no_latency: bool, as_json: bool
) -> None:
    """The network with softmax or sigmoid, any number of images; exits with 1, and writes nothing, where ONNX Runtime
    answers otherwise than torch (by more than 0.001)."""
    from lib.datasets import load_data_set
    from lib.files import refuse_output, replacing
    from lib.inference import onnx_file
    from lib.inference.models import load_model
    from lib.inference.onnx_check import Examples, examined

    small = to.with_suffix(".int8.onnx")
    for path in (to, small) if int8 else (to,):
        refuse_output(path, ".onnx", [settings.models_dir])
    model = load_model(run, settings)
    examples = Examples(model, load_data_set(data_set, settings) if data_set else None)
    with replacing(to) as draft:
        any_size = onnx_file.export(model, draft)
        forms = [examined(model, "torch", None, examples, not no_latency)]
        forms.append(examined(model, "onnx", draft, examples, not no_latency))
        if forms[1].difference > onnx_file.LARGEST_DIFFERENCE:
            _refuse(forms, as_json)
    if int8:
        with replacing(small) as draft:
            onnx_file.write_int8(to, draft)
            forms.append(examined(model, "onnx, int8", draft, examples, not no_latency))
    if as_json:
        facts = onnx_file.metadata_of(model.card, any_size)
        echo_json({"good": True, "path": to, "metadata": facts, "forms": [asdict(form) for form in forms]})
        return
    _show(forms, data_set)
    size = "of any size" if any_size else f"of {model.card.input.height_px} × {model.card.input.width_px} px"
    click.echo(f"wrote {to}: any number of images {size}" + (f", and {small}" if int8 else ""))


def _refuse(forms: list[Form], as_json: bool) -> None:
    if as_json:
        echo_json({"good": False, "forms": [asdict(form) for form in forms]})
    differs = f"it differs from torch by {forms[1].difference:.2g}"
    click.echo(f"error: the export is not good, and was not written: {differs}", err=True)
    raise click.exceptions.Exit(EXIT_NOT_GOOD)


def _show(forms: list[Form], data_set: str | None) -> None:
    from lib.reporting.tables import shown, table_of

    metrics = list(forms[0].metrics)
    rows = [
        (
            form.name,
            f"{form.size_mb:.1f}",
            f"{form.difference:.1e}",
            *_milliseconds(form.latency),
            *(shown(form.metrics.get(name)) for name in metrics),
        )
        for form in forms
    ]
    seen = f"the test part of {data_set}" if data_set else "noise; --dataset compares on real images"
    headings = (
        ">MB",
        ">largest difference",
        ">batch 1, ms",
        ">batch 32, ms",
        *(f">{name}" for name in metrics),
    )
    terminal().print(
        table_of(
            ("form", *headings), rows, caption=f"probabilities on {seen}; — where the machine was never quiet"
        )
    )


def _milliseconds(latency: Latency | None) -> tuple[str, str]:
    from lib.reporting.tables import shown

    medians = (latency.batch1_median_ms, latency.batch32_median_ms) if latency else (None, None)
    return shown(medians[0], "{:.1f}"), shown(medians[1], "{:.1f}")


if __name__ == "__main__":
    run_command(export)
