"""The one place that knows how frequencies are ordered, scaled and counted.

Conventions (every other file relies on these and repeats none of them):

- lengths in Å, frequencies in 1/Å, angles in radians, coordinates ordered (x, y, z);
- images are `[y, x]`, volumes `[z, y, x]`; sizes are even; the centre is pixel `n // 2`;
- the transform is the continuous one, `F(k) = ∫ V(r) exp(-2πi k·r) dr`, phase origin at the centre;
- images live as `rfft2` half-planes `[n, n//2 + 1]`: `ky` in FFT order, `kx` from 0 to Nyquist;
- a rotation `R` takes the molecule's frame to the microscope's, `r_microscope = R r_molecule`; the
  image is the projection along z: its transform at `(kx, ky)` is the molecule's at `Rᵀ(kx, ky, 0)`;
- `shift` is where the particle is, from the box centre: the transform gains `exp(-2πi k·shift)`;
- a model signal exists only inside the Nyquist circle, `|k| < 1 / (2 pixel_size)`.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int


class FourierGrid(eqx.Module):
    """Half-plane of frequencies of a square image.

    - `size`: pixels per side `n`, even. Static: it fixes array shapes.
    - `pixel_size`: Å per pixel. An array: a new value never recompiles.

    Raises `ValueError` where `size` is odd or below 2.
    """

    size: int = eqx.field(static=True)
    pixel_size: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        if self.size < 2 or self.size % 2:
            raise ValueError(
                f"`size` must be an even number of pixels. Got {self.size}: pad or crop the images."
            )

    @property
    def length(self) -> Float[Array, ""]:
        """Side of the box, in Å; neighbouring frequencies differ by its inverse."""
        return self.size * self.pixel_size

    @property
    def kx(self) -> Float[Array, " x"]:
        """Frequencies along the half axis, in 1/Å, shape `[n//2 + 1]`."""
        return jnp.asarray(np.arange(self.size // 2 + 1), self.pixel_size.dtype) / self.length

    @property
    def ky(self) -> Float[Array, " y"]:
        """Frequencies along the full axis, in 1/Å, FFT order, shape `[n]`."""
        return jnp.asarray(row_numbers(self.size), self.pixel_size.dtype) / self.length

    def k_squared(self) -> Float[Array, "y x"]:
        """`|k|²` in 1/Å²."""
        return self.ky[:, None] ** 2 + self.kx**2

    def plane(self, rotation: Float[Array, "3 3"]) -> Float[Array, "y x 3"]:
        """Molecule-frame coordinates `Rᵀ(kx, ky, 0)` of the central slice, in 1/Å."""
        return self.kx[:, None] * rotation[0] + self.ky[:, None, None] * rotation[1]

    def weights(self) -> Float[Array, "y x"]:
        """How often each stored frequency counts in a sum over the full plane: 1 on the columns
        `kx = 0` and Nyquist, else 2; they add up to `n²`, the number of real pixels."""
        weights = np.full((self.size, self.size // 2 + 1), 2.0)
        weights[:, [0, -1]] = 1.0
        return jnp.asarray(weights, self.pixel_size.dtype)

    def shells(self) -> Int[np.ndarray, "y x"]:
        """Number of the shell, `round(|k| n pixel_size)`, of each frequency. A constant."""
        return np.rint(np.sqrt(_radius_squared(self.size))).astype(np.int32)

    def inside(self) -> Bool[np.ndarray, "y x"]:
        """Whether each frequency lies strictly inside the Nyquist circle. A constant."""
        return inside_circle(self.size)

    def to_image(self, transform: Complex[Array, "y x"]) -> Float[Array, "n n"]:
        """Real-space image of a half-plane; the density's unit times Å for a projection."""
        image = jnp.fft.irfft2(transform * self._centring(), s=(self.size, self.size))
        return image / self.pixel_size**2

    def from_image(self, image: Float[Array, "n n"]) -> Complex[Array, "y x"]:
        """Half-plane of a real-space image; the inverse of `to_image`."""
        return jnp.fft.rfft2(image) * self._centring() * self.pixel_size**2

    def crop(self, size: int) -> "FourierGrid":
        """The grid of the same box at `size` pixels: fewer frequencies, larger pixels."""
        if size > self.size:
            raise ValueError(f"`size` must not exceed the grid's {self.size}. Got {size}.")
        return FourierGrid(size, self.pixel_size * (self.size / size))

    def crop_transform(self, transform: Complex[Array, "y x"], size: int) -> Complex[Array, "v u"]:
        """The frequencies of `transform` that `crop(size)` holds; its Nyquist row and column are
        zero, since a half-plane of real pixels cannot hold one sign of them."""
        half = size // 2
        if size == self.size:
            return transform
        rows = jnp.concatenate([transform[:half], transform[-half:]])[:, : half + 1]
        return rows.at[half].set(0).at[:, half].set(0)

    def _centring(self):
        # A shift by n/2 pixels, on the frequency side: (-1)^(row + column) is a cheap product where
        # moving the pixels would be two more passes over memory.
        sign = 1 - 2 * ((np.arange(self.size)[:, None] + np.arange(self.size // 2 + 1)) % 2)
        return jnp.asarray(sign, self.pixel_size.dtype)


def row_numbers(size: int) -> Float[np.ndarray, " y"]:
    """`ky` of each row in steps of one over the box: 0, 1, ..., -n/2, ..., -1."""
    return np.fft.fftfreq(size, 1 / size)


def inside_circle(size: int) -> Bool[np.ndarray, "y x"]:
    """Whether each frequency of a half-plane lies strictly inside the Nyquist circle."""
    return _radius_squared(size) < (size // 2) ** 2


def _radius_squared(size):
    return row_numbers(size)[:, None] ** 2 + np.arange(size // 2 + 1) ** 2
