"""The images to be predicted: those of a folder, or of the unlabelled test part of a competition's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.datasets.images import image_files, read_rgb
from lib.errors import CvAutomlError, DataSetError
from lib.zoo.base import Image, InputSpec
from lib.zoo.preprocessing import read_ahead, resized

TEST_FOLDERS = ("test", "test_images")
TRAIN_SIGNS = ("train", "train_images", "train.csv", "images", "dataset.yaml")
IMAGE_FOLDERS = (*TEST_FOLDERS, "images", "train_images")
SAMPLE_FILE = "sample_submission.csv"


@dataclass(frozen=True)
class ImageFolder:
    """`files`: relative to `root`, sorted. `sample`: a competition's own example of a submission, where one lies beside."""

    root: Path
    files: tuple[str, ...]
    sample: Path | None = None

    @classmethod
    def at(cls, folder: Path) -> ImageFolder:
        """Of a folder with a train and a test part the test part, of a data set its images without its masks, else all images below
        it. Raises CvAutomlError where there is none."""
        if not folder.is_dir():
            raise CvAutomlError(f"{folder}: there is no such folder; name a folder of images")
        divided = any((folder / sign).exists() for sign in TRAIN_SIGNS)
        parts = [folder / name for name in IMAGE_FOLDERS if divided and (folder / name).is_dir()]
        root = parts[0] if parts else folder
        files = image_files(root)
        if not files:
            raise CvAutomlError(f"{root}: there are no images in it; name a folder that holds some")
        places = [folder, *([root.resolve().parent] if root.name in TEST_FOLDERS else [])]
        samples = [place / SAMPLE_FILE for place in places if (place / SAMPLE_FILE).is_file()]
        return cls(root, tuple(files), samples[0] if samples else None)


@dataclass(frozen=True)
class Picture:
    """One image as it is (height, width, 3) and as the network sees it, or why it cannot be read."""

    file: str
    image: Image | None = None
    sized: Image | None = None
    problem: str = ""


def pictures(folder: ImageFolder, files: Sequence[str], spec: InputSpec, ahead: int) -> Iterator[Picture]:
    """The files in order, read and resized up to `ahead` places early."""

    def read(file: str) -> Picture:
        try:
            image = read_rgb(folder.root / file)
            return Picture(file, image, resized(image, spec))
        except DataSetError as error:
            return Picture(file, problem=str(error))

    return read_ahead(files, read, ahead)
