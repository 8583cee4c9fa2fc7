"""Name → builder; an unknown name is answered with the nearest names that exist."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from lib.errors import CvAutomlError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named parts of one kind, e.g. heads or completers. To register a part is to have it tested by its contract suite."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files the decorated part under `name`; a name is given once."""

        def file_part(part: T) -> T:
            if name in self._parts:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._parts[name] = part
            return part

        return file_part

    def names(self) -> list[str]:
        """All registered names, in the order of registration."""
        return list(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __getitem__(self, name: str) -> T:
        """The part called `name`; raises CvAutomlError with the nearest names otherwise."""
        if name not in self._parts:
            raise CvAutomlError(unknown_name(self.kind, name, self.names()))
        return self._parts[name]


MOST_NAMES_TOLD = 20


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """The sentence for a name that does not exist: the nearest ones, or (the first of) all when none is near."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"unknown {kind} '{name}': did you mean {' or '.join(near)}?"
    more = len(known) - MOST_NAMES_TOLD
    told = ", ".join(known[:MOST_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
    return f"unknown {kind} '{name}': expected one of {told}"
