"""The registry: nearest names for unknown ones, no name twice."""

import pytest

from lib.errors import CvAutomlError
from lib.registry import Registry


def _fruits() -> Registry[int]:
    fruits: Registry[int] = Registry("fruit")
    for number, name in enumerate(["apple", "apricot", "banana"]):
        fruits.register(name)(number)
    return fruits


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(CvAutomlError, match="did you mean banana"):
        _fruits()["bananna"]


def test_a_name_unlike_all_lists_them() -> None:
    with pytest.raises(CvAutomlError, match="apple, apricot, banana"):
        _fruits()["zzz"]


def test_a_name_is_given_once() -> None:
    fruits = _fruits()
    with pytest.raises(ValueError, match="twice"):
        fruits.register("apple")(9)
    assert fruits.names() == ["apple", "apricot", "banana"] and fruits["apricot"] == 1
