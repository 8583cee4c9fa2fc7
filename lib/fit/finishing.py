"""From the choice to the folder: train again, measure the test part once, write the model, the list of doubtful images, the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.config import PROJECT_ROOT
from lib.files import csv_text, plain, write_atomically, write_json
from lib.fit.candidates import Chosen
from lib.fit.card import card_text
from lib.fit.contact_sheet import draw_contact_sheet
from lib.fit.course import Fit, oof_answers, parts_of
from lib.fit.handing_over import Handed, hand_over, remove_model
from lib.fit.measured import Measured, combined, measure, write_predictions
from lib.fit.network import Nearness, directions
from lib.fit.networks import call_ms
from lib.fit.refit import Member, refitted
from lib.fit.second_look import SecondLook, second_look
from lib.inference import predict_folder
from lib.records import DataSetInfo
from lib.records.intervals import interval
from lib.zoo.devices import environment

REPORT, CARD, LOOKS, SHEET = "fit.json", "card.md", "second_look.csv", "second_look.jpg"
LOOK_COLUMNS = ("file", "label", "kind", "suggested", "score", "why", "part")


@dataclass(frozen=True)
class Finished:
    """What was written, and what it says."""

    out: Path
    report: dict[str, Any]


def finish(fit: Fit, found: Chosen) -> Finished:
    """Everything that follows the choice. Raises CvAutomlError where the model cannot be written."""
    out = fit.place.out
    remove_model(out)
    members = []
    for record in found.records:
        fit.watch.status(f"training {record.backbone.name} again on everything but the test part")
        members.append(refitted(record, fit.division, fit.place_settings))
    fit.watch.status("measuring on the test part")
    measured = measure(members, found.temperatures, fit.division.final)
    fit.watch.status("writing the model")
    more = {"model": f"{fit.division.final.name} · {found.name}", "metric": fit.metric}
    handed = hand_over(members, found.temperatures, out, fit.division.final, more)
    write_predictions(out, fit.division.final, measured, handed.path)
    fit.watch.status("looking for doubtful images")
    looks = looked(fit, found, measured, members, handed.nearness)
    _write_looks(fit, looks)
    report = plain(report_of(fit, found, members, measured, handed, looks))
    write_json(out / REPORT, report)
    write_atomically(out / CARD, card_text(report))
    fit.place.keep(fit.spent())
    return Finished(out, report)


def looked(
    fit: Fit, found: Chosen, measured: Measured, members: Sequence[Member], nearness: Nearness
) -> SecondLook:
    """The list over all images."""
    answers = oof_answers(fit, found, measured.answers)
    distances = np.full(len(fit.division.final), np.nan)
    distances[members[0].rows] = nearness.own
    bits = fit.settings.split.near_duplicate_bits
    return second_look(fit.division.final, answers, distances, nearness.limit, parts_of(fit.division), bits)


def _write_looks(fit: Fit, looks: SecondLook) -> None:
    out = fit.place.out
    rows = [[row[name] for name in LOOK_COLUMNS] for row in looks.rows()]
    write_atomically(out / LOOKS, csv_text([LOOK_COLUMNS, *rows]))
    draw_contact_sheet(fit.division.final.root, looks.looks, out / SHEET)


def report_of(
    fit: Fit, found: Chosen, members: Sequence[Member], measured: Measured, handed: Handed, looks: SecondLook
) -> dict[str, Any]:
    """The whole of fit.json; see docs/fit.md."""
    assert fit.search
    return {
        "data_set": {
            **fit.sheet.model_dump(mode="json"),
            "info": fit.search.info.model_dump(mode="json"),
            "images_in_all": len(fit.division.final.files)
            - int((fit.division.final.parts == "unused").sum()),
            "test_part": fit.division.told,
        },
        "problems": [*fit.sheet.analysis.conclusions],
        "warnings": fit.warnings,
        "predicted": fit.predicted,
        "journal": fit.place.journal,
        "stopped": fit.search.stopped,
        "interrupted": fit.interrupted,
        "chosen": chosen_facts(found, members, fit),
        "test": measured.told(fit.metric),
        "costs": {
            "parameters": handed.parameters,
            "latency_ms": latency_ms(handed.path),
            "model_bytes": handed.model_bytes,
            "seconds": round(fit.spent(), 1),
            "budget_s": fit.request.budget_s,
        },
        "second_look": {
            "rows": looks.rows(),
            "picture": SHEET if looks.looks else "",
            "at_stake": looks.at_stake,
        },
        "calibration": calibration_of(found, measured, members, fit, handed.nearness),
        "commands": commands(fit),
        "versions": environment(_device(fit)).model_dump(mode="json"),
    }


def _device(fit: Fit) -> Any:
    from lib.zoo.devices import choose_device

    return choose_device(fit.settings.device)


def chosen_facts(found: Chosen, members: Sequence[Member], fit: Fit) -> dict[str, Any]:
    """What was chosen, with what settings, and why."""
    low, high = interval(found.quality, found.error)
    validation = (
        None
        if found.quality is None
        else {"metric": fit.metric, "value": found.quality, "low": low, "high": high}
    )
    return {
        "pair": found.name,
        "members": [_member_facts(one, found.temperatures[i]) for i, one in enumerate(members)],
        "settings": {"temperatures": found.temperatures, "metric": fit.metric, "seed": fit.request.seed},
        "reason": found.reason,
        "validation": validation,
        "equals": found.equals,
    }


def _member_facts(one: Member, temperature: float) -> dict[str, Any]:
    info: DataSetInfo = one.record.data_set
    return {
        "backbone": one.record.backbone.name,
        "head": one.record.head.name,
        "finetuned": one.record.recipe.finetune,
        "run": one.record.key,
        "temperature": temperature,
        "settings": one.result.chosen,
        "epochs": one.record.recipe.epochs,
        "folds": len(one.record.recipe.folds),
        "of_folds": info.n_folds,
        "weights_origin": one.record.backbone.weights_origin,
        "weights_licence": one.card.licence or "not stated",
        "weights_source": one.card.source or "not stated",
        "parameters": one.parameters,
    }


def calibration_of(
    found: Chosen, measured: Measured, members: Sequence[Member], fit: Fit, nearness: Nearness
) -> dict[str, Any]:
    """How far the probabilities can be believed on the test part, before and after the temperature, and the limit of likeness."""
    told: dict[str, Any] = {
        "temperature": found.temperatures[-1] if len(members) > 1 else found.temperatures[0],
        "distance_limit": nearness.limit,
        "distance_references": len(nearness.references),
        "test_share_unlike": test_share_unlike(fit, members, nearness),
    }
    if measured.answers is None:
        return told
    from lib.zoo.metrics import classification_metrics, labels_of

    raw = combined(
        [np.asarray(one.result.answers, dtype=np.float64) for one in members], [1.0] * (len(members) + 1)
    )
    labels = labels_of(fit.division.final)[fit.division.test]
    before, after = (classification_metrics(labels, p) for p in (raw, measured.answers))
    names = ("ece", "log_loss")
    return {**told, "before": {n: before[n] for n in names}, "after": {n: after[n] for n in names}}


def test_share_unlike(fit: Fit, members: Sequence[Member], nearness: Nearness) -> float | None:
    """Share of the test part that would be warned of: 1 % is what the limit promises. None where no features are kept."""
    from lib.features.embeddings import are_cached, embeddings_of
    from lib.zoo.backbones import open_backbone

    record, data_set = members[0].record, fit.division.final
    if record.recipe.finetune or record.data_set.task == "segmentation":
        return None
    backbone = open_backbone(record.backbone.name, fit.place_settings)
    if not are_cached(data_set, backbone, fit.place_settings):
        return None
    features = embeddings_of(data_set, backbone, fit.place_settings).values[fit.division.test]
    likeness = directions(features - nearness.mean) @ nearness.references.T
    distances = 1 - np.sort(likeness, axis=1)[:, -nearness.neighbour]
    return float((distances > nearness.limit).mean())


def latency_ms(path: Path) -> float:
    """Milliseconds of one image in ONNX Runtime, as the machine is now, without reading and resizing."""
    model = predict_folder.Model(path)
    noise = [np.zeros((of["height_px"], of["width_px"], 3), dtype=np.uint8) for of in model.inputs]
    return round(call_ms(lambda: model.run(noise)), 3)


def commands(fit: Fit) -> list[str]:
    """What to type to use and to repeat this."""
    folder, out = fit.request.folder, fit.place.out
    script = "scripts/fit.py" if (PROJECT_ROOT / "scripts").is_dir() else "fit.py"
    limits = [
        *([f"--max-latency-ms {fit.request.max_latency_ms:g}"] if fit.request.max_latency_ms else []),
        *([f"--max-parameters {fit.request.max_parameters}"] if fit.request.max_parameters else []),
        *([f"--metric {fit.request.metric}"] if fit.request.metric else []),
        *([] if fit.request.finetune else ["--no-finetune"]),
    ]
    repeat = " ".join([f"--budget {fit.request.budget_s:g}s", *limits, f"--seed {fit.request.seed}"])
    return [
        f"python {script} predict {out} NEW_IMAGES --to ANSWERS",
        f"python {out}/predict_folder.py {out}/model.onnx NEW_IMAGES ANSWERS",
        f"python {script} {folder} --to {out} {repeat}",
    ]
