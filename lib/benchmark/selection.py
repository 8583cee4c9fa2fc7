"""What a sweep was asked for, by name → data sets, backbones and heads that exist; every wrong name is told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.errors import CvAutomlError
from lib.records import BackboneInfo, DataSetInfo
from lib.records.design import Design
from lib.records.schema import Split, head_of
from lib.registry import unknown_name
from lib.zoo.heads import HEADS
from lib.zoo.pairing import heads_for

ALL = "all"

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What a sweep runs over, by name; `all` for everything there is. `heads`: columns, so that `linear (fine-tuned)` is one of
    them; `folds`: how many of the split's, None for the default; `design`: only its cells."""

    data_sets: tuple[str, ...]
    backbones: tuple[str, ...]
    heads: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    finetune: bool = False
    split: Split = "folds"
    folds: int | None = None
    design: Design | None = None


@dataclass(frozen=True)
class ChosenDataSet:
    """A loaded data set and its facts, which cost a look at every mask and are therefore kept."""

    data_set: DataSet
    info: DataSetInfo


@dataclass(frozen=True)
class Selection:
    """What a sweep runs over. `left_out`: a sentence for each thing that `all` could not take."""

    request: Request
    data_sets: tuple[ChosenDataSet, ...]
    backbones: tuple[BackboneInfo, ...]
    left_out: tuple[str, ...] = ()

    @property
    def by_fingerprint(self) -> dict[tuple[str, str], DataSet]:
        """(name, fingerprint) → data set."""
        return {(one.info.name, one.info.fingerprint): one.data_set for one in self.data_sets}

    def heads(self, info: DataSetInfo, backbone: BackboneInfo | None = None) -> list[str]:
        """The heads asked for; with `all`, those that fit the data set's task and the backbone."""
        wanted = [head for head in self.request.heads if head != ALL]
        fitting = heads_for(info.task, self.request.finetune, backbone) if ALL in self.request.heads else []
        return list(dict.fromkeys([*wanted, *fitting]))


@dataclass
class _LookUp:
    """Names → what they stand for. What cannot be used is a problem where it was named, and left out where `all` found it."""

    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def find(
        self, kind: str, given: Sequence[str], every: Callable[[], list[str]], load: Callable[[str], T]
    ) -> list[T]:
        found, named = [], [name for name in given if name != ALL]
        for name in dict.fromkeys([*named, *(every() if ALL in given else [])]):
            try:
                found.append(load(name))
            except CvAutomlError as error:
                (self.problems if name in named else self.left_out).append(str(error))
        if not found and not self.problems:
            raise CvAutomlError("; ".join([f"there is no {kind}", *self.left_out]))
        return found

    def data_sets(self, given: Sequence[str], settings: Settings) -> list[DataSet]:
        loaded = self.find(
            f"data set to run on in {settings.datasets_dir}",
            given,
            lambda: folders_of(settings),
            lambda spec: load_data_set(spec, settings),
        )
        # A set may have been given by name and by path.
        return list({(one.name, one.fingerprint): one for one in loaded}.values())

    def refuse(self) -> None:
        if self.problems:
            raise CvAutomlError("\n       ".join(self.problems))


def select(request: Request, settings: Settings) -> Selection:
    """Loads the data sets and looks up the backbones of a request. Raises CvAutomlError that lists every unknown name and every
    unreadable data set, one a line. What `all` finds and cannot use (a broken folder, a network without weights on this
    machine) is left out with a sentence instead."""
    from lib.zoo.backbones import backbone_names, describe_backbone

    wrong = (name for name in request.heads if name != ALL and head_of(name)[0] not in HEADS)
    look_up = _LookUp([unknown_name("head", name, HEADS.names()) for name in wrong])
    data_sets = look_up.data_sets(request.data_sets, settings)
    backbones = look_up.find(
        "backbone to run on",
        request.backbones,
        backbone_names,
        lambda name: describe_backbone(name, settings),
    )
    look_up.refuse()
    chosen = tuple(ChosenDataSet(one, one.info(request.split)) for one in data_sets)
    return Selection(request, chosen, tuple(backbones), tuple(look_up.left_out))


def find_data_sets(given: tuple[str, ...], settings: Settings) -> tuple[list[DataSet], list[str]]:
    """The data sets of a request alone, each once, and a sentence for each that `all` could not take; raises as `select` does."""
    look_up = _LookUp()
    found = look_up.data_sets(given, settings)
    look_up.refuse()
    return found, look_up.left_out


def folders_of(settings: Settings) -> list[str]:
    """Every folder of datasets_dir, by path: what `all` means for data sets."""
    if not settings.datasets_dir.is_dir():
        return []
    folders = (path for path in settings.datasets_dir.iterdir() if path.is_dir())
    return [str(path) for path in sorted(folders) if not path.name.startswith(".")]
