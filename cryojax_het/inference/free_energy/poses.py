"""The pose of an image within its likelihood: known, or integrated out about the one it came with.

`log ∫ p(y | R, t) p(R, t) dR dt` by a product rule: rotations `exp(ω) R₀` with `ω ~ N(0, σ_R²)`
along each axis of the microscope's frame (two tilts of the view, and the turn in the plane), shifts
`t₀ + d` with `d ~ N(0, σ_t²)`. Nodes are evenly spaced and weighted by the density there, to sum 1:
the trapezium rule, which for normal densities errs by `exp(-2π² σ²/step²)`, less than 1e-8 at
`step = σ`, as long as the likelihood is no narrower than the prior.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ...imaging import rotation as so3
from ...imaging.grid import FourierGrid
from ...imaging.image import Latents, render
from ...imaging.noise import AbstractGaussianNoise
from ...imaging.optics import Optics
from ...volumes.base import AbstractVolume
from .contrast import AbstractContrast

_REACH = 2.8  # deviations of the prior that nodes reach: 95 % of three dimensions, 99 % of one


class ImageModel(eqx.Module):
    """All that images of a path share: the prepared volume, noise, contrast and grid."""

    volume: AbstractVolume
    noise: AbstractGaussianNoise
    contrast: AbstractContrast
    grid: FourierGrid


class AbstractPoses(eqx.Module):
    """What is known of the pose of an image."""

    @abc.abstractmethod
    def log_likelihood(
        self,
        model: ImageModel,
        path: Float[Array, "m d"],
        image: Complex[Array, "y x"],
        latents: Latents,
        optics: Optics,
    ) -> Float[Array, " m"]:
        """`log p(y | x_m) - log p(y | 0)` of one image at each conformation of the path.

        `latents` are those that the image came with; their conformation is not looked at.
        """


class KnownPose(AbstractPoses):
    """Exactly the one that the image came with."""

    def log_likelihood(self, model, path, image, latents, optics):
        precision = model.noise.of_group(optics.group).precision(model.grid)

        def one(node):
            view = _rendered(model, node, latents, latents.rotation, optics)
            a = jnp.sum(precision * (view.real**2 + view.imag**2))
            b = jnp.sum(precision * (view.real * image.real + view.imag * image.imag))
            return model.contrast.gain(a, b, latents.contrast)

        return jax.vmap(one)(path)


class PoseGrid(AbstractPoses):
    """`Σ_r Σ_d w_r v_d p(y | exp(ω_r) R₀, t₀ + d)`, shifts along x and y alike.

    - `turns`: rotation vectors ω, radians; `log_turn`: logarithms of their weights, of sum 1;
    - `offsets`: of shifts along one axis, Å; `log_offset`: of their weights.
    """

    turns: Float[Array, "r 3"]
    log_turn: Float[Array, " r"]
    offsets: Float[Array, " s"]
    log_offset: Float[Array, " s"]

    @classmethod
    def normal(cls, angle: float, angle_step: float, shift: float, shift_step: float) -> "PoseGrid":
        """For normal errors of `angle` radians about each axis and `shift` Å along each.

        A width of 0 stands for what is known: one node. Steps are no larger than the widths.
        Raises `ValueError` for a negative width or a step that is not positive.
        """
        for name, value in (("angle", angle), ("shift", shift)):
            if not value >= 0:
                raise ValueError(f"`{name}` must be 0 or more. Got {value}.")
        for name, value in (("angle_step", angle_step), ("shift_step", shift_step)):
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Got {value}.")
        line = _nodes(angle, angle_step)
        cube = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
        ball = cube[np.linalg.norm(cube, axis=1) <= _REACH * angle + 1e-12]
        offsets = _nodes(shift, shift_step)
        return cls(
            turns=_real(ball),
            log_turn=_real(_log_weights(np.linalg.norm(ball, axis=1), angle)),
            offsets=_real(offsets),
            log_offset=_real(_log_weights(offsets, shift)),
        )

    def log_likelihood(self, model, path, image, latents, optics):
        precision = model.noise.of_group(optics.group).precision(model.grid)
        # exp(+2πi k d): a mean moved by d is compared with the image moved back.
        wave = lambda k: jnp.exp(2j * jnp.pi * self.offsets[:, None] * k)
        rows, columns = wave(model.grid.ky), wave(model.grid.kx).T
        log_offsets = self.log_offset[:, None] + self.log_offset

        def at(rotation, node):
            view = _rendered(model, node, latents, rotation, optics)
            a = jnp.sum(precision * (view.real**2 + view.imag**2))
            product = precision * view.conj() * image
            b = jnp.matmul(jnp.matmul(rows, product, precision="highest"), columns).real
            return jax.nn.logsumexp(model.contrast.gain(a, b, latents.contrast) + log_offsets)

        def step(total, turn):
            vector, log_weight = turn
            rotation = so3.exp(vector.astype(latents.rotation.dtype)) @ latents.rotation
            gains = jax.vmap(lambda node: at(rotation, node))(path)
            return jnp.logaddexp(total, log_weight + gains).astype(total.dtype), None

        start = jnp.full(len(path), -jnp.inf, precision.dtype)
        # One turn after another: memory does not grow with the number of poses.
        return jax.lax.scan(step, start, (self.turns, self.log_turn))[0]


def _rendered(model, node, latents, rotation, optics):
    """At contrast 1."""
    one = jnp.ones_like(latents.contrast)
    return render(model.volume, Latents(node, rotation, latents.shift, one), optics, model.grid)


def _nodes(width: float, step: float) -> Float[np.ndarray, " s"]:
    if width == 0:
        return np.zeros(1)
    step = min(step, width)
    reach = int(_REACH * width / step)
    return step * np.arange(-reach, reach + 1)


def _log_weights(distance: Float[np.ndarray, " s"], width: float) -> Float[np.ndarray, " s"]:
    if width == 0:
        return np.zeros(len(distance))
    density = np.exp(-0.5 * (distance / width) ** 2)
    return np.log(density / density.sum())


def _real(values):
    return jnp.asarray(values, jnp.result_type(float))
