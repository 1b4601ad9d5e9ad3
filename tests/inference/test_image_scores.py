"""The numbers of image scores against sums by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.devices import data_mesh, own_part, place_batch
from cryojax_het.inference.image_scores import ScorePass, band_edges
from cryojax_het.particles.arrays import ArraySource
from cryojax_het.particles.loader import HostLatents, Loader, Pixels, Placement, split_rows
from cryojax_het.particles.source import make_particles
from cryojax_het.volumes import linear

SIZE, PIXEL, COUNT = 12, 5.0, 10


@pytest.fixture(scope="module")
def setting():
    """A pass over ten images of a linear volume, two optics groups, contrasts that differ."""
    grid = FourierGrid(SIZE, PIXEL)
    volume = linear.example(jax.random.key(0), grid)
    rng = np.random.default_rng(0)
    rotation = jax.vmap(so3.random)(jax.random.split(jax.random.key(1), COUNT))
    latents = Latents(
        jnp.asarray(rng.normal(size=(COUNT, 3))),
        rotation,
        jnp.asarray(rng.normal(size=(COUNT, 2))),
        jnp.asarray(rng.uniform(0.5, 1.5, COUNT)),
    )
    group = np.arange(COUNT) % 2
    columns = make_particles(
        COUNT,
        pixel_size=PIXEL,
        size=SIZE,
        rotation=np.asarray(rotation),
        defocus_u=rng.uniform(8e3, 2e4, COUNT),
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        group=group,
        group_names=("a", "b"),
    )
    power = jnp.asarray(rng.uniform(1, 3, (2, SIZE // 2 + 1)))
    scores = ScorePass(
        volume=volume,
        noise=ColouredNoise(power),
        neutral=jnp.zeros(3),
        grid=grid,
        edges=tuple(band_edges(grid, 3).tolist()),
    )
    images = rng.normal(size=(COUNT, SIZE, SIZE)).astype(np.float32)
    return scores, latents, columns, images


products = eqx.filter_jit(ScorePass.products)


def batch_of(setting):
    scores, latents, columns, images = setting
    transforms = jax.vmap(scores.grid.from_image)(jnp.asarray(images))
    index = jnp.arange(COUNT, dtype=jnp.int32)
    optics = Optics.from_columns(columns.optics())
    return Batch(transforms, optics, latents, index, jnp.ones(COUNT))


def test_products_are_sums_over_bands_of_the_full_plane(setting):
    scores = setting[0]
    batch, grid = batch_of(setting), scores.grid
    found = products(scores, batch)
    row = 3
    one = jax.tree.map(lambda x: x[row], batch)
    unit = eqx.tree_at(lambda t: t.contrast, one.latents, jnp.ones(()))
    still = eqx.tree_at(lambda t: t.conformation, unit, jnp.zeros(3))
    model = np.asarray(render(scores.volume, unit, one.optics, grid))
    neutral = np.asarray(render(scores.volume, still, one.optics, grid))
    y = np.asarray(one.images)
    weight = np.asarray(grid.weights() / scores.noise.of_group(one.optics.group).variance(grid))
    weight = weight * grid.inside()
    shells = grid.shells()
    pairs = {"observed": (y, y), "cross": (model, y), "power": (model, model)}
    pairs |= {"neutral_cross": (neutral, y), "neutral_power": (neutral, neutral)}
    for name, (a, b) in pairs.items():
        for band, (low, high) in enumerate(zip(scores.edges[:-1], scores.edges[1:], strict=True)):
            inside = (shells >= low) & (shells < high)
            expected = np.sum((weight * (a.conj() * b).real)[inside])
            np.testing.assert_allclose(getattr(found, name)[row, band], expected, rtol=1e-6)


def test_likelihood_ratios_follow_from_products(setting):
    """`log p(y | c x) - log p(y | 0) = Σ c <x, y> - ½ c² <x, x>` where bands hold all shells."""
    scores = setting[0]
    last = SIZE // 2 + 1
    whole = eqx.tree_at(lambda s: s.neutral, scores, jnp.zeros(3))
    whole = ScorePass(whole.volume, whole.noise, whole.neutral, whole.grid, (0, last))
    batch = batch_of(setting)
    found = products(whole, batch)
    for row in (0, 7):
        one = jax.tree.map(lambda x, row=row: x[row], batch)
        noise = scores.noise.of_group(one.optics.group)
        mean = render(scores.volume, one.latents, one.optics, scores.grid)
        ratio = noise.log_prob(one.images, mean, scores.grid)
        ratio -= noise.log_prob(one.images, jnp.zeros_like(mean), scores.grid)
        c = one.latents.contrast
        expected = c * found.cross[row].sum() - 0.5 * c**2 * found.power[row].sum()
        np.testing.assert_allclose(ratio, expected, rtol=1e-6)


def test_a_streamed_pass_fills_the_rows_it_meets(setting):
    scores, latents, columns, images = setting
    mesh = data_mesh()
    host = HostLatents(*(np.asarray(x) for x in jax.tree.leaves(latents)))
    loader = Loader(
        ArraySource(images, columns),
        host,
        Pixels(scores.grid, SIZE),
        4,
        Placement(place_batch(mesh), own_part),
    )
    table = scores.table(COUNT)
    assert list(scores.fill(table, loader, split_rows(np.arange(6), 4))) == [4, 2]
    direct = products(scores, batch_of(setting))
    for name in ("observed", "cross", "neutral_power"):
        np.testing.assert_allclose(
            getattr(table, name)[:6], getattr(direct, name)[:6], rtol=1e-4, atol=1e-3
        )
        assert np.isnan(getattr(table, name)[6:]).all()


def test_bands_hold_all_shells_but_the_first_once():
    for size in (8, 32, 64, 130):
        edges = band_edges(FourierGrid(size, 1.0))
        assert edges[0] == 1
        assert edges[-1] == size // 2
        assert (np.diff(edges) > 0).all()
