"""Data sets on disk, read by one contract; see `load_data_set`."""

from lib.datasets.base import Card, DataSet
from lib.datasets.loading import load_data_set, load_images_only

__all__ = ["Card", "DataSet", "load_data_set", "load_images_only"]
