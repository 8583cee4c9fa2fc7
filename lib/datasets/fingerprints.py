"""Short hashes that tell whether two data sets hold the same images, and the same truth about them."""

from __future__ import annotations

import hashlib

from lib.datasets.pictures import Pictures
from lib.records.schema import Task


def images_fingerprint(pictures: Pictures) -> str:
    """Hash (16 hex digits) of the images' bytes in the order of the files."""
    return hashlib.sha256("\n".join(pictures.digests).encode()).hexdigest()[:16]


def fingerprint(images: str, task: Task, classes: tuple[str, ...], truth: bytes) -> str:
    """Hash (16 hex digits) of the images' fingerprint, the task, the classes' names and the labels or masks."""
    head = "\n".join((images, task, *classes)).encode()
    return hashlib.sha256(head + b"\0" + truth).hexdigest()[:16]


def view_fingerprint(parent: str, view: str) -> str:
    """Hash (16 hex digits) of a view of a data set whose own fingerprint is `parent`."""
    return hashlib.sha256(f"{parent}@{view}".encode()).hexdigest()[:16]
