"""A fit from its first look at the folder to the last file."""

from __future__ import annotations

import time
from collections.abc import Callable

from lib.config import Settings
from lib.fit.course import begun, chosen, prepare, searched
from lib.fit.finishing import Finished, finish
from lib.fit.hearing import Watch
from lib.fit.request import Request


def fitted(
    request: Request,
    settings: Settings,
    watch: Watch | None = None,
    clock: Callable[[], float] = time.perf_counter,
    began: float | None = None,
) -> Finished:
    """Runs all of it. `clock`: what the budget is counted in, from `began` (now) on. Raises CvAutomlError, one sentence, for a folder, an OUT or limits
    that leave nothing to do."""
    fit = begun(request, settings, watch or Watch(), clock, began)
    prepare(fit)
    searched(fit)
    return finish(fit, chosen(fit))
