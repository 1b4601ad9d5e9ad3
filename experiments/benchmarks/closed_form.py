"""A molecule of Gaussians in float64: its images and their derivatives, written independently.

NumPy only. The optics is written here a third time so that neither program is its own judge.
Batches are loops: this is the judge, not a contestant.
"""

from dataclasses import dataclass

import numpy as np

VOLTAGE_KV, CS_MM, AMPLITUDE_CONTRAST = 300.0, 2.7, 0.1
WAVELENGTH = 0.0196869701  # Å, at 300 kV


@dataclass(frozen=True)
class Plane:
    """An rfft2 half-plane of an image of `size` pixels of `pixel_size` Å."""

    size: int
    pixel_size: float

    @property
    def kx(self) -> np.ndarray:
        """1/Å, [1, n//2 + 1]."""
        return np.fft.rfftfreq(self.size, self.pixel_size)[None, :]

    @property
    def ky(self) -> np.ndarray:
        """1/Å, [n, 1]."""
        return np.fft.fftfreq(self.size, self.pixel_size)[:, None]

    def weights(self) -> np.ndarray:
        """How often a coefficient counts in the full plane; 0 beyond the Nyquist circle."""
        column = np.arange(self.size // 2 + 1)
        count = np.where((column == 0) | (column == self.size // 2), 1.0, 2.0)
        return np.where(self.kx**2 + self.ky**2 < (0.5 / self.pixel_size) ** 2, count, 0.0)

    def centring(self) -> np.ndarray:
        """±1: moves the phase origin between the corner and pixel n//2."""
        row, column = np.arange(self.size)[:, None], np.arange(self.size // 2 + 1)
        return 1 - 2 * ((row + column) % 2)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Continuous transform, origin at the centre pixel, of real images [..., y, x]."""
        return np.fft.rfft2(images) * self.centring() * self.pixel_size**2

    def image(self, transform: np.ndarray) -> np.ndarray:
        """Real images [..., y, x] of continuous transforms."""
        corner = transform * self.centring() / self.pixel_size**2
        return np.fft.irfft2(corner, s=(self.size, self.size))


def molecule_slice(positions, width, rotation, plane: Plane) -> np.ndarray:
    """Σ_j exp(-2π² σ² k²) exp(-2πi k·(R r_j)): [n, n//2 + 1]."""
    phase_y, phase_x = phases(positions @ rotation.T, plane)
    return envelope(width, plane) * (phase_y @ phase_x.T)


def phases(projected: np.ndarray, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    """exp(-2πi k_y y_j) [n, j] and exp(-2πi k_x x_j) [n//2 + 1, j]."""
    phase_y = np.exp(-2j * np.pi * plane.ky * projected[:, 1])
    return phase_y, np.exp(-2j * np.pi * plane.kx.T * projected[:, 0])


def envelope(width: float, plane: Plane) -> np.ndarray:
    """Transform of one Gaussian of standard deviation `width` Å and unit mass."""
    return np.exp(-2 * np.pi**2 * width**2 * (plane.kx**2 + plane.ky**2))


def transfer(defocus: float, shift: np.ndarray, plane: Plane) -> np.ndarray:
    """CTF (RELION's sign, no astigmatism) times the phase of a shift in Å: [n, n//2 + 1]."""
    k2 = plane.kx**2 + plane.ky**2
    chi = np.pi * WAVELENGTH * defocus * k2 - 0.5 * np.pi * CS_MM * 1e7 * WAVELENGTH**3 * k2**2
    ctf = np.sin(chi + np.arcsin(AMPLITUDE_CONTRAST))
    return ctf * np.exp(-2j * np.pi * (plane.kx * shift[0] + plane.ky * shift[1]))


def voxels(positions, width: float, plane: Plane) -> np.ndarray:
    """Density [z, y, x] of unit-mass Gaussians at the voxel centres (centre n//2)."""
    axis = (np.arange(plane.size) - plane.size // 2) * plane.pixel_size
    norm = 1 / np.sqrt(2 * np.pi * width**2)
    x, y, z = (
        norm * np.exp(-((axis[:, None] - positions[:, i]) ** 2) / (2 * width**2)) for i in range(3)
    )
    return np.stack([(y * row) @ x.T for row in z]).astype(np.float32)


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """exp of a rotation vector in radians (Rodrigues' formula): [3] -> [3, 3]."""
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def relative_error(got: np.ndarray, truth: np.ndarray, weights: np.ndarray | float = 1.0) -> float:
    """sqrt(Σ w |got - truth|² / Σ w |truth|²)."""
    difference = (weights * np.abs(got - truth) ** 2).sum()
    return float(np.sqrt(difference / (weights * np.abs(truth) ** 2).sum()))
