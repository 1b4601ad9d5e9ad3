"""A pass over images: batch after batch, with progress."""

import sys
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Integer
from tqdm import tqdm

from ..imaging.image import Batch
from ..particles.loader import Loader


def image_pass(
    loader: Loader, plan: Sequence[Integer[np.ndarray, " _"]], name: str
) -> Iterator[Batch]:
    """The batches of `plan`; its images count as done when the next batch is asked for. One process
    of several shows the bar `name`."""
    hidden, total = jax.process_index() != 0, sum(map(len, plan))
    with tqdm(total=total, desc=name, unit=" images", disable=hidden, file=sys.stderr) as bar:
        for part, batch in zip(plan, loader.batches(plan), strict=True):
            yield batch
            bar.update(len(part))
