"""What an encoder sees of an image: centred, phases put right, in units of its noise."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from ...imaging.image import translate
from .encoder import View


def prepared_image(view: View, grid: FourierGrid, size: int) -> Float[Array, "n n"]:
    """Pixels `[y, x]` of the image times the sign of its CTF, moved back by its shift, divided by
    its noise's amplitude in each shell and cropped to `size` pixels: of pure noise, 1 in each pixel
    on the average.
    """
    centred = translate(view.image, -view.start.shift, grid)
    if view.optics.beam_tilt is not None:
        centred = centred * jnp.conj(view.optics.tilt_phase(grid))
    upright = jnp.where(view.optics.ctf(grid) < 0, -1, 1)
    amplitude = jnp.sqrt(view.noise.variance(grid))
    inside = jnp.asarray(grid.inside(), amplitude.dtype)
    small = grid.crop(size)
    pixels = small.to_image(grid.crop_transform(centred * (upright * inside / amplitude), size))
    # A coefficient of variance 1 makes pixels of standard deviation size / length².
    return pixels * (small.length**2 / size)
