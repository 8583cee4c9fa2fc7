"""How a data set may lie on disk: one module a layout, each registered here under the name a card uses."""

from lib.datasets.layouts.base import LAYOUTS, MOST_MASK_CLASSES, Contents, Masks, recognise
from lib.datasets.layouts.folders import Folders
from lib.datasets.layouts.masks import ImagesAndMasks
from lib.datasets.layouts.severstal import Severstal

__all__ = [
    "LAYOUTS",
    "MOST_MASK_CLASSES",
    "Contents",
    "Folders",
    "ImagesAndMasks",
    "Masks",
    "Severstal",
    "recognise",
]
