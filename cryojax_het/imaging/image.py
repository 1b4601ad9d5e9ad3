"""Eq. 1: what is unknown about one particle, what is known about its image, and `render`."""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from .grid import FourierGrid
from .optics import Optics


class Latents(eqx.Module):
    """Everything inferred per image, as one pytree. A leading axis means a batch."""

    conformation: Float[Array, "*b d"]
    rotation: Float[Array, "*b 3 3"]
    shift: Float[Array, "*b 2"]  # Å, (x, y)
    contrast: Float[Array, "*b"]


class Batch(eqx.Module):
    """What the loader hands to the device: images and all that is known of each.

    The rows of the latent table travel with their images and are written back by `index`; no
    device ever holds the whole table. Rows of weight 0 pad a short last batch, so that every
    batch has one shape and is compiled once.
    """

    images: Complex[Array, "b y x"]
    optics: Optics
    latents: Latents
    index: Int[Array, " b"]
    weight: Float[Array, " b"]


@runtime_checkable  # so that run-time type checks accept it as a hint
class Sliceable(Protocol):
    """Whatever has central slices; every volume does."""

    def slice(self, latent: Array, rotation: Array, grid: FourierGrid) -> Array:
        """Transform of the projection seen under `rotation`, as a half-plane `[y, x]`."""
        ...


def translate(
    transform: Complex[Array, "y x"], shift: Float[Array, "2"], grid: FourierGrid
) -> Complex[Array, "y x"]:
    """The transform of an image moved by `shift` Å: times `exp(-2πi k·shift)`."""
    return transform * plane_wave(shift, grid)


def render(
    volume: Sliceable, latents: Latents, optics: Optics, grid: FourierGrid
) -> Complex[Array, "y x"]:
    """The noiseless transform of one image, `s C S(t) P R V(z)`; batch with `jax.vmap`.

    Returns a half-plane in the density's unit times Å³.
    """
    view = volume.slice(latents.conformation, optics.frame(latents.rotation), grid)
    wave = plane_wave(latents.shift, grid)
    if optics.beam_tilt is not None:
        wave = wave * optics.tilt_phase(grid)
    weight = latents.contrast * optics.ctf(grid)
    # In real numbers: a real factor of a complex array would be promoted, and cost three times as
    # many operations.
    real = weight * (view.real * wave.real - view.imag * wave.imag)
    return jax.lax.complex(real, weight * (view.real * wave.imag + view.imag * wave.real))


def plane_wave(shift: Float[Array, "2"], grid: FourierGrid) -> Complex[Array, "y x"]:
    """`exp(-2πi k·shift)`, `shift` in Å."""
    # It splits over the axes: n + n/2 sines and cosines instead of n²/2.
    x = jnp.exp(-2j * jnp.pi * grid.kx * shift[0])
    y = jnp.exp(-2j * jnp.pi * grid.ky * shift[1])
    return y[:, None] * x
