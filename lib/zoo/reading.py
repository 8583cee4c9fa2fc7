"""Reading ahead: threads prepare the next images while the network works on these."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Source = TypeVar("Source")
Prepared = TypeVar("Prepared")

# Decoding and resizing leave Python's lock free; two threads keep up with a network on a CPU and hardly disturb it.
READING_THREADS = 2


def read_ahead(
    sources: Iterable[Source], prepare: Callable[[Source], Prepared], ahead: int
) -> Iterator[Prepared]:
    """`prepare` of each source, in order, computed in threads up to `ahead` places early.

    An error of `prepare` is raised at its place; what is waiting then is given up.
    """
    waiting: deque[Future[Prepared]] = deque()
    iterator = iter(sources)
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="read-image") as pool:
        try:
            waiting.extend(pool.submit(prepare, source) for source in itertools.islice(iterator, ahead))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(prepare, source) for source in itertools.islice(iterator, 1))
        finally:
            pool.shutdown(cancel_futures=True)
