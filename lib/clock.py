"""How long work takes: on processors the time it keeps them busy, so that other programs on the machine do not count."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from lib.errors import CvAutomlError

UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600}


@dataclass
class Clock:
    """Seconds spent inside `with clock:`, added up. `threads`: how many the work keeps busy; its seconds are then at most this
    process's processor time over them, which a loaded machine does not stretch. 0 for work on an accelerator: seconds as they
    pass."""

    threads: int = 1
    seconds: float = field(default=0.0, init=False)
    _since: tuple[float, float] = field(default=(0.0, 0.0), init=False)

    def __enter__(self) -> Clock:
        self._since = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        passed, busy = time.perf_counter() - self._since[0], time.process_time() - self._since[1]
        self.seconds += min(passed, busy / self.threads) if self.threads else passed


def seconds_of(text: str) -> float:
    """`90`, `90s`, `30m`, `1.5h`, `1h30m` → seconds; raises CvAutomlError for anything else and for 0."""
    time_span = r"(\d+(?:\.\d+)?)\s*(h|min|m|s)\s*"
    pieces = re.findall(time_span, text.lower()) if re.fullmatch(rf"\s*({time_span})+", text.lower()) else []
    total = sum(float(number) * UNITS_S[unit] for number, unit in pieces)
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text):
        total = float(text)
    if total <= 0:
        raise CvAutomlError(
            f"a time of '{text}': expected a time such as 90s, 30m, 2h, 1h30m or plain seconds"
        )
    return total
