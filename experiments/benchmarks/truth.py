"""What each work should return, from the closed form in float64."""

from collections.abc import Callable

import numpy as np
from closed_form import (
    Plane,
    envelope,
    molecule_slice,
    phases,
    rotation_from_vector,
    transfer,
)

STEP_RADIANS, STEP_ANGSTROM = 1e-4, 1e-3


class Truth:
    """Reference outputs for the work of one box; each method returns one batch."""

    def __init__(self, work: dict[str, np.ndarray]):
        self.work = work
        self.plane = Plane(int(work["size"]), float(work["pixel_size"]))
        self.width, self.scale = float(work["width"]), float(work["scale"])
        self.observed = self.plane.transform(work["images"])
        # white noise of unit variance per pixel, in units of the continuous transform
        self.precision = self.plane.weights() / (self.plane.size * self.plane.pixel_size**2) ** 2

    def _each(self, function: Callable) -> np.ndarray:
        poses = zip(self.work["rotation"], self.work["shift"], self.work["defocus"], strict=True)
        return np.stack([function(i, *pose) for i, pose in enumerate(poses)])

    def _view(self, positions, rotation, shift, defocus):
        view = molecule_slice(positions, self.width, rotation, self.plane)
        return view * transfer(defocus, shift, self.plane)

    def slices(self) -> np.ndarray:
        """Projections without optics [b, y, x]."""
        molecule = self.work["molecule"]
        return self.scale * self._each(
            lambda i, r, s, d: molecule_slice(molecule, self.width, r, self.plane)
        )

    def images(self) -> np.ndarray:
        """With CTF and shift."""
        molecule = self.work["molecule"]
        return self.scale * self._each(lambda i, *pose: self._view(molecule, *pose))

    def gaussians(self) -> np.ndarray:
        """Images of the 2,000 unit-mass Gaussians."""
        return self._each(lambda i, *pose: self._view(self.work["atoms"], *pose))

    def _parts(self):
        parts = np.array_split(self.work["molecule"], self.work["latents"].shape[1])
        whole = [self.work["molecule"], *parts]
        return self.scale * self._each(
            lambda i, *pose: np.stack([self._view(p, *pose) for p in whole])
        )

    def linear(self) -> np.ndarray:
        """Images of mean + Σ z_k component_k."""
        parts = self._parts()
        return parts[:, 0] + np.einsum("bk,bkyx->byx", self.work["latents"], parts[:, 1:])

    def linear_gradient(self) -> np.ndarray:
        """∂(-log-likelihood)/∂z [b, K]."""
        parts = self._parts()
        image = parts[:, 0] + np.einsum("bk,bkyx->byx", self.work["latents"], parts[:, 1:])
        residual = self.precision * (image - self.observed)
        return np.einsum("byx,bkyx->bk", residual.conj(), parts[:, 1:]).real

    def pose_gradient(self) -> np.ndarray:
        """Central differences of the closed-form misfit: [b, 5], rad (left) then Å."""
        molecule = self.work["molecule"]

        def misfit(i, rotation, shift, defocus, move):
            turned = rotation_from_vector(move[:3]) @ rotation
            image = self.scale * self._view(molecule, turned, shift + move[3:], defocus)
            return 0.5 * (self.precision * np.abs(image - self.observed[i]) ** 2).sum()

        steps = np.diag([STEP_RADIANS] * 3 + [STEP_ANGSTROM] * 2)
        return self._each(
            lambda i, *pose: np.array(
                [(misfit(i, *pose, s) - misfit(i, *pose, -s)) / (2 * s.sum()) for s in steps]
            )
        )

    def gaussians_gradient(self) -> np.ndarray:
        """∂(-log-likelihood)/∂r_j summed over the batch [j, 3], in closed form."""
        atoms, total = self.work["atoms"], 0.0
        poses = zip(self.work["rotation"], self.work["shift"], self.work["defocus"], strict=True)
        for observed, (rotation, shift, defocus) in zip(self.observed, poses, strict=True):
            phase_y, phase_x = phases(atoms @ rotation.T, self.plane)
            factor = envelope(self.width, self.plane) * transfer(defocus, shift, self.plane)
            residual = self.precision * (factor * (phase_y @ phase_x.T) - observed)
            back = np.conj(residual) * factor * (-2j * np.pi)
            along_x = np.einsum("yj,yj->j", phase_y, (back * self.plane.kx) @ phase_x).real
            along_y = np.einsum("yj,yj->j", phase_y, (back * self.plane.ky) @ phase_x).real
            total = total + np.stack([along_x, along_y], axis=1) @ rotation[:2]
        return np.asarray(total)
