"""A transform by a neural network of the frequency and the latent."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ..imaging.grid import FourierGrid
from .base import AbstractVolume
from .frequency_features import AbstractFrequencyFeatures, gaussian_features, width_of_radius
from .half_space import canonical, half_ball, half_circle, on_half_plane, on_half_space
from .matrix_products import AbstractProduct, FullProduct
from .point_groups import AbstractPointGroups, AllAtOnce, InGroups

_BALL_GROUP = 4096  # points of the ball that are evaluated together
_EXACT, _TOGETHER = FullProduct(), AllAtOnce()


class ResidualNetwork(nn.Module):
    """`h ← relu(h + W h + b)`, `depth` times, between a first layer and a last one.

    The first layer is split, `W (φ, z) = W_φ φ + W_z z`: what the latent adds is shared by all the
    points of an image. (Zhong et al. 2021, Nat. Methods 18: cryoDRGN's decoder.)
    """

    width: int
    depth: int
    inputs: tuple[int, int]  # features, latent
    outputs: int
    product: AbstractProduct
    dtype: Any

    def setup(self):
        features, latent = self.inputs
        first = _uniform(features + latent)
        self.first = self.param("first", first, (features, self.width), self.dtype)
        self.latent = self.param("latent", first, (latent, self.width), self.dtype)
        self.offset = self.param("offset", first, (self.width,), self.dtype)
        hidden, shape = _uniform(self.width), (self.depth, self.width)
        self.hidden = self.param("hidden", hidden, (*shape, self.width), self.dtype)
        self.offsets = self.param("offsets", hidden, shape, self.dtype)
        self.last = self.param("last", hidden, (self.width, self.outputs), self.dtype)
        self.end = self.param("end", hidden, (self.outputs,), self.dtype)

    def shared(self, latent: Float[Array, " d"]) -> Float[Array, " w"]:
        """What the latent adds to the first layer at every point."""
        return jnp.matmul(latent, self.latent, precision="highest") + self.offset

    def __call__(
        self, features: Float[Array, "p f"], shared: Float[Array, " w"]
    ) -> Float[Array, "p o"]:
        """The outputs at points of these features."""
        hidden = nn.relu(self.product(features, self.first) + shared)
        for kernel, offset in zip(self.hidden, self.offsets, strict=True):
            hidden = nn.relu(hidden + self.product(hidden, kernel) + offset)
        return self.product(hidden, self.last) + self.end


class NeuralField(AbstractVolume):
    """`F(k; z) = s(|k|) · (f_1 + i f_2)(φ(a k), z)`, `f` a residual perceptron, on one half of all
    frequencies, and the conjugate on the other.

    - `features`: `φ`; `network`, `parameters`: `f`;
    - `profile`: `s` at `j/(n a)`, `j = 0 ... n/2`, straight between, 0 beyond: density·Å³. The
      network's outputs are then of size 1 at all frequencies;
    - `spacing`: `a`, Å: the field ends at its Nyquist frequency;
    - `groups`: of points that are evaluated together.

    A slice costs one evaluation for each pair of opposite pixels of its circle. (Zhong et al.
    2021, Nat. Methods 18, whose field is real, the Hartley transform, and costs two.)
    """

    features: AbstractFrequencyFeatures
    parameters: dict[str, Any]
    profile: Float[Array, " s"]
    spacing: Float[Array, ""]
    network: ResidualNetwork = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)
    groups: AbstractPointGroups = _TOGETHER

    def slice(self, latent, rotation, grid):
        rows, columns = half_circle(grid.size)
        plane = grid.kx[columns, None] * rotation[0] + grid.ky[rows, None] * rotation[1]
        return on_half_plane(self._at(latent, plane * self.spacing, self.groups), grid.size)

    def density(self, latent, grid):
        points = jnp.asarray(half_ball(grid.size), grid.pixel_size.dtype) / grid.length
        groups = InGroups(_BALL_GROUP)
        values = self._at(latent, (points * self.spacing).astype(latent.dtype), groups)
        voxels = jnp.fft.irfftn(on_half_space(values, grid.size), s=(grid.size,) * 3)
        return jnp.fft.fftshift(voxels) / grid.pixel_size**3

    def prepare(self, grid):
        del grid
        return self

    def _at(self, latent, points, groups: AbstractPointGroups) -> Complex[Array, " p"]:
        """The transform at `points`, in cycles a pixel."""
        variables = {"params": self.parameters}
        shared = self.network.apply(variables, latent, method="shared")

        def parts(points):
            upper, sign = canonical(points)
            features = self.features.encode(upper).astype(self.profile.dtype)
            out = jnp.asarray(self.network.apply(variables, features, shared))
            strength = self._strength(points)
            # The mean of a real density is real.
            odd = jnp.where(jnp.any(points != 0, axis=1), sign, 0)
            return out * jnp.stack([strength, strength * odd], axis=1)

        found = groups.map(parts, points)
        return jax.lax.complex(found[:, 0], found[:, 1])

    def _strength(self, points):
        """`s(|k|)`, 0 outside the field's sphere."""
        last = len(self.profile) - 1
        square = jnp.sum(points**2, axis=1)
        # Twice guarded: the square root has no finite slope at the centre.
        radius = 2 * last * jnp.sqrt(jnp.where(square > 0, square, 1))
        radius = jnp.where(square > 0, radius, 0)
        below = jnp.clip(radius.astype(jnp.int32), 0, last - 1)
        ends = self.profile[below], self.profile[below + 1]
        strength = ends[0] + (radius - below) * (ends[1] - ends[0])
        return jnp.where(radius < last, strength, 0)


def neural_field(
    key: PRNGKeyArray,
    profile: Float[Array, " s"],
    spacing: Float[Array, ""],
    features: AbstractFrequencyFeatures,
    latent_size: int,
    layers: tuple[int, int] = (256, 3),
    product: AbstractProduct = _EXACT,
    groups: AbstractPointGroups = _TOGETHER,
) -> NeuralField:
    """One that is not trained yet.

    - `profile`, `spacing`, `features`, `groups`: as there; `profile_of` makes one of a map;
    - `layers`: width, and number of the residual ones; `product`: how exactly they multiply.
    """
    count = features.encode(jnp.zeros((1, 3), profile.dtype)).shape[1]
    network = ResidualNetwork(*layers, (count, latent_size), 2, product, profile.dtype)
    start = (jnp.zeros((1, count), profile.dtype), jnp.zeros(layers[0], profile.dtype))
    return NeuralField(
        features=features,
        parameters=dict(network.init(key, *start)["params"]),
        profile=profile,
        spacing=jnp.asarray(spacing, profile.dtype),
        network=network,
        latent_size=latent_size,
        groups=groups,
    )


def profile_of(
    voxels: Float[np.ndarray, "n n n"], spacing: float, floor: float = 1e-3
) -> Float[np.ndarray, " s"]:
    """Root mean square of the transform of a map, `spacing` Å apart, in each shell: density·Å³.

    At least `floor` of the largest, so that no shell is out of the network's reach.
    """
    n = len(voxels)
    power = np.abs(np.fft.rfftn(voxels) * spacing**3) ** 2
    k = np.fft.fftfreq(n, 1 / n)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(n // 2 + 1) ** 2)
    shell = np.rint(radius).astype(int).ravel()
    sums = np.bincount(shell, power.ravel()), np.bincount(shell)
    profile = np.sqrt(sums[0] / sums[1])[: n // 2 + 1]
    return np.maximum(profile, floor * profile.max()).astype(np.float32)


def _uniform(inputs):
    """As PyTorch begins a layer of so many inputs, which is what cryoDRGN's learning rate suits."""
    bound = 1 / np.sqrt(inputs)
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


def example(key, grid: FourierGrid) -> NeuralField:
    """One whose units are all at work, so that it is a sum of atoms, of which the latent moves
    weight to the centre: found by the law tests. Networks at large have no sharp box."""
    kind = grid.pixel_size.dtype
    radius = jnp.linspace(0, 1, 98, dtype=kind)  # bends between the frequencies of a grid
    features = gaussian_features(key, grid.size, width_of_radius(0.15), 6)
    features = eqx.tree_at(lambda f: f.pitches, features, features.pitches.astype(kind))
    profile = 100 * jnp.exp(-7 * radius**2)
    field = neural_field(key, profile, grid.pixel_size, features, 2, (12, 2), groups=InGroups(50))
    # Sines and cosines stay apart: the real part is even, the imaginary one odd.
    even = jnp.arange(12) >= 6
    apart = even[:, None] == even
    given = field.parameters
    made = {
        **given,
        "first": jnp.eye(12, dtype=kind),
        "latent": given["latent"] * even,
        "offset": given["offset"] + 4,
        "hidden": given["hidden"] * apart,
        "offsets": given["offsets"] + 4,
        "last": given["last"] * jnp.stack([even, ~even], axis=1),
    }
    nothing = field.network.apply(
        {"params": {**made, "end": 0 * given["end"]}}, jnp.zeros((1, 12), kind), made["offset"]
    )
    return eqx.tree_at(lambda f: f.parameters, field, {**made, "end": -jnp.asarray(nothing)[0]})
