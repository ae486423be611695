"""What the tests of regions share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bcpnet.data.streets import Streets


@pytest.fixture(scope="session")
def street() -> npt.NDArray[np.uint8]:
    """The labels of a synthetic street at a quarter of the size, enlarged: 1080 x 1920 uint8."""
    label = Streets("val", (270, 480))[0].label
    assert label is not None
    return label.repeat(4, axis=0).repeat(4, axis=1)
