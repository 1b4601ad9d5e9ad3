"""The rigid motion that brings one set of points onto another."""

import numpy as np
from jaxtyping import Float


def superposition(
    moving: Float[np.ndarray, "j 3"], target: Float[np.ndarray, "j 3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
    """Rotation `R` and translation `t` of least `Σ_j |R moving_j + t - target_j|²`.

    Kabsch 1976, Acta Cryst. A32.
    """
    here, there = moving.mean(axis=0), target.mean(axis=0)
    left, _, right = np.linalg.svd((target - there).T @ (moving - here))
    sign = np.sign(np.linalg.det(left @ right))
    rotation = left @ np.diag([1.0, 1.0, sign]) @ right
    return rotation, there - rotation @ here


def superposed(
    frames: Float[np.ndarray, "f j 3"], target: Float[np.ndarray, "j 3"]
) -> Float[np.ndarray, "f j 3"]:
    """Every frame moved rigidly onto `target`."""
    moved = np.empty_like(frames)
    for number, frame in enumerate(frames):
        rotation, shift = superposition(frame, target)
        moved[number] = frame @ rotation.T + shift
    return moved
