"""Images of the rods off their centres."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import translate


@pytest.fixture(scope="session")
def shifted(rod_images):
    """Eight of them, with shifts that their latents tell."""
    few = rod_images.take(np.arange(8))
    shift = jnp.tile(jnp.array([[6.0, -12.0]]), (8, 1))
    images = jax.vmap(lambda i, t: translate(i, t, rod_images.grid))(few.images, shift)
    return eqx.tree_at(lambda b: (b.images, b.latents.shift), few, (images, shift))
