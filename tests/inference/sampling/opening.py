"""A molecule of twenty Gaussians with pairs that open along a mode: nearly the same at z and -z."""

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussian_mixture import GaussianMixture
from cryojax_het.volumes.normal_modes import NormalModes

PAIRS = 4


def opening(asymmetry):
    """Pairs lie on one another at z = 0 and part along x by 10 Å per unit; one of each pair is
    heavier by `asymmetry`, which tells z from -z."""
    rng = np.random.default_rng(2)
    body, place = rng.normal(0, 7, (20 - 2 * PAIRS, 3)), rng.normal(0, 8, (PAIRS, 3))
    heavy = 100 * (1 + asymmetry)
    amplitudes = np.r_[np.linspace(60, 140, len(body)), [heavy] * PAIRS, [100.0] * PAIRS]
    reference = GaussianMixture(
        positions=jnp.asarray(np.concatenate([body, place, place])),
        amplitudes=jnp.asarray(amplitudes),
        widths=jnp.array([6.0]),
        sizes=(20,),
    )
    vectors = np.zeros((1, 20, 3))
    vectors[0, len(body) : -PAIRS, 0], vectors[0, -PAIRS:, 0] = 5, -5
    return DisplacedMixture(reference, NormalModes(jnp.asarray(vectors)))


def images_of(tiny, volume, conformation, noise):
    """An image of each of `conformation` `[b, 1]`, turned about the beam; latents start at 0."""
    count = len(conformation)
    turns = jnp.zeros((count, 3)).at[:, 2].set(jnp.linspace(0, 3, count))
    latents = Latents(
        conformation, jax.vmap(so3.exp)(turns), jnp.zeros((count, 2)), jnp.ones(count)
    )
    optics = tiny.optics(count)

    @jax.jit
    @jax.vmap
    def image(latents, optics, key):
        clean = render(volume, latents, optics, tiny.grid)
        return noise.of_group(optics.group).sample(key, clean, tiny.grid)

    images = image(latents, optics, jax.random.split(jax.random.key(5), count))
    start = Latents(jnp.zeros_like(conformation), latents.rotation, latents.shift, latents.contrast)
    return Batch(images, optics, start, jnp.arange(count), jnp.ones(count))
