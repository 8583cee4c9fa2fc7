import threading

import pytest

from lib.zoo.preprocessing import read_ahead


def test_order_is_kept_and_every_source_is_read_once():
    seen = []
    assert list(read_ahead(range(50), lambda i: seen.append(i) or i * i, ahead=7)) == [
        i * i for i in range(50)
    ]
    assert sorted(seen) == list(range(50))


def test_reading_runs_ahead_but_not_further_than_asked():
    started = []
    reading = read_ahead(iter(range(100)), lambda i: started.append(i) or i, ahead=5)
    assert next(reading) == 0
    reading.close()
    assert 1 <= len(started) <= 7


def test_reading_happens_in_other_threads():
    names = set(read_ahead(range(4), lambda i: threading.current_thread().name, ahead=2))
    assert all(name.startswith("read-image") for name in names)


def test_error_is_raised_at_its_place():
    reading = read_ahead([1, 0, 2], lambda i: 1 // i, ahead=3)
    assert next(reading) == 1
    with pytest.raises(ZeroDivisionError):
        next(reading)


def test_nothing_to_read_gives_nothing():
    assert list(read_ahead([], abs, ahead=3)) == []
