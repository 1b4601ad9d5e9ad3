"""From settings to pixels: the loader of a command's images, and the noise of their background."""

import jax.numpy as jnp
import numpy as np

from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..imaging.preparation import (
    AbstractPreparation,
    Invert,
    NormaliseBackground,
    Window,
    soft_disc,
)
from ..inference.noise_estimation import background_noise
from ..particles.loader import HostLatents, Loader, Pixels, Placement
from .image_settings import ImageSettings
from .reconstruct_data import Data


def particle_radius(config: ImageSettings, data: Data) -> float:
    """Of the particle, in stored pixels. `ValueError` where no background is left."""
    diameter = config.diameter or 0.9 * data.stored * data.pixel_size
    radius = diameter / 2 / data.pixel_size
    if not 2 <= radius < data.stored / 2:
        raise ValueError(
            f"`--diameter` must lie inside the box of {data.stored * data.pixel_size:g} Å, so that "
            f"some background is left. Got {diameter:g}."
        )
    return radius


def prepared_pixels(config: ImageSettings, data: Data, size: int) -> Pixels:
    """How stored pixels become transforms of `size` pixels."""
    radius = particle_radius(config, data)
    disc = jnp.asarray(soft_disc(data.stored, radius, 0.0))
    steps: list[AbstractPreparation] = [Invert()] if config.invert else []
    if config.normalise:
        steps.append(NormaliseBackground(1 - disc))
    if config.window:
        steps.append(Window(jnp.asarray(soft_disc(data.stored, radius, 5.0))))
    return Pixels(FourierGrid(data.stored, data.pixel_size), size, tuple(steps))


def pose_latents(data: Data) -> HostLatents:
    """Poses as the particle file has them."""
    particles = data.particles
    assert particles.rotation is not None  # `load_data` has seen to it
    shift = np.zeros((len(particles), 2)) if particles.shift is None else particles.shift
    return HostLatents.of_poses(particles.rotation, shift)


def image_loader(
    config: ImageSettings, data: Data, size: int, batch: int, placement: Placement
) -> Loader:
    """Batches of the command's images, `size` pixels, poses as given."""
    pixels = prepared_pixels(config, data, size)
    return Loader(data.source, pose_latents(data), pixels, batch, placement)


def initial_noise(config: ImageSettings, data: Data, pixels: Pixels) -> ColouredNoise:
    """The spectrum of the background, per optics group."""
    background = 1 - soft_disc(data.stored, particle_radius(config, data), 0.0)
    # The windowed region is constant: the noise is measured before the window.
    steps = tuple(step for step in pixels.steps if not isinstance(step, Window))
    bare = Pixels(pixels.grid, pixels.size, steps)
    return background_noise(data.source, bare, background, config.seed)
