"""What a sweep was asked for, by name → data sets, backbones and heads that exist; every wrong name is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lib.config import Settings
from lib.datasets import DataSet, load_data_set
from lib.errors import CvAutomlError
from lib.records import BackboneInfo, DataSetInfo
from lib.records.schema import Split
from lib.registry import unknown_name
from lib.zoo.heads import HEADS
from lib.zoo.pairing import heads_for

ALL = "all"

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What a sweep runs over, by name; `all` for everything there is. `folds`: how many of the split's, None for the default."""

    data_sets: tuple[str, ...]
    backbones: tuple[str, ...]
    heads: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    finetune: bool = False
    split: Split = "folds"
    folds: int | None = None


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

    def heads(self, info: DataSetInfo) -> list[str]:
        """The heads asked for; with `all`, those that fit the data set's task."""
        wanted = list(self.request.heads)
        if ALL not in wanted:
            return wanted
        return unique([*(h for h in wanted if h != ALL), *heads_for(info.task, self.request.finetune)])


def unique(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of first mention."""
    return list(dict.fromkeys(names))


def select(request: Request, settings: Settings) -> Selection:
    """Loads the data sets and looks up the backbones of a request.

    Raises CvAutomlError that lists every unknown name and every unreadable data set, one a line. What `all` finds and
    cannot use (a broken folder, a network without weights on this machine) is left out with a sentence instead.
    """
    left_out: list[str] = []
    problems = _wrong_heads(request.heads)
    data_sets = _data_sets(request.data_sets, settings, problems, left_out)
    backbones = _backbones(request, settings, problems, left_out)
    if problems:
        raise CvAutomlError("\n       ".join(problems))
    if not data_sets:
        raise CvAutomlError(_nothing("data set", settings, left_out))
    if not backbones:
        raise CvAutomlError(_nothing("backbone", settings, left_out))
    chosen = tuple(ChosenDataSet(one, one.info(request.split)) for one in data_sets)
    return Selection(request, chosen, tuple(backbones), tuple(left_out))


def find_data_sets(given: tuple[str, ...], settings: Settings) -> tuple[list[DataSet], tuple[str, ...]]:
    """The data sets of a request alone, each once, and a sentence for each that `all` could not take; raises as `select` does."""
    problems: list[str] = []
    left_out: list[str] = []
    found = _data_sets(given, settings, problems, left_out)
    if problems:
        raise CvAutomlError("\n       ".join(problems))
    if not found:
        raise CvAutomlError(_nothing("data set", settings, left_out))
    return found, tuple(left_out)


def _data_sets(
    given: tuple[str, ...], settings: Settings, problems: list[str], left_out: list[str]
) -> list[DataSet]:
    names, named = _wanted(given, lambda: folders_of(settings))
    loaded = _collected(names, named, lambda spec: load_data_set(spec, settings), problems, left_out)
    # A set may have been given by name and by path.
    return list({(one.name, one.fingerprint): one for one in loaded}.values())


def _wanted(given: Sequence[str], everything: Callable[[], list[str]]) -> tuple[list[str], set[str]]:
    """The names to look up, and those of them that were named and not just swept in by `all`."""
    named = [name for name in given if name != ALL]
    return unique([*named, *(everything() if ALL in given else [])]), set(named)


def _collected(
    names: list[str],
    named: set[str],
    look_up: Callable[[str], T],
    problems: list[str],
    left_out: list[str],
) -> list[T]:
    found = []
    for name in names:
        try:
            found.append(look_up(name))
        except CvAutomlError as error:
            (problems if name in named else left_out).append(str(error))
    return found


def _backbones(
    request: Request, settings: Settings, problems: list[str], left_out: list[str]
) -> list[BackboneInfo]:
    from lib.zoo.backbones import backbone_names, describe_backbone

    names, named = _wanted(request.backbones, backbone_names)
    return _collected(names, named, lambda name: describe_backbone(name, settings), problems, left_out)


def _wrong_heads(names: Iterable[str]) -> list[str]:
    return [unknown_name("head", name, HEADS.names()) for name in names if name != ALL and name not in HEADS]


def folders_of(settings: Settings) -> list[str]:
    """Every folder of datasets_dir, by path: what `all` means for data sets."""
    if not settings.datasets_dir.is_dir():
        return []
    folders = (path for path in settings.datasets_dir.iterdir() if path.is_dir())
    return [str(path) for path in sorted(folders) if not path.name.startswith(".")]


def _nothing(kind: str, settings: Settings, left_out: list[str]) -> str:
    where = f" in {settings.datasets_dir}" if kind == "data set" else ""
    return "; ".join([f"there is no {kind} to run on{where}", *left_out])
