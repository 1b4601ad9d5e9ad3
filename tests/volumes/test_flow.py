"""Deformation fields: what they give at points, how they stretch, frozen and with values kept."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.volumes.flow import ValuePreserving, frozen, principal_modes
from cryojax_het.volumes.latent_modes import LinearModes, free_modes, network_modes
from cryojax_het.volumes.mesh_flow import mesh_flow
from cryojax_het.volumes.tetrahedral_mesh import lattice_mesh
from cryojax_het.volumes.zernike_basis import ZernikeOrder
from cryojax_het.volumes.zernike_flow import zernike_flow, zernike_regions

RNG = np.random.default_rng(0)
POINTS = RNG.normal(0, 10, (400, 3))
FEW = POINTS[:50] + RNG.normal(0, 0.2, (50, 3))
MESH = lattice_mesh(np.concatenate([POINTS, FEW]), 9.0)
LATENT = jnp.array([0.7, -0.4])


def with_random_modes(motion):
    random = jax.random.normal(jax.random.key(1), motion.weights.shape)
    return eqx.tree_at(lambda m: m.weights, motion, 0.3 * random)


def by_mesh():
    motion = network_modes(jax.random.key(0), len(MESH.vertices), 2, (8, 2))
    return mesh_flow(MESH, POINTS, np.ones(400), with_random_modes(motion))


def by_zernike(regions=1):
    found = zernike_regions(POINTS, ZernikeOrder(3, 2), regions)
    motion = network_modes(jax.random.key(0), found.size, 2, (8, 2))
    return zernike_flow(found, POINTS, with_random_modes(motion))


FLOWS = {"mesh": by_mesh, "zernike": by_zernike, "regions": lambda: by_zernike(3)}
each_flow = pytest.mark.parametrize("name", FLOWS)


def displaced(flow, latent=LATENT):
    return np.asarray(flow.change(latent, jnp.zeros((len(POINTS), 3))).displacement)


@each_flow
def test_the_field_is_the_same_at_other_points(name):
    flow = FLOWS[name]()
    moved = displaced(flow)
    assert np.abs(moved).max() > 0.1
    np.testing.assert_allclose(displaced(flow.at(POINTS[:7])), moved[:7], atol=1e-9)
    still = frozen(flow, POINTS[:7])
    np.testing.assert_allclose(displaced(still), moved[:7], atol=1e-9)
    assert still.latent_size == 2


@each_flow
def test_a_few_modes_hold_what_latents_do(name):
    flow = FLOWS[name]()
    latents = RNG.normal(size=(30, 2)).astype(np.float32)
    modes, amplitudes = principal_modes(flow, latents, 1e-3)
    assert amplitudes.shape == (30, modes.latent_size)
    wanted = np.stack([displaced(flow, jnp.asarray(z)) for z in latents])
    found = np.einsum("nr,rja->nja", amplitudes, np.asarray(modes.vectors))
    assert np.sqrt(np.mean(np.sum((found - wanted) ** 2, axis=-1))) < 2e-3
    fewer, _ = principal_modes(flow, latents, 0.1 * float(np.abs(wanted).max()))
    assert fewer.latent_size < modes.latent_size <= 8


@each_flow
def test_stretches_are_slopes_of_the_field(name):
    flow = FLOWS[name]().at(FEW)
    found = np.asarray(eqx.filter_jit(lambda f: f.point_stretches(LATENT))(flow)) - np.eye(3)
    step = 1e-5
    for axis in range(3):
        move = step * np.eye(3)[axis]
        numeric = (displaced(flow.at(FEW + move)) - displaced(flow.at(FEW - move))) / (2 * step)
        np.testing.assert_allclose(found[:, :, axis], numeric, atol=1e-6)


@each_flow
def test_a_latent_network_starts_at_rest(name):
    flow = FLOWS[name]()
    motion = network_modes(jax.random.key(0), len(flow.motion.modes), 2, (8, 2))
    still = eqx.tree_at(lambda f: f.motion, flow, motion)
    assert not displaced(still).any()
    loss = lambda f: jnp.sum((f.change(LATENT, jnp.asarray(POINTS)).displacement - 1) ** 2)
    slope = eqx.filter_grad(loss)(still).motion.weights
    assert np.isfinite(slope).all()
    assert np.any(np.asarray(slope) != 0)


def test_a_mesh_holds_affine_motion():
    """Barycentric weights carry an affine motion of the vertices to every point."""
    matrix = Rotation.random(rng=RNG).as_matrix()
    vertices = np.asarray(MESH.vertices)
    change = vertices @ (matrix - np.eye(3)).T + 2.0
    flow = mesh_flow(MESH, POINTS, np.ones(400), LinearModes(jnp.asarray(change)[:, :, None]))
    moved = displaced(flow, jnp.ones(1))
    np.testing.assert_allclose(moved, POINTS @ (matrix - np.eye(3)).T + 2.0, atol=1e-9)


def test_a_mesh_flow_is_continuous():
    """On both sides of faces between cubes."""
    random = RNG.normal(size=(len(MESH.vertices), 3, 1))
    free = mesh_flow(MESH, POINTS, np.ones(400), LinearModes(jnp.asarray(random)))
    face = np.where(np.arange(3) == 0, np.round(FEW / 9.0) * 9.0, FEW)
    cubes = {tuple(c) for c in np.floor(np.concatenate([POINTS, FEW]) / 9.0).astype(int)}
    beside = np.array([1e-7, 0, 0])
    of_cube = lambda p: tuple(np.floor(p / 9.0).astype(int))
    inner = np.array([p for p in face if {of_cube(p - beside), of_cube(p + beside)} <= cubes])
    assert len(inner) > 5
    sides = [displaced(free.at(inner + way * beside), jnp.ones(1)) for way in (1, -1)]
    np.testing.assert_allclose(*sides, atol=1e-6)


def test_stiffness_follows_the_density():
    masses = np.where(POINTS[:, 0] > 0, 1.0, 0.0)
    motion = free_modes(len(MESH.vertices), 1.0)
    flow = mesh_flow(MESH, POINTS, masses, motion)
    stiffness = np.asarray(flow.stiffness)
    assert stiffness.min() == pytest.approx(0.1)
    assert stiffness.max() == pytest.approx(1.0)
    dense = np.unique(np.asarray(flow.cell)[POINTS[:, 0] > 9])
    assert stiffness[dense].mean() > 0.8


def test_free_modes_are_the_latent():
    motion = free_modes(4, 2.0)
    latent = jnp.arange(12.0)
    assert motion.latent_size == 12
    np.testing.assert_array_equal(motion.vectors(latent), 2 * np.arange(12.0).reshape(4, 3))


def test_values_are_kept_by_the_determinant():
    """Points of one mass each, spread evenly: their density falls with the volume they are given,
    and times the determinant it stays."""
    matrix = np.diag([1.2, 0.9, 1.1])
    change = np.asarray(MESH.vertices) @ (matrix - np.eye(3)).T
    flow = mesh_flow(MESH, POINTS, np.ones(400), LinearModes(jnp.asarray(change)[:, :, None]))
    kept = ValuePreserving(flow)
    found = kept.change(jnp.ones(1), jnp.asarray(POINTS))
    np.testing.assert_allclose(np.exp(found.amplitude), np.linalg.det(matrix), rtol=1e-9)
    np.testing.assert_allclose(found.displacement, displaced(flow, jnp.ones(1)))
    folded = ValuePreserving(flow).change(jnp.full(1, -8.0), jnp.asarray(POINTS))
    assert np.isfinite(folded.amplitude).all()


def test_zernike_balls_hold_their_points():
    for count in (1, 3):
        regions = zernike_regions(POINTS, ZernikeOrder(3, 2), count)
        assert regions.size == 13 * count
        table = regions.functions(jnp.asarray(POINTS))
        # The constant functions of all regions add up to the same everywhere.
        constant = np.asarray(table)[:, ::13].sum(axis=1)
        np.testing.assert_allclose(constant, np.sqrt(3 / (4 * np.pi)), rtol=1e-9)


def test_motion_of_another_number_of_vectors_is_refused():
    motion = free_modes(5, 1.0)
    with pytest.raises(ValueError, match="motion of 5"):
        mesh_flow(MESH, POINTS, np.ones(400), motion)
    with pytest.raises(ValueError, match="motion of 5"):
        zernike_flow(zernike_regions(POINTS, ZernikeOrder(3, 2)), POINTS, motion)
