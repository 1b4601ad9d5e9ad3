"""Half-maps and the whole map through known deformations: what they recover, and resuming."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from scipy.spatial.transform import Rotation

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.deformed_reconstruction import (
    DONE,
    DeformedReconstruction,
    reconstruct_deformed,
    start,
)
from cryojax_het.inference.devices import data_mesh, own_part, place_batch
from cryojax_het.inference.half_maps import plan_batches
from cryojax_het.inference.updates.conjugate_gradients import Stopping, conjugate_gradients
from cryojax_het.inference.updates.deformed_map import DeformedMap, regulariser
from cryojax_het.inference.updates.toeplitz import ExactEquations, convolve
from cryojax_het.particles.arrays import ArraySource, from_arrays
from cryojax_het.particles.loader import HostLatents, Loader, Pixels, Placement
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.displacement import AbstractDisplacement
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.voxel_cloud import voxels_within

COUNT, SIZE, PIXEL, BATCH = 192, 16, 4.0, 32
GRID = FourierGrid(SIZE, PIXEL)
SIGMA = 1.0


class Swing(AbstractDisplacement):
    """Half the molecule moves along y by the latent, in Å."""

    latent_size: int = eqx.field(static=True, default=1)

    def change(self, latent, positions):
        along = latent[0] * jax.nn.sigmoid(positions[:, 0])
        return Change(jnp.stack([0 * along, along, 0 * along], axis=1))


class Still(AbstractDisplacement):
    """Nothing moves."""

    latent_size: int = eqx.field(static=True, default=1)

    def change(self, latent, positions):
        del latent
        return Change(jnp.zeros_like(positions))


def molecule():
    """Two parts 16 Å apart, so that each Gaussian goes with one."""
    rng = np.random.default_rng(7)
    positions = rng.uniform(-13, 13, (25, 3))
    positions[:, 0] = np.sign(positions[:, 0]) * rng.uniform(8, 14, 25)
    return Gaussians(jnp.asarray(positions), jnp.linspace(50.0, 150.0, 25), jnp.full(25, 4.0))


def simulated(reach, sigma):
    """Source, latents and half-sets of images whose swing is `reach` Å at most, and `sigma` or,
    where that is None, the noise of `SIGMA` times their standard deviation."""
    rng = np.random.default_rng(0)
    rotation = Rotation.random(COUNT, rng=rng).as_matrix()
    shift = rng.normal(0, 2, (COUNT, 2))
    swing = (reach * rng.uniform(-1, 1, (COUNT, 1))).astype(np.float32)
    latents = HostLatents.of_poses(rotation, shift)
    latents = HostLatents(swing, latents.rotation, latents.shift, latents.contrast)
    lens = {"defocus_u": rng.uniform(6e3, 2e4, COUNT), "voltage": 300.0, "amplitude_contrast": 0.1}
    lens |= {"defocus_v": lens["defocus_u"], "spherical_aberration": 2.7}
    table = from_arrays(np.zeros((COUNT, SIZE, SIZE)), PIXEL, rotation, shift, **lens).table()
    volume = DisplacedMixture(molecule(), Swing())
    seen = jax.jit(jax.vmap(lambda l, o: GRID.to_image(render(volume, l, o, GRID))))
    clean = np.asarray(seen(latents.take(np.arange(COUNT)), Optics.from_columns(table.optics())))
    sigma = SIGMA * clean.std() if sigma is None else sigma
    source = ArraySource(clean + sigma * rng.normal(size=clean.shape), table)
    return source, latents, np.arange(COUNT) % 2 + 1, sigma


@pytest.fixture(scope="module")
def data():
    return simulated(14.0, None)


def mesh_of(count):
    devices = jax.devices()[:count]
    return jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def ball(radius=6.5):
    axis = np.arange(SIZE) - SIZE // 2
    squared = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return np.where(squared <= radius**2, 1.0, 0.0)


def prepared(data, displacement, mesh):
    source, latents, half, sigma = data
    flat, positions = voxels_within(ball(), PIXEL)
    places = (jnp.asarray(flat), jnp.asarray(positions))
    model = DeformedMap(*places, GRID.pixel_size, displacement, SIZE)
    noise = WhiteNoise.per_pixel(sigma, GRID)
    ratio = jnp.full(SIZE // 2 + 1, 0.05)
    setting = DeformedReconstruction(model, noise, GRID, ratio, mesh, Stopping(1e-3, 20))
    placement = Placement(place_batch(mesh), own_part)
    loader = Loader(source, latents, Pixels(GRID, SIZE), BATCH, placement)
    return setting, loader, plan_batches(half, BATCH)


def run(data, displacement, mesh):
    setting, loader, plan = prepared(data, displacement, mesh)
    course = start(setting)
    done = list(reconstruct_deformed(setting, loader, plan, course, fourier_shell_correlation))
    assert course.stage == DONE
    assert sum(done) % COUNT == 0
    return course


@pytest.fixture(scope="module")
def deformed(data):
    return run(data, Swing(), mesh_of(1))


@pytest.fixture(scope="module")
def rigid(data):
    return run(data, Still(), mesh_of(1))


def disagreement(found):
    """`1 - FSC` with the true reference, mean of shells 2 to 6."""
    truth = np.asarray(molecule().density(jnp.zeros(0), GRID))
    return 1 - fourier_shell_correlation(np.asarray(found), truth)[2:7].mean()


def test_the_deformation_undoes_the_blur(data, deformed, rigid):
    """The map is as good as that of a molecule that keeps still, in the same noise."""
    still = run(simulated(0.0, data[3]), Still(), mesh_of(1))
    found, blurred, best = (disagreement(c.whole.x) for c in (deformed, rigid, still))
    assert found < 1.25 * best
    assert found < 0.5 * blurred


def test_half_maps_are_alike_and_noisier_than_the_whole(deformed):
    halves = deformed.half_maps()
    assert fourier_shell_correlation(*halves)[1:4].min() > 0.9
    whole = disagreement(deformed.whole.x)
    assert all(disagreement(half) > whole for half in halves)


def test_the_prior_comes_from_the_half_maps(deformed):
    fsc = fourier_shell_correlation(*deformed.half_maps())
    expected = (1 - fsc[2]) / (2 * fsc[2])
    assert float(deformed.ratio[2]) == pytest.approx(max(expected, 0.001 / 2), rel=1e-2, abs=1e-3)


def test_without_displacement_it_is_the_rigid_least_squares_map(data, rigid):
    """The same prior and support, and the normal operator as a convolution, from other code."""
    setting, loader, plan = prepared(data, Still(), mesh_of(1))
    add = eqx.filter_jit(lambda e, b: e.add(b, b.latents, setting.noise, GRID))
    equations = ExactEquations.zeros(SIZE, GRID.pixel_size, cubic())
    for batch in loader.batches([planned.rows for planned in plan]):
        equations = add(equations, batch)
    spectrum = jnp.fft.rfftn(jnp.fft.ifftshift(equations.convolution())).real
    support = setting.model.support()
    weight = rigid.right[0].weight + rigid.right[1].weight
    how = regulariser(weight, rigid.ratio, support, GRID.pixel_size)
    operator = lambda v: support * PIXEL**6 * convolve(spectrum, v) + how.prior(v)
    right = PIXEL**3 * equations.right_hand_side()
    stopping = Stopping(1e-5, 200)
    expected = conjugate_gradients(
        operator, right, how.precondition, jnp.zeros_like(support), stopping
    ).x
    assert np.linalg.norm(rigid.whole.x - expected) < 0.01 * np.linalg.norm(expected)


def test_an_interrupted_run_ends_as_the_whole_one(data, deformed):
    setting, loader, plan = prepared(data, Swing(), mesh_of(1))
    course, steps = start(setting), 0
    going = reconstruct_deformed(setting, loader, plan, course, fourier_shell_correlation)
    for steps, _ in enumerate(going):
        if steps == 2 * len(plan) + 3:
            break
    going.close()
    saved = jax.tree.map(np.asarray, course.tree())
    again = start(setting)
    again.take_up(saved, course.stage, course.batch)
    left = list(reconstruct_deformed(setting, loader, plan, again, fourier_shell_correlation))
    assert again.batch == 0
    np.testing.assert_allclose(again.whole.x, deformed.whole.x, atol=1e-9)
    passes = int(deformed.halves[0].iterations), int(deformed.whole.iterations)
    assert steps + 1 + len(left) == len(plan) * (2 + max(passes[0], _last(deformed)) + passes[1])


def _last(course):
    return int(course.halves[1].iterations)


def test_a_half_map_knows_nothing_of_the_other_half(data, deformed):
    source, latents, half, sigma = data
    images = source.read(np.arange(COUNT))
    images[half == 2] = 0
    other = (ArraySource(images, source.table()), latents, half, sigma)
    setting, loader, plan = prepared(other, Swing(), mesh_of(1))
    course = start(setting)
    for _ in reconstruct_deformed(setting, loader, plan, course, fourier_shell_correlation):
        if course.stage > 1:
            break
    np.testing.assert_allclose(course.halves[0].x, deformed.halves[0].x, atol=1e-9)
    assert not np.asarray(course.halves[1].x).any()


def test_four_devices_make_the_map_of_one(data, deformed):
    if jax.device_count() != 4:
        pytest.skip("needs the four virtual devices of conftest.py")
    np.testing.assert_allclose(run(data, Swing(), data_mesh()).whole.x, deformed.whole.x, atol=1e-8)
