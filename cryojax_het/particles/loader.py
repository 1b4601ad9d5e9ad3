"""From a source on disk to `Batch`es on the device, read ahead while the device computes."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import jax
import numpy as np
from jaxtyping import Float, Integer

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, Latents
from ..imaging.optics import Optics
from ..imaging.preparation import AbstractPreparation, prepare_image
from .source import AbstractImageSource

READ_AHEAD = 3  # batches waiting in memory; more would only hide a disk that is too slow anyway


@final
@dataclass(frozen=True)
class Pixels:
    """How pixels become transforms: `steps` in order, then a Fourier crop to `size` pixels."""

    grid: FourierGrid  # of the stored images
    size: int
    steps: tuple[AbstractPreparation, ...] = ()


@final
@dataclass(frozen=True)
class HostLatents:
    """The latents of all images, on the host; rows go out with batches and are written back."""

    conformation: Float[np.ndarray, "n d"]
    rotation: Float[np.ndarray, "n 3 3"]
    shift: Float[np.ndarray, "n 2"]
    contrast: Float[np.ndarray, " n"]

    @classmethod
    def of_poses(
        cls, rotation: Float[np.ndarray, "n 3 3"], shift: Float[np.ndarray, "n 2"]
    ) -> "HostLatents":
        """No conformation, contrast 1."""
        count = len(rotation)
        contrast = np.ones(count, np.float32)
        conformation = np.zeros((count, 0), np.float32)
        return cls(conformation, rotation.astype(np.float32), shift.astype(np.float32), contrast)

    def take(self, rows: Integer[np.ndarray, " b"]) -> Latents:
        """Rows as a pytree of host arrays."""
        arrays = (self.conformation, self.rotation, self.shift, self.contrast)
        return Latents(*(jax.numpy.asarray(array[rows]) for array in arrays))

    def write(
        self,
        latents: Latents,
        index: Integer[np.ndarray, " b"],
        weight: Float[np.ndarray, " b"],
    ) -> None:
        """Writes a batch's latents, host arrays, back in place; rows of weight 0 are left out."""
        real = weight > 0
        for name in ("conformation", "rotation", "shift", "contrast"):
            getattr(self, name)[index[real]] = np.asarray(getattr(latents, name))[real]


@final
@dataclass(frozen=True)
class Placement:
    """Where a batch goes: `own` picks this process's part of its rows, `place` puts a pytree of
    host arrays with these rows on the device or devices."""

    place: Callable[[Any], Any]
    own: Callable[[np.ndarray], np.ndarray] = lambda rows: rows


@final
@dataclass
class Waits:
    """Seconds that the consumer waited for the loader, and seconds in all."""

    waited: float = 0.0
    started: float = field(default_factory=time.monotonic)

    def share(self) -> float:
        """Part of the time since the start spent waiting, 0 to 1."""
        return self.waited / max(time.monotonic() - self.started, 1e-9)


def split_rows(rows: Integer[np.ndarray, " n"], size: int) -> list[Integer[np.ndarray, " _"]]:
    """Consecutive parts of at most `size` rows."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def shuffled(rows: Integer[np.ndarray, " n"], seed: int, epoch: int) -> Integer[np.ndarray, " n"]:
    """The order of one epoch: the same for the same seed and epoch, wherever a run resumes."""
    return np.random.default_rng((seed, epoch)).permutation(rows)


@final
class Loader:
    """Iterates over batches of one fixed size, read by a thread `READ_AHEAD` batches early.

    - `plan`: the rows of each batch, at most `batch_size`; a shorter batch is padded with its last
      row at weight 0, so that one compilation serves all. Images that the source leaves out, which
      it reads as NaN, have weight 0 too.
    - `placement`: which rows of a batch this process reads, and how they reach the devices.

    Errors of the reading thread are raised at the batch that they belong to.
    """

    def __init__(
        self,
        source: AbstractImageSource,
        latents: HostLatents,
        pixels: Pixels,
        batch_size: int,
        placement: Placement,
    ):
        self.source = source
        self.latents = latents
        self.pixels = pixels
        self.batch_size = batch_size
        self.placement = placement
        self.waits = Waits()
        self._optics = source.table().optics()
        self._prepare = jax.jit(
            jax.vmap(lambda image: prepare_image(image, pixels.steps, pixels.grid, pixels.size))
        )

    def batches(self, plan: Sequence[Integer[np.ndarray, " _"]]) -> Iterator[Batch]:
        """The batches of `plan`, in order."""
        ready: queue.Queue = queue.Queue(maxsize=READ_AHEAD)
        stop = threading.Event()
        thread = threading.Thread(target=self._fill, args=(plan, ready, stop), daemon=True)
        thread.start()
        try:
            for _ in plan:
                start = time.monotonic()
                item = ready.get()
                self.waits.waited += time.monotonic() - start
                if isinstance(item, BaseException):
                    raise item
                yield self._batch(*item)
        finally:
            stop.set()
            while thread.is_alive():  # the thread may be blocked on a full queue
                _drain(ready)
                thread.join(timeout=0.05)

    def _fill(self, plan, ready, stop):
        for rows in plan:
            if stop.is_set():
                return
            try:
                ready.put(self._read(rows))
            except Exception as error:  # raised again where the batch is asked for
                ready.put(error)
                return

    def _read(self, rows):
        padding = self.batch_size - len(rows)
        index = self.placement.own(np.concatenate([rows, np.repeat(rows[-1:], padding)]))
        weight = np.concatenate([np.ones(len(rows)), np.zeros(padding)]).astype(np.float32)
        images, weight = self.source.read(index), self.placement.own(weight)
        skipped = np.isnan(images[:, 0, 0])  # the source reads those that are left out as NaN
        if skipped.any():
            skipped[skipped] = np.isnan(images[skipped]).all(axis=(1, 2))
            # Any picture of some contrast will do: its weight is 0, and 0 times NaN is NaN.
            images[skipped] = np.random.default_rng(0).normal(size=images.shape[1:])
            weight = np.where(skipped, np.float32(0), weight)
        return self.placement.place(images), index, weight

    def _batch(self, images, index, weight):
        optics = Optics.from_columns({k: column[index] for k, column in self._optics.items()})
        latents = self.latents.take(index)
        rest = self.placement.place((optics, latents, index.astype(np.int32), weight))
        return Batch(self._prepare(images), *rest)


def _drain(waiting):
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        return
