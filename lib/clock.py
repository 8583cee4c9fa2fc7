"""How long work takes: on processors the time it keeps them busy, so that other programs on the machine do not count."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


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
