"""What the microscope does: contrast transfer, envelope, beam tilt, magnification."""

from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from .grid import FourierGrid


def electron_wavelength(voltage):
    """Relativistic wavelength, in Å, of electrons at `voltage` kV.

    `λ = 12.2639 / sqrt(U + 0.97845e-6 U²)`, U in volts; the constants are those of RELION.
    """
    volts = voltage * 1e3
    return 12.2639 / np.sqrt(volts * (1 + 0.97845e-6 * volts))


class Optics(eqx.Module):
    """All that is known per image about the microscope. A leading axis means a batch.

    With `k' = M k` the true frequency, `χ = πλ Δf(k') k'² - (π/2) Cs λ³ k'⁴ + φ + asin(w)` and

        transfer(k) = scale · exp(-B k'²/4) · sin χ · exp(-2πi Cs λ² k'² k'·tilt)

    which is RELION's sign: positive at low frequency for a bright protein, underfocus positive.
    `beam_tilt` and `magnification` are None where no image of the data set has any, so that
    nothing is spent on them.
    """

    defocus_u: Float[Array, "*b"]  # Å, along the astigmatism axis
    defocus_v: Float[Array, "*b"]  # Å, across it
    astigmatism_angle: Float[Array, "*b"]  # radians, from x towards y
    wavelength: Float[Array, "*b"]  # Å
    spherical_aberration: Float[Array, "*b"]  # Å
    amplitude_contrast: Float[Array, "*b"]  # fraction w, 0 to 1
    phase_shift: Float[Array, "*b"]  # radians
    b_factor: Float[Array, "*b"]  # Å²
    scale: Float[Array, "*b"]
    group: Int[Array, "*b"]  # optics group, for the noise
    beam_tilt: Float[Array, "*b 2"] | None = None  # radians, (x, y)
    magnification: Float[Array, "*b 2 2"] | None = None  # M of RELION's rlnMagMat

    @classmethod
    def ideal(cls) -> "Optics":
        """One image of a perfect microscope: the transfer is 1 at every frequency."""
        zero, one = jnp.zeros(()), jnp.ones(())
        return cls(zero, zero, zero, one, zero, one, zero, zero, one, jnp.zeros((), jnp.int32))

    @classmethod
    def from_columns(cls, columns: Mapping[str, np.ndarray]) -> "Optics":
        """From per-image columns named as the fields, with `voltage` in kV and
        `spherical_aberration` in mm as files have them."""
        direct = ("defocus_u", "defocus_v", "astigmatism_angle", "amplitude_contrast")
        direct += ("phase_shift", "b_factor", "scale", "beam_tilt", "magnification")
        return cls(
            wavelength=_real(electron_wavelength(np.asarray(columns["voltage"]))),
            spherical_aberration=_real(np.asarray(columns["spherical_aberration"]) * 1e7),
            group=_as(columns["group"], np.int32),
            **{name: _real(columns[name]) for name in direct if columns.get(name) is not None},
        )

    def frame(self, rotation: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
        """What to slice with: `L` with `Lᵀ(kx, ky, 0) = Rᵀ M (kx, ky, 0)`; `R` if M is None."""
        if self.magnification is None:
            return rotation
        return jnp.concatenate([self.magnification.T @ rotation[:2], rotation[2:]])

    def ctf(self, grid: FourierGrid) -> Float[Array, "y x"]:
        """The real factors of the transfer: scale, envelope and `sin χ` (one image)."""
        kx, ky = self._true_frequency(grid)
        x2, y2, xy = kx * kx, ky * ky, kx * ky
        k2 = x2 + y2
        # Δf k² from the two principal defoci; no angle of k, whose gradient is NaN at k = 0.
        mean, half = (self.defocus_u + self.defocus_v) / 2, (self.defocus_u - self.defocus_v) / 2
        cosine, sine = jnp.cos(2 * self.astigmatism_angle), jnp.sin(2 * self.astigmatism_angle)
        defocus_k2 = mean * k2 + half * (cosine * (x2 - y2) + 2 * sine * xy)
        chi = (
            jnp.pi
            * self.wavelength
            * (defocus_k2 - 0.5 * self.spherical_aberration * self.wavelength**2 * k2 * k2)
        )
        constant = self.phase_shift + jnp.arcsin(self.amplitude_contrast)
        return self.scale * jnp.exp(-self.b_factor / 4 * k2) * jnp.sin(chi + constant)

    def transfer(self, grid: FourierGrid) -> Float[Array, "y x"] | Complex[Array, "y x"]:
        """The whole factor on the transform of the projection; complex where beams are tilted."""
        return self.ctf(grid) if self.beam_tilt is None else self.ctf(grid) * self.tilt_phase(grid)

    def tilt_phase(self, grid: FourierGrid) -> Complex[Array, "y x"]:
        """`exp(-2πi Cs λ² k'² k'·tilt)`, for optics that have a beam tilt."""
        if self.beam_tilt is None:
            raise ValueError("`tilt_phase` needs optics with a `beam_tilt`; these have None.")
        kx, ky = self._true_frequency(grid)
        along = (kx * kx + ky * ky) * (kx * self.beam_tilt[0] + ky * self.beam_tilt[1])
        phase = -2 * jnp.pi * self.spherical_aberration * self.wavelength**2 * along
        return jnp.exp(1j * phase)

    def _true_frequency(self, grid):
        kx, ky = grid.kx[None, :], grid.ky[:, None]
        if self.magnification is None:
            return kx, ky
        m = self.magnification
        return m[0, 0] * kx + m[0, 1] * ky, m[1, 0] * kx + m[1, 1] * ky


def _real(column):
    return _as(column, jnp.result_type(float))


def _as(column, dtype):
    # Converted here: a device would need a program for it, and does so batch by batch.
    return jnp.asarray(np.asarray(column, dtype))
