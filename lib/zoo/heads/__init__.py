"""Heads: every module of this folder is imported, so a head is added by adding its file; none imports torch here."""

import importlib
import pkgutil

from lib.zoo.heads.base import HEADS, Head
from lib.zoo.jobs import TrainingJob, TrainingResult

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["HEADS", "Head", "TrainingJob", "TrainingResult"]
