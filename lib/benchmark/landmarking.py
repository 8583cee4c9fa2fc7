"""Landmarks of known data sets: probed once, kept with the facts beside their runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lib.config import Settings
from lib.datasets import DataSet
from lib.errors import CvAutomlError
from lib.records import DataSetFacts, RecordStore
from lib.zoo.probing import PROBES, OnImages, Probe, probe, unprobeable

State = Literal["probed", "known", "left out"]


@dataclass(frozen=True)
class Landmarked:
    """What came of one data set. `known`: nothing was missing. `warnings`: why anything was left out."""

    data_set: str
    state: State
    landmarks: dict[str, float]
    warnings: tuple[str, ...] = ()


def fill_landmarks(
    data_set: DataSet,
    store: RecordStore,
    settings: Settings,
    backbones: Iterable[str] = PROBES,
    on_images: OnImages | None = None,
    *,
    again: bool = False,
) -> Landmarked:
    """Probes a data set with those `backbones` whose landmarks its facts lack (`again`: with all), and writes the facts.

    A set without facts beside its runs, with other images than those of its runs, or without labels is left out.
    """
    facts = store.read_facts()[0].get(data_set.name)
    reason = unprobeable(data_set) or _unlike(facts, data_set, store)
    if reason or facts is None:
        return Landmarked(data_set.name, "left out", {}, (f"{data_set.name}: {reason}",))
    missing = [name for name in backbones if again or not _has(facts, name)]
    if not missing:
        return Landmarked(data_set.name, "known", facts.landmarks)
    found = probe(data_set, settings, missing, on_images)
    merged = {**facts.landmarks, **found.landmarks}
    if found.landmarks and merged != facts.landmarks:
        _write(facts, merged, store)
    return Landmarked(data_set.name, _state(found), merged, _warnings(data_set, found))


def _state(found: Probe) -> State:
    return "probed" if found.landmarks else "left out"


def _warnings(data_set: DataSet, found: Probe) -> tuple[str, ...]:
    if found.landmarks or found.warnings:
        return tuple(f"{data_set.name}: {warning}" for warning in found.warnings)
    return (f"{data_set.name}: too few images or classes to probe",)


def _has(facts: DataSetFacts, backbone: str) -> bool:
    return any(name.startswith(f"{backbone}.") for name in facts.landmarks)


def _unlike(facts: DataSetFacts | None, data_set: DataSet, store: RecordStore) -> str | None:
    if facts is None:
        return f"no facts in {store.folder}: run the zoo on it first, landmarks are of use beside runs only"
    if facts.fingerprint and facts.fingerprint != data_set.fingerprint:
        return "its images or labels are not those of its runs (another fingerprint): run the zoo on it again"
    return None


def _write(facts: DataSetFacts, landmarks: dict[str, float], store: RecordStore) -> None:
    try:
        store.write_facts(facts.model_copy(update={"landmarks": landmarks}))
    except OSError as error:
        raise CvAutomlError(
            f"cannot write the landmarks of {facts.name} into {store.folder}: {error.strerror or error}"
        ) from error
