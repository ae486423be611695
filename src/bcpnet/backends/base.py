"""What a backend is: one call signature for every runtime."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from bcpnet.metadata import Metadata


class Backend(Protocol):
    """Runs one network. It may be called from several threads at once.

    Attributes:
        name: in `bcpnet.backends`.
        metadata: what came with the weights.
    """

    name: str
    metadata: Metadata

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """N x H x W x 3 uint8 images, RGB (H, W >= 32) -> N x K x ceil(H/8) x ceil(W/8) logits.

        Raises:
            InputError: the runtime fails, which it does where the memory is not enough.
        """
        ...


@runtime_checkable
class ClassMapBackend(Backend, Protocol):
    """A backend that also upsamples and takes the argmax where it runs the network: only class maps leave a GPU."""

    def class_maps(self, images: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """N x h x w x 3 uint8 images, RGB, at network size -> N x H x W uint8 class maps of `size_hw`.

        What `bcpnet.frames.upsample.upsample_argmax` gives on the logits, ties aside.

        Raises:
            InputError: as `Backend.__call__`.
        """
        ...


class OpenedBackend:
    """What the backends here have in common: pickled, or copied, they open anew from the same weights.

    Attributes:
        reopen: opens it once more, in whatever process it is called.
        takes: number, height, width and channels of the frames that it takes; None = any.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        """Takes what the backend was opened with."""
        self.reopen: Callable[[], object] = partial(type(self), path.absolute(), threads)
        self.takes: tuple[int | None, ...] = (None, None, None, 3)

    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        """No runtime's memory can be sent to another process."""
        return self.reopen, ()


class SizeChanges:
    """Hands freed memory back to the system, now and then, where pictures come in many sizes.

    A runtime frees what it had prepared for an earlier size, and glibc keeps the gaps: some 5 MiB for each new size.
    """

    def __init__(self) -> None:
        """No size seen yet."""
        self._last: tuple[int, ...] = ()
        self._changes = 0

    def see(self, shape: tuple[int, ...]) -> None:
        """To be called with the shape of every batch. Costs some milliseconds at every eighth change."""
        if shape == self._last:
            return
        self._last = shape
        self._changes += 1
        if self._changes % 8 == 0 and _trim is not None:
            _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none

T = TypeVar("T")


class PerProcess(Generic[T]):
    """What a runtime holds, and a fork breaks: a forked process opens its own when it first asks for it.

    Its threads exist in the parent alone, its locks may be taken for good. Freeing it would wait for these threads:
    a forked process never does.
    """

    def __init__(self, opens: Callable[[], T]) -> None:
        """Opens it, with `opens`."""
        self._opens = opens
        self._values = [opens()]
        self._lock = threading.Lock()
        _of_parent.add(self)

    def get(self) -> T:
        """This process's own. Raises what `opens` raises."""
        try:
            return self._values[0]
        except IndexError:
            with self._lock:
                if not self._values:
                    self._values.append(self._opens())
            return self._values[0]

    def forget(self) -> None:
        """In a forked process: leaves the parent's as it is."""
        never_free(self._values)
        self._values, self._lock = [], threading.Lock()


_of_parent: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()


def never_free(value: object) -> None:
    """Keeps an object, and all that it refers to, beyond the end of Python, which would free it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _forget() -> None:
    for held in list(_of_parent):
        held.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget)
