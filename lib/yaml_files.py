"""Reading YAML that people wrote: one mapping, of a size that a person writes, without aliases that unfold for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lib.errors import CvAutomlError

LARGEST_BYTES = 1_000_000


class _PlainLoader(yaml.SafeLoader):
    """Plain values only: a few aliases of aliases would unfold to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"alias *{event.anchor} is not allowed: write it out", event.start_mark
            )
        return super().compose_node(parent, index)


def read_yaml(path: Path, error: type[CvAutomlError]) -> dict[str, Any]:
    """The `name: value` lines of a file, {} for an empty one; raises `error` naming the file, and the line where there is one."""
    if path.exists() and not path.is_file():
        raise error(f"{path}: not a regular file; replace or remove it")
    try:
        text = path.read_bytes().decode("utf-8-sig") if path.stat().st_size <= LARGEST_BYTES else None
    except OSError as problem:
        raise error(
            f"{path}: cannot be read: {problem.strerror}; check that it exists and may be read"
        ) from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}: not UTF-8 text (byte {problem.start}); save it as UTF-8") from problem
    if text is None:
        raise error(f"{path}: larger than {LARGEST_BYTES} bytes; expected a few lines `name: value`")
    values = parsed_yaml(text, str(path), error)
    if not isinstance(values or {}, dict):
        raise error(f"{path}: expected `name: value` lines, found {type(values).__name__}")
    return {str(name): value for name, value in (values or {}).items()}


def parsed_yaml(text: str, origin: str, error: type[CvAutomlError]) -> Any:
    """The value of YAML text; raises `error` naming `origin`."""
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, TypeError) as problem:
        raise error(f"{origin}: not valid YAML: {' '.join(str(problem).split())}") from problem
    except RecursionError as problem:
        raise error(f"{origin}: not valid YAML: nested too deeply") from problem
