"""Likelihoods with poses, shifts and contrasts integrated out, against fine sums one by one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.free_energy.contrast import KnownContrast, NormalContrast
from cryojax_het.inference.free_energy.poses import ImageModel, KnownPose, PoseGrid
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.linear import example

GRID = FourierGrid(16, 3.0)
NOISE = ColouredNoise(jnp.linspace(3e3, 1.5e3, 9)[None])
PATH = jnp.array([[0.0, 0.0, 0.0], [1.0, -0.5, 0.3]])
OPTICS = Optics.ideal()
VOLUME = jax.jit(lambda: example(jax.random.key(0), GRID).prepare(GRID))()


def world(contrast):
    return ImageModel(VOLUME, NOISE, contrast, GRID)


@eqx.filter_jit
def likelihood(poses, model, image):
    """At both nodes."""
    observed, given = image
    return poses.log_likelihood(model, PATH, observed, given, OPTICS)


@pytest.fixture(scope="module")
@jax.jit
def image():
    """One image of the second conformation, off the pose that it comes with."""
    model = world(KnownContrast())
    given = Latents(
        jnp.zeros(0), so3.random(jax.random.key(1)), jnp.array([1.0, -2.0]), jnp.asarray(1.1)
    )
    rotation = so3.exp(jnp.array([0.05, -0.08, 0.04])) @ given.rotation
    true = Latents(PATH[1], rotation, given.shift + 0.7, given.contrast)
    mean = render(model.volume, true, OPTICS, GRID)
    return NOISE.of_group(0).sample(jax.random.key(2), mean, GRID), given


def log_ratio(model, observed, node, rotation, shift, contrast):
    mean = render(model.volume, Latents(node, rotation, shift, contrast), OPTICS, GRID)
    noise = NOISE.of_group(0)
    nothing = noise.log_prob(observed, jnp.zeros_like(mean), GRID)
    return noise.log_prob(observed, mean, GRID) - nothing


def test_known_pose_is_the_ratio_of_densities(image):
    observed, given = image
    model = world(KnownContrast())
    got = likelihood(KnownPose(), model, image)
    for value, node in zip(got, PATH, strict=True):
        pose = given.rotation, given.shift, given.contrast
        expected = jax.jit(lambda n, p=pose: log_ratio(model, observed, n, *p))(node)
        assert float(value) == pytest.approx(float(expected), abs=1e-8)


def test_a_grid_of_one_pose_is_the_known_pose(image):
    for contrast in (KnownContrast(), NormalContrast(1.0, 0.2)):
        one = PoseGrid.normal(0.0, 0.1, 0.0, 1.0)
        a = likelihood(one, world(contrast), image)
        b = likelihood(KnownPose(), world(contrast), image)
        np.testing.assert_allclose(a, b, atol=1e-8)


def fine(width, dimensions, count):
    """Nodes and logarithms of weights to five deviations, evenly."""
    line = np.linspace(-5 * width, 5 * width, count)
    points = np.stack(np.meshgrid(*[line] * dimensions, indexing="ij"), axis=-1)
    points = points.reshape(-1, dimensions)
    log_weight = -0.5 * (points**2).sum(axis=1) / width**2
    return points, log_weight - logsumexp(log_weight)


@pytest.mark.parametrize("node", [0, 1])
def test_rotations_against_a_finer_and_wider_sum(image, node):
    observed, given = image
    model, width = world(KnownContrast()), 0.09
    points, log_weight = fine(width, 3, 25)
    each = lambda w: log_ratio(
        model, observed, PATH[node], so3.exp(w) @ given.rotation, given.shift, given.contrast
    )
    terms = np.asarray(jax.jit(lambda p: jax.lax.map(each, p, batch_size=256))(jnp.asarray(points)))
    poses = PoseGrid.normal(width, width / 1.5, 0.0, 1.0)
    got = likelihood(poses, model, image)[node]
    assert np.ptp(terms[np.linalg.norm(points, axis=1) < 2 * width]) > 3  # it is no constant
    assert float(got) == pytest.approx(logsumexp(terms + log_weight), abs=0.05)


@pytest.mark.parametrize("node", [0, 1])
def test_shifts_and_contrasts_against_sums(image, node):
    observed, given = image
    model, width = world(NormalContrast(1.0, 0.3)), 1.2
    points, log_shift = fine(width, 2, 41)
    contrasts, log_contrast = fine(0.3, 1, 41)

    def each(shift):
        at = lambda s: log_ratio(
            model, observed, PATH[node], given.rotation, given.shift + shift, 1 + s
        )
        return jax.nn.logsumexp(jax.vmap(at)(jnp.asarray(contrasts[:, 0])) + log_contrast)

    terms = np.asarray(jax.jit(lambda p: jax.lax.map(each, p))(jnp.asarray(points)))
    poses = PoseGrid.normal(0.0, 1.0, width, 0.6)
    got = likelihood(poses, model, image)[node]
    assert float(got) == pytest.approx(logsumexp(terms + log_shift), abs=0.03)


def test_weights_have_sum_one_and_the_width_asked_for():
    poses = PoseGrid.normal(0.1, 0.06, 2.0, 1.0)
    weight, offset = np.exp(poses.log_turn), np.exp(poses.log_offset)
    assert weight.sum() == pytest.approx(1)
    assert offset.sum() == pytest.approx(1)
    turns = np.asarray(poses.turns)
    np.testing.assert_allclose(weight @ turns**2, 0.1**2, rtol=0.12)  # cut at 2.8 deviations
    assert offset @ np.asarray(poses.offsets) ** 2 == pytest.approx(4.0, rel=0.06)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-0.1, 0.1, 0.0, 1.0), "`angle`"), ((0.1, 0.0, 0.0, 1.0), "`angle_step`")],
)
def test_faults(arguments, message):
    with pytest.raises(ValueError, match=message):
        PoseGrid.normal(*arguments)


def test_gaussians_have_no_path():
    from cryojax_het.inference.free_energy.path_likelihood import PathLikelihood

    volume = Gaussians(positions=jnp.zeros((1, 3)), amplitudes=jnp.ones(1), widths=jnp.ones(1))
    model = ImageModel(volume, NOISE, KnownContrast(), GRID)
    with pytest.raises(ValueError, match="two conformations or more of 0 numbers"):
        PathLikelihood(model, jnp.zeros((3, 1)), KnownPose())
