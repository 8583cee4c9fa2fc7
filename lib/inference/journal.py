"""What is known of each image so far: one JSON line an image, so that an interrupted prediction goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass
class Journal:
    """A file of JSON lines, each of which tells of one image whole; a line that an interruption cut off does not count."""

    path: Path

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.done = {entry["file"] for entry in self.entries()}
        self._cut_torn_line()
        self.file: IO[str] = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, file: str, **found: Any) -> None:
        """Tells of one image, at once."""
        self.file.write(json.dumps({"file": file, **found}) + "\n")
        self.file.flush()

    def entries(self) -> Iterator[dict[str, Any]]:
        """What was told, in order, each image once."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(
                    ValueError
                ):  # a crash of the machine may leave anything: such an image is done again
                    yield json.loads(line)

    def _cut_torn_line(self) -> None:
        if self.path.exists():
            content = self.path.read_bytes()
            self.path.write_bytes(content[: content.rfind(b"\n") + 1])
