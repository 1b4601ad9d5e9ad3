"""Rotations on the host: RELION's Euler angles and cryoSPARC's rotation vectors as matrices.

The rotation of a particle is RELION's matrix `A(rot, tilt, psi) = Z(psi) Y(tilt) Z(rot)`, with
`Z(a) = [[cos a, sin a, 0], [-sin a, cos a, 0], [0, 0, 1]]` and
`Y(b) = [[cos b, 0, -sin b], [0, 1, 0], [sin b, 0, cos b]]`
(Heymann, Chagoyen & Belnap, J. Struct. Biol. 151 (2005) 196).
"""

import numpy as np
from jaxtyping import Float


def euler_to_matrix(degrees: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """`A(rot, tilt, psi)` of angles in degrees, one row (rot, tilt, psi) per particle."""
    a, b, g = np.deg2rad(np.asarray(degrees, np.float64)).T
    ca, cb, cg, sa, sb, sg = np.cos(a), np.cos(b), np.cos(g), np.sin(a), np.sin(b), np.sin(g)
    rows = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def matrix_to_euler(rotation: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3"]:
    """(rot, tilt, psi) in degrees, tilt in [0, 180]; `psi = 0` where tilt is 0 or 180, for there
    only psi + rot or psi - rot is defined."""
    r = np.asarray(rotation, np.float64)
    sine = np.hypot(r[:, 2, 0], r[:, 2, 1])
    pole = sine < 1e-9
    tilt = np.arctan2(sine, r[:, 2, 2])
    rot = np.arctan2(r[:, 2, 1], r[:, 2, 0])
    psi = np.arctan2(r[:, 1, 2], -r[:, 0, 2])
    # With psi = 0 the second row is (-sin rot, cos rot, 0) whatever the tilt.
    rot = np.where(pole, np.arctan2(-r[:, 1, 0], r[:, 1, 1]), rot)
    return np.rad2deg(np.stack([rot, tilt, np.where(pole, 0.0, psi)], axis=1))


def vector_to_matrix(vector: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """`exp([ω]×)`: rotation by `|ω|` radians about `ω` (Rodrigues)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.asarray(vector, np.float64)).as_matrix()


def matrix_to_vector(rotation: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3"]:
    """The vector `ω`, `|ω| <= π`, with `exp([ω]×) = R`."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(np.asarray(rotation, np.float64)).as_rotvec()
