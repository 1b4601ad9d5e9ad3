"""The loader: shapes, padding, order, what reaches whom, errors of its thread and its end."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.preparation import Invert
from cryojax_het.particles.loader import (
    READ_AHEAD,
    HostLatents,
    Loader,
    Pixels,
    Placement,
    Waits,
    shuffled,
    split_rows,
)
from cryojax_het.particles.source import AbstractImageSource, make_particles

N, SIZE, PIXEL = 23, 8, 2.0


class Numbered(AbstractImageSource):
    """Image `i` is noise of seed `i`; reading `broken` fails; counts the reads."""

    def __init__(self, broken=-1):
        self.broken = broken
        self.reads = 0

    def __len__(self):
        return N

    def table(self):
        return make_particles(
            N,
            pixel_size=PIXEL,
            size=SIZE,
            defocus_u=1e4 + np.arange(N),
            voltage=300.0,
            spherical_aberration=2.7,
            amplitude_contrast=0.1,
            group=np.arange(N) % 2,
            group_names=("a", "b"),
        )

    def read(self, index):
        self.reads += 1
        if self.broken in index:
            raise ValueError(f"image {self.broken} is broken")
        return np.stack([pixels(i) for i in index])


def pixels(i):
    return np.random.default_rng(int(i)).normal(size=(SIZE, SIZE)).astype(np.float32)


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def latents():
    rng = np.random.default_rng(1)
    return HostLatents.of_poses(rng.normal(size=(N, 3, 3)), rng.normal(size=(N, 2)))


def loader(source=None, own=lambda rows: rows, steps=(), size=SIZE):
    grid = FourierGrid(SIZE, PIXEL)
    placement = Placement(on_device, own)
    return Loader(source or Numbered(), latents(), Pixels(grid, size, steps), 5, placement)


def test_batches_have_one_shape_and_pad_at_weight_0():
    plan = split_rows(np.arange(N), 5)
    batches = list(loader(size=6).batches(plan))
    assert len(batches) == 5
    for batch in batches:
        assert batch.images.shape == (5, 6, 4)
        assert batch.latents.rotation.shape == (5, 3, 3)
        assert batch.optics.defocus_u.shape == batch.weight.shape == batch.index.shape == (5,)
    np.testing.assert_array_equal(batches[-1].weight, [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(batches[-1].index, [20, 21, 22, 22, 22])
    assert all((batch.weight == 1).all() for batch in batches[:-1])


def test_every_row_travels_with_its_own_image_optics_and_latents():
    host, grid = latents(), FourierGrid(SIZE, PIXEL)
    plan = split_rows(np.random.default_rng(3).permutation(N), 5)
    seen = []
    for rows, batch in zip(plan, loader(steps=(Invert(),)).batches(plan), strict=True):
        np.testing.assert_array_equal(batch.index[: len(rows)], rows)
        for j, row in enumerate(rows):
            expected = grid.from_image(jnp.asarray(-pixels(row)))
            np.testing.assert_allclose(batch.images[j], expected, atol=1e-5)
            assert batch.optics.defocus_u[j] == pytest.approx(1e4 + row)
            assert batch.optics.group[j] == row % 2
            np.testing.assert_array_equal(batch.latents.shift[j], host.shift[row])
        seen += rows.tolist()
    assert sorted(seen) == list(range(N))


class PartlyNan(Numbered):
    """Its images 3 and 7 are left out."""

    def read(self, index):
        images = super().read(index)
        images[np.isin(index, [3, 7])] = np.nan
        return images


def test_images_that_are_left_out_weigh_nothing():
    batches = list(loader(PartlyNan()).batches(split_rows(np.arange(N), 5)))
    weight = np.concatenate([batch.weight for batch in batches])
    np.testing.assert_array_equal(np.flatnonzero(weight == 0), [3, 7, 23, 24])
    assert all(np.isfinite(batch.images).all() for batch in batches)


def test_epochs_differ_by_seed_and_number_and_repeat():
    rows = np.arange(100, 150)
    first = shuffled(rows, 1, 0)
    np.testing.assert_array_equal(first, shuffled(rows, 1, 0))
    np.testing.assert_array_equal(np.sort(first), rows)
    for other in (shuffled(rows, 1, 1), shuffled(rows, 2, 0), rows):
        assert not np.array_equal(first, other)


def test_an_error_comes_at_its_batch_and_not_before():
    plan = split_rows(np.arange(N), 5)
    batches = loader(Numbered(broken=12)).batches(plan)
    next(batches), next(batches)
    with pytest.raises(ValueError, match="image 12 is broken"):
        next(batches)
    assert not reading_threads()


def test_the_thread_ends_when_the_consumer_stops():
    source = Numbered()
    batches = loader(source).batches([np.arange(5)] * 50)
    next(batches)
    batches.close()
    assert not reading_threads()
    assert source.reads < 50


def test_no_more_than_the_read_ahead_is_in_memory():
    source = Numbered()
    batches = loader(source).batches([np.arange(5)] * 50)
    next(batches)
    for thread in reading_threads():
        thread.join(timeout=0.5)  # it would finish here if nothing held it back
    # One consumed, READ_AHEAD waiting, one in the thread's hand.
    assert source.reads <= READ_AHEAD + 2
    batches.close()


def test_two_processes_read_disjoint_halves_of_each_batch():
    grid = FourierGrid(SIZE, PIXEL)
    plan = [np.arange(4), np.arange(4, 7)]
    parts = []
    for rank in range(2):
        own = lambda rows, rank=rank: np.split(rows, 2)[rank]
        one = Loader(Numbered(), latents(), Pixels(grid, SIZE), 4, Placement(on_device, own))
        parts.append(list(one.batches(plan)))
    for first, second, rows in zip(*parts, plan, strict=True):
        index = np.concatenate([first.index, second.index])
        weight = np.concatenate([first.weight, second.weight])
        assert len(first.index) == len(second.index) == 2
        np.testing.assert_array_equal(index[weight > 0], rows)


def test_place_sees_every_array_of_the_batch():
    placed = []
    place = lambda tree: placed.append(tree) or on_device(tree)
    grid = FourierGrid(SIZE, PIXEL)
    one = Loader(Numbered(), latents(), Pixels(grid, SIZE), 5, Placement(place))
    list(one.batches([np.arange(5)]))
    images, (optics, rows, index, weight) = placed
    assert images.shape == (5, SIZE, SIZE)
    assert optics.defocus_u.shape == rows.contrast.shape == index.shape == weight.shape == (5,)


def test_written_latents_come_back_and_padding_is_left_out():
    host = latents()
    before = host.shift.copy()
    batch = host.take(np.array([3, 7, 7]))
    moved = type(batch)(batch.conformation, batch.rotation, batch.shift + 1, batch.contrast * 2)
    host.write(moved, np.array([3, 7, 9]), np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(host.shift[[3, 7]], before[[3, 7]] + 1)
    np.testing.assert_array_equal(host.shift[9], before[9])
    assert host.contrast[[3, 7, 9]].tolist() == [2, 2, 1]


def test_split_rows_keeps_order_and_every_row():
    parts = split_rows(np.arange(11), 4)
    assert [len(p) for p in parts] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(11))


def test_the_share_of_waiting_is_part_of_the_time():
    waits = Waits()
    waits.started -= 40.0
    waits.waited = 10.0
    assert waits.share() == pytest.approx(0.25, rel=1e-2)


def reading_threads():
    return [t for t in threading.enumerate() if "_fill" in t.name and t.is_alive()]
