"""Street images without labels of their own, to learn from through a teacher.

Any folder will do: its images are found by name, at any depth. Where an image lies as `images/NAME.jpg` and a file
`labels/NAME.png` lies beside that folder, it is read as a coarse label of IDD-Lite (Mishra et al. 2019, AutoNUE
challenge: seven groups of classes on Indian streets), which bounds what a teacher may say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from bcpnet.data.base import Sample
from bcpnet.data.files import IdLabels, with_ignore
from bcpnet.data.find import IMAGE_SUFFIXES, Item, check_files, find_files
from bcpnet.errors import InputError
from bcpnet.labels import CAMVID, ClassSet
from bcpnet.media.images import read_image

# IDD-Lite's ids in their order, and the classes of CamVid that their pixels may be.
_IDD_LITE: tuple[tuple[str, ...], ...] = (
    ("road",),  # drivable
    ("pavement", "tree"),  # non-drivable: sidewalks, verges
    ("pedestrian", "bicyclist"),  # living things
    ("car", "bicyclist"),  # vehicles, those with two wheels among them
    ("pole", "sign", "fence", "building", "pavement"),  # roadside objects: walls and kerbs among them
    ("building", "tree"),  # far objects
    ("sky",),
)
_IDS = with_ignore({index: index for index in range(len(_IDD_LITE))})


class Unlabelled:
    """The images of a folder; see `bcpnet.data.base.Dataset`.

    Attributes:
        classes: those of the training data that they are learnt beside.
        paths: of the images.
    """

    def __init__(self, root: Path, classes: ClassSet) -> None:
        """Finds the images below `root`. Raises InputError where there are none, or a link leads to nowhere."""
        self.classes = classes
        self.paths = [
            path for path in find_files(Path(root), "**/*")
            if path.suffix.lower() in IMAGE_SUFFIXES and path.parent.name != "labels"
        ]  # fmt: skip
        check_files([Item(str(path), path, None) for path in self.paths])
        if not self.paths:
            raise InputError(f"{root}: no images ({' '.join(IMAGE_SUFFIXES)}) in it")
        self._read_coarse = IdLabels(_IDS)
        self._possible = np.ones((256, len(classes)), np.bool_)
        if classes.names == CAMVID.names:  # of others it is not known
            self._possible[: len(_IDD_LITE)] = [[name in group for name in classes.names] for group in _IDD_LITE]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """Reads image `index`; its label is None. Raises InputError where it cannot be read."""
        path = self.paths[index]
        return Sample(read_image(path), None, str(path))

    def possible(self, index: int) -> npt.NDArray[np.bool_] | None:
        """K x H x W: the classes that the coarse label of image `index` allows; None where it has none.

        Raises InputError for a label that is no such file.
        """
        path = self.paths[index]
        coarse = path.parent.parent / "labels" / f"{path.stem}.png"
        if path.parent.name != "images" or not coarse.is_file():
            return None
        return self._possible[self._read_coarse(coarse)].transpose(2, 0, 1)
