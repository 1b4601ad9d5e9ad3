"""Modes of the posterior against closed forms and integrals on a grid; calibration."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import ColouredNoise, WhiteNoise
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton
from cryojax_het.inference.posteriors.unknowns import ConformationAlone
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussian_mixture import GaussianMixture
from cryojax_het.volumes.linear import LinearVolume
from cryojax_het.volumes.rigid_segments import RigidSegments
from cryojax_het.volumes.segments import HardSegments
from cryojax_het.volumes.skinning import LinearMotions
from cryojax_het.volumes.voxels import Voxels

PRIOR = LocalPrior(np.deg2rad(3.0), 1.0, 1.0, 0.1)
KEY = jax.random.key(0)


def machine(turns):
    """A body, and an arm of twelve Gaussians along x that turns about its middle: by rotation
    vectors `turns` `[d, 3]` per unit of the latent."""
    rng = np.random.default_rng(3)
    body = rng.normal(0, 7, (20, 3)) - np.array([8.0, 3.0, 0.0])
    arm = np.stack([np.linspace(-14, 14, 12) + 6, np.full(12, 14.0), np.zeros(12)], axis=1)
    reference = GaussianMixture(
        positions=jnp.asarray(np.concatenate([body, arm])),
        amplitudes=jnp.concatenate([jnp.linspace(60.0, 140.0, 20), jnp.linspace(100.0, 150.0, 12)]),
        widths=jnp.array([6.0]),
        sizes=(32,),
    )
    turns = jnp.asarray(turns)
    both = jnp.stack([jnp.zeros_like(turns), turns], axis=1)
    segments = HardSegments(jnp.repeat(jnp.arange(2), np.array([20, 12])), 2)
    return DisplacedMixture(reference, RigidSegments(segments, LinearMotions(both, 0 * both)))


def with_images(tiny, volume, latents, noise):
    """Images of `latents` seen with the optics of `tiny`."""
    count = len(latents.contrast)
    optics = tiny.optics(count)
    clean = jax.jit(jax.vmap(lambda l, o: render(volume, l, o, tiny.grid)))(latents, optics)
    keys = jax.random.split(jax.random.key(5), count)
    draw = lambda key, mean, o: noise.of_group(o.group).sample(key, mean, tiny.grid)
    images = jax.jit(jax.vmap(draw))(keys, clean, optics)
    return Batch(images, optics, latents, jnp.arange(count), jnp.ones(count))


@eqx.filter_jit
def modes(method, volume, noise, prior, batch, grid):
    return method.modes(volume, noise, prior, batch, grid)


def log_joint(volume, noise, prior, batch, grid, conformations):
    """`log p(y, z)` of each image at each of `conformations` `[c, d]`, all else as given."""

    def one(image, start, optics, z):
        latents = eqx.tree_at(lambda t: t.conformation, start, z)
        likelihood = noise.of_group(optics.group).log_prob(
            image, render(volume, latents, optics, grid), grid
        )
        return likelihood + prior.log_prob(latents, start)

    every = jax.vmap(jax.vmap(one, (None, None, None, 0)), (0, 0, 0, None))
    return np.asarray(jax.jit(every)(batch.images, batch.latents, batch.optics, conformations))


# A linear volume: normal in closed form.


@pytest.fixture(scope="module")
def linear(tiny):
    rng = np.random.default_rng(4)
    each = jnp.asarray(rng.normal(size=(4, 16, 16, 16))) * np.hanning(16)[:, None, None]
    voxels = lambda v: Voxels(voxels=v, spacing=4.0)
    mean, components = voxels(each[0]), jax.vmap(voxels)(0.4 * each[1:])
    volume = LinearVolume(mean=mean, components=components, latent_size=3)
    latents = tiny.latents(6)
    drawn = jax.random.normal(jax.random.key(1), (6, 3))
    latents = eqx.tree_at(lambda t: t.conformation, latents, drawn)
    noise = WhiteNoise(3e4)
    return volume, noise, with_images(tiny, volume, latents, noise)


def test_a_linear_volume_has_its_closed_form(tiny, linear):
    """`y = m + W z + ε`: mean and covariance, and the evidence of a normal vector."""
    volume, noise, batch = linear
    method = GaussNewton(ConformationAlone(), starts=4, steps=6)
    found = modes(method, volume, noise, PRIOR, batch, tiny.grid)
    own = jax.jit(lambda l, o: render(volume, l, o, tiny.grid))
    for i in range(6):
        latents = jax.tree.map(lambda x, i=i: x[i], batch.latents)
        optics = jax.tree.map(lambda x, i=i: x[i], batch.optics)
        at = lambda z, l=latents, o=optics: np.asarray(
            noise.whiten(
                own(eqx.tree_at(lambda t: t.conformation, l, jnp.asarray(z)), o), tiny.grid
            )
        )
        m = at(np.zeros(3))
        w = np.stack([at(e) - m for e in np.eye(3)], axis=1)
        y = np.asarray(noise.whiten(batch.images[i], tiny.grid))
        covariance = np.linalg.inv(np.eye(3) + w.T @ w)
        mean = covariance @ w.T @ (y - m)
        # A descent rests where a whole step promises less than 1e-5 nats: ½ |away|² in widths.
        away = found.latents.conformation[i, 0] - mean
        assert 0.5 * away @ np.linalg.inv(covariance) @ away < 1e-5
        np.testing.assert_allclose(found.covariance[i, 0], covariance, atol=1e-8)
        # All other starts came to the same place.
        assert np.isneginf(found.log_evidence[i, 1:]).all()
        log_prior_rest = float(PRIOR.log_prob(latents, latents)) - float(
            multivariate_normal.logpdf(np.asarray(latents.conformation), np.zeros(3))
        )
        r = y - m
        gain = 0.5 * r @ w @ mean + 0.5 * np.linalg.slogdet(covariance)[1]
        empty = float(noise.log_prob(batch.images[i], batch.images[i], tiny.grid)) - 0.5 * r @ r
        expected = empty + gain + log_prior_rest
        assert float(found.log_evidence[i, 0]) == pytest.approx(expected, abs=1e-6)


# Two modes: an arm that turns about an axis across the beam looks the same at z and at -z.


def turning_images(tiny, power):
    """Six, in noise of that power; the volume, the noise, and the images with no conformation."""
    volume = machine([[0.0, 0.8, 0.0]])
    tilts = np.array([0.0, 0.0, 0.04, 0.08, -0.03, 0.15])
    latents = Latents(
        jnp.array([[0.9], [1.3], [0.8], [-1.1], [1.0], [0.9]]),
        jax.vmap(so3.exp)(jnp.stack([0 * tilts, tilts, 0 * tilts], axis=1)),
        jnp.zeros((6, 2)),
        jnp.ones(6),
    )
    noise = ColouredNoise(jnp.full((2, 9), power))
    batch = with_images(tiny, volume, latents, noise)
    return volume, noise, eqx.tree_at(lambda b: b.latents.conformation, batch, jnp.zeros((6, 1)))


@pytest.fixture(scope="module")
def turning(tiny):
    return turning_images(tiny, 30.0)


def test_modes_are_found_with_their_shares(tiny):
    """In noise so weak that each mode is nearly normal, as Laplace's approximation has it."""
    volume, noise, batch = turning_images(tiny, 0.5)
    method = GaussNewton(ConformationAlone(), starts=8, steps=20)
    found = modes(method, volume, noise, PRIOR, batch, tiny.grid)
    z = np.linspace(-4, 4, 1001)
    log_p = log_joint(volume, noise, PRIOR, batch, tiny.grid, jnp.asarray(z[:, None]))
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    evidence = np.log(p.sum(axis=1) * (z[1] - z[0])) + log_p.max(axis=1)
    p /= p.sum(axis=1, keepdims=True)
    weight = np.exp(np.asarray(found.hypotheses().log_weight))
    place = np.asarray(found.latents.conformation[..., 0])
    # Every end that counts is a maximum of the density itself; one is on either side.
    inner = (p[:, 1:-1] > p[:, :-2]) & (p[:, 1:-1] > p[:, 2:])
    for row, (own, counts) in enumerate(zip(place, np.isfinite(found.log_evidence), strict=True)):
        peaks = z[1:-1][inner[row]]
        own = own[counts & (np.abs(own) < z[-1])]
        assert np.abs(peaks[:, None] - own).min(axis=0).max() < 0.02
        assert 2 <= len(own) <= len(peaks)
    assert (place[:, 0] * place[:, 1] < 0).all()
    # Each side of 0 against the integral over it: share, mean and width.
    for side in (-1, 1):
        half = p * (side * z > 0)
        share = half.sum(axis=1)
        mean = (half @ z) / share
        width = np.sqrt((half @ z**2) / share - mean**2)
        own = weight * (place * side > 0)
        np.testing.assert_allclose(own.sum(axis=1), share, atol=0.03)
        own /= own.sum(axis=1, keepdims=True)
        middle = (own * place).sum(axis=1)
        np.testing.assert_allclose(middle, mean, atol=0.1 * width.max())
        square = (own * (found.covariance[..., 0, 0] + place**2)).sum(axis=1)
        np.testing.assert_allclose(np.sqrt(square - middle**2), width, rtol=0.1)
    total = jax.nn.logsumexp(found.log_evidence, axis=1)
    np.testing.assert_allclose(total, evidence, atol=0.05)
    mean, covariance = found.hypotheses().moments()
    np.testing.assert_allclose(mean[:, 0], p @ z, atol=0.05)
    np.testing.assert_allclose(
        covariance[:, 0, 0], p @ z**2 - (p @ z) ** 2, atol=0.02 * (p @ z**2).max()
    )


def test_symmetric_modes_share_evenly_and_draws_visit_both(tiny, turning):
    volume, noise, batch = turning
    method = GaussNewton(ConformationAlone(), starts=8, steps=20)
    belief = modes(method, volume, noise, PRIOR, batch, tiny.grid).hypotheses()
    np.testing.assert_allclose(np.exp(belief.log_weight[:2, :2]), 0.5, atol=1e-6)
    draws = jax.vmap(lambda k: belief.sample(k).conformation[:2, 0])(jax.random.split(KEY, 400))
    assert ((np.asarray(draws) > 0).mean(axis=0) > 0.4).all()
    assert ((np.asarray(draws) > 0).mean(axis=0) < 0.6).all()
    mean, covariance = belief.moments()
    np.testing.assert_allclose(np.asarray(draws).mean(axis=0), mean[:2, 0], atol=0.2)
    np.testing.assert_allclose(np.asarray(draws).var(axis=0), covariance[:2, 0, 0], rtol=0.1)


# Calibration: all latents drawn from the prior, all inferred.

PART = 50  # images at a time: one compilation for all that follows


@pytest.fixture(scope="module")
def swinging(tiny):
    """300 images over the whole of SO(3) of an arm that turns about two axes across it."""
    count = 300
    volume = machine([[0.0, 0.0, 0.35], [0.0, 0.25, 0.0]])
    noise = ColouredNoise(jnp.full((2, 9), 8.0))
    keys = jax.random.split(jax.random.key(11), 4)
    given = dataclasses.replace(
        tiny.latents(count), conformation=jnp.zeros((count, 2)), contrast=jnp.ones(count)
    )
    turn = PRIOR.angle * jax.random.normal(keys[0], (count, 3))
    truth = Latents(
        jax.random.normal(keys[1], (count, 2)),
        jax.vmap(so3.exp)(turn) @ given.rotation,
        given.shift + PRIOR.shift * jax.random.normal(keys[2], (count, 2)),
        1 + PRIOR.contrast_width * jax.random.normal(keys[3], (count,)),
    )
    batch = with_images(tiny, volume, truth, noise)
    return volume, noise, truth, eqx.tree_at(lambda b: b.latents, batch, given)


def all_modes(volume, noise, batch, grid):
    """Modes of everything, `PART` images at a time."""
    method = GaussNewton(starts=5, steps=15)
    parts = [
        modes(method, volume, noise, PRIOR, part_of(batch, slice(i, i + PART)), grid)
        for i in range(0, len(batch.weight), PART)
    ]
    return jax.tree.map(lambda *each: jnp.concatenate(each), *parts)


def part_of(batch, rows):
    return jax.tree.map(lambda x: x[rows], batch)


def test_prior_widths_are_the_units_but_change_nothing_else(tiny, swinging):
    """A Gaussian prior on everything and no image: the prior itself comes back."""
    volume, _, _, batch = swinging
    silent = ColouredNoise(jnp.full((2, 9), 1e30))
    batch = part_of(batch, slice(PART))
    away = (jnp.full((PART, 2), 0.7), jnp.full(PART, 1.2))
    batch = eqx.tree_at(lambda b: (b.latents.conformation, b.latents.contrast), batch, away)
    found = all_modes(volume, silent, batch, tiny.grid)
    widths = np.r_[1, 1, [np.deg2rad(3.0)] * 3, 1.0, 1.0, 0.1]
    np.testing.assert_allclose(
        found.covariance[:, 0], np.broadcast_to(np.diag(widths**2), (PART, 8, 8)), atol=1e-9
    )
    # Each rests where a whole step promises less than 1e-5 nats.
    away = np.sum(found.latents.conformation[:, 0] ** 2, axis=1)
    away += ((found.latents.contrast[:, 0] - 1) / 0.1) ** 2
    assert (0.5 * away < 1e-5).all()


@pytest.mark.xfail(
    strict=True,
    reason="z-scores spread by 1.19: posteriors of wide motions are not normal about their modes. "
    "16 starts and 40 steps find the same modes; the truth is up to 6 widths away along ridges",
)
def test_z_scores_are_standard_normal(tiny, swinging):
    """Conformation, pose, shift and contrast of every image."""
    volume, noise, truth, batch = swinging
    found = all_modes(volume, noise, batch, tiny.grid)
    mean, covariance = found.hypotheses().moments()
    width = np.sqrt(np.asarray(jax.vmap(jnp.diagonal)(covariance)))
    z = np.asarray(truth.conformation - mean) / width
    certain = width < 0.5
    assert certain.mean() > 0.5
    assert 0.9 < z[certain].std() < 1.1
    assert abs(z[certain].mean()) < 0.1
    assert abs((np.abs(z[certain]) < 1.645).mean() - 0.9) < 0.03
    # The other unknowns, at the weightiest mode.
    best = jax.tree.map(lambda x: x[:, 0], found.latents)
    unit = np.sqrt(np.asarray(jax.vmap(jnp.diagonal)(found.covariance[:, 0])))
    errors = {
        "turn": np.asarray(jax.vmap(so3.log)(truth.rotation @ best.rotation.mT)) / unit[:, 2:5],
        "shift": np.asarray(truth.shift - best.shift) / unit[:, 5:7],
        "contrast": np.asarray(truth.contrast - best.contrast) / unit[:, 7],
    }
    for name, score in errors.items():
        assert 0.9 < score.std() < 1.1, name


# Mechanics.


def test_one_compilation_serves_every_batch_and_pixel_size(tiny, turning):
    volume, noise, batch = turning
    traces = []

    @eqx.filter_jit
    def infer(batch, grid):
        traces.append(1)
        method = GaussNewton(ConformationAlone(), starts=2, steps=2)
        return method.infer(KEY, volume, noise, PRIOR, batch, grid)

    infer(batch, tiny.grid)
    infer(eqx.tree_at(lambda b: b.images, batch, 2 * batch.images), FourierGrid(16, 4.3))
    assert len(traces) == 1
