"""SO(3): exponential map, quaternions, RELION's Euler angles, Haar samples and uniform grids.

All functions treat one rotation (batch with `jax.vmap`), except the two that make grids.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


def skew(vector: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """`[ω]×`, the matrix with `[ω]× v = ω × v`."""
    x, y, z = vector
    zero = jnp.zeros_like(x)
    return jnp.stack([jnp.stack([zero, -z, y]), jnp.stack([z, zero, -x]), jnp.stack([-y, x, zero])])


def exp(vector: Float[Array, "3"]) -> Float[Array, "3 3"]:
    """Rotation by `|ω|` radians about `ω` (Rodrigues); smooth, with finite gradients, at zero."""
    theta2 = vector @ vector
    small = theta2 < 1e-6
    safe = jnp.where(small, 1.0, theta2)
    theta = jnp.sqrt(safe)
    sine = jnp.where(small, 1 - theta2 / 6 + theta2**2 / 120, jnp.sin(theta) / theta)
    # 1 - cos θ as 2 sin²(θ/2): small angles keep their digits, and derivatives theirs.
    half = 2 * jnp.sin(theta / 2) ** 2 / safe
    cosine = jnp.where(small, 0.5 - theta2 / 24 + theta2**2 / 720, half)
    cross = skew(vector)
    return jnp.eye(3, dtype=vector.dtype) + sine * cross + cosine * cross @ cross


def log(rotation: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """The vector `ω`, `|ω| <= π`, with `exp(ω) = R`. Exact near π too."""
    quaternion = to_quaternion(rotation)
    w, xyz = quaternion[0], quaternion[1:]
    norm2 = xyz @ xyz
    small = norm2 < 1e-12
    norm = jnp.sqrt(jnp.where(small, 1.0, norm2))
    return xyz * jnp.where(small, 2.0, 2 * jnp.arctan2(norm, w) / norm)


def geodesic(a: Float[Array, "3 3"], b: Float[Array, "3 3"]) -> Float[Array, ""]:
    """Angle of `aᵀ b` in radians, from 0 to π, accurate at both ends."""
    return jnp.linalg.norm(log(a.T @ b))


def from_quaternion(quaternion: Float[Array, "4"]) -> Float[Array, "3 3"]:
    """Rotation of a quaternion (w, x, y, z) of any nonzero norm."""
    w, x, y, z = quaternion / jnp.linalg.norm(quaternion)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row) for row in rows])


def to_quaternion(rotation: Float[Array, "3 3"]) -> Float[Array, "4"]:
    """Unit quaternion (w, x, y, z), w >= 0. Takes the best conditioned of four formulas."""
    r, t = rotation, jnp.trace(rotation)
    candidates = jnp.stack(
        [
            jnp.stack([1 + t, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]),
            jnp.stack(
                [r[2, 1] - r[1, 2], 1 + 2 * r[0, 0] - t, r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]]
            ),
            jnp.stack(
                [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], 1 + 2 * r[1, 1] - t, r[1, 2] + r[2, 1]]
            ),
            jnp.stack(
                [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1 + 2 * r[2, 2] - t]
            ),
        ]
    )
    best = candidates[jnp.argmax(jnp.diagonal(candidates))]
    best = best / jnp.linalg.norm(best)
    return jnp.where(best[0] < 0, -best, best)


def from_euler(
    rot: Float[Array, ""], tilt: Float[Array, ""], psi: Float[Array, ""]
) -> Float[Array, "3 3"]:
    """RELION's `A(rot, tilt, psi)`, radians: `Rz(-psi) Ry(-tilt) Rz(-rot)` as active rotations."""
    return _about_z(psi) @ _about_y(tilt) @ _about_z(rot)


def to_euler(rotation: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """(rot, tilt, psi) in radians, tilt in [0, π]; `psi = 0` by convention at the two poles."""
    sine = jnp.hypot(rotation[2, 0], rotation[2, 1])
    tilt = jnp.arctan2(sine, rotation[2, 2])
    pole = sine < 1e-6
    rot = jnp.arctan2(rotation[2, 1], rotation[2, 0])
    psi = jnp.arctan2(rotation[1, 2], -rotation[0, 2])
    rot_at_pole = jnp.arctan2(-rotation[1, 0], rotation[1, 1])
    return jnp.stack([jnp.where(pole, rot_at_pole, rot), tilt, jnp.where(pole, 0.0, psi)])


def random(key: PRNGKeyArray) -> Float[Array, "3 3"]:
    """One rotation from the uniform (Haar) distribution: a normalised Gaussian quaternion."""
    return from_quaternion(jax.random.normal(key, (4,)))


def _about_z(angle):
    c, s, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    return jnp.stack(
        [jnp.stack([c, s, zero]), jnp.stack([-s, c, zero]), jnp.stack([zero, zero, one])]
    )


def _about_y(angle):
    c, s, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
    return jnp.stack(
        [jnp.stack([c, zero, -s]), jnp.stack([zero, one, zero]), jnp.stack([s, zero, c])]
    )


def healpix_directions(order: int) -> Float[np.ndarray, "p 3"]:
    """Centres of the `12·4^order` equal-area HEALPix pixels, ring order, as unit vectors.

    Górski et al., Astrophys. J. 622 (2005) 759, equations 4 to 9.
    """
    sides = 2**order
    rings = np.arange(1, 4 * sides)
    north = np.minimum(rings, 4 * sides - rings)
    cap = north < sides
    cosine = np.where(cap, 1 - north**2 / (3 * sides**2), 4 / 3 - 2 * rings / (3 * sides))
    cosine = np.where(cap & (rings > 2 * sides), -cosine, cosine)
    count = np.where(cap, 4 * north, 4 * sides)
    offset = np.where(cap, 0.5, np.where((rings - sides) % 2 == 0, 0.5, 0.0))
    z = np.repeat(cosine, count)
    within = np.concatenate([np.arange(c) + o for c, o in zip(count, offset, strict=True)])
    phi = 2 * np.pi * within / np.repeat(count, count)
    sine = np.sqrt(1 - z**2)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), z], axis=-1)


def uniform_grid(order: int) -> Float[np.ndarray, "r 3 3"]:
    """HEALPix directions times in-plane angles, both about `60°/2^order` apart.

    `12·4^order` directions by `6·2^order` angles; order 2 gives 4,608 rotations.
    """
    x, y, z = healpix_directions(order).T
    angles = 2 * np.pi * np.arange(6 * 2**order) / (6 * 2**order)
    rot, tilt = np.arctan2(y, x), np.arccos(z)
    rot, psi = np.repeat(rot, len(angles)), np.tile(angles, len(x))
    tilt = np.repeat(tilt, len(angles))
    return np.asarray(jax.vmap(from_euler)(jnp.asarray(rot), jnp.asarray(tilt), jnp.asarray(psi)))


def local_grid(step: Float[Array, ""], reach: int) -> Float[Array, "r 3 3"]:
    """Rotations `exp(ω)` for `ω` on a cube of `(2·reach + 1)³` points `step` radians apart.

    Multiply a pose by it from the left to refine around that pose at any spacing.
    """
    axis = jnp.arange(-reach, reach + 1) * step
    points = jnp.stack(jnp.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return jax.vmap(exp)(points)
