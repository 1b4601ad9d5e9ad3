"""A field of any weights: Hermitian, the same on slices as in its density, and cryoDRGN's network
by its formula."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.frequency_features import gaussian_features, geometric_features
from cryojax_het.volumes.matrix_products import DeviceProduct, FullProduct, HalfProduct
from cryojax_het.volumes.neural_field import neural_field, profile_of
from cryojax_het.volumes.point_groups import InGroups, Recomputed

KEY = jax.random.key(0)
GRID = FourierGrid(16, 1.7)
LATENT = jnp.array([0.3, -1.1])


@pytest.fixture(scope="module")
def field():
    profile = jnp.linspace(3.0, 1.0, 9)
    return neural_field(KEY, profile, GRID.pixel_size, geometric_features(16), 2, (24, 2))


def turns(count):
    return jnp.asarray(Rotation.random(count, rng=np.random.default_rng(0)).as_matrix())


def by_formula(field, points):
    """The network as cryoDRGN writes it: latent and features side by side, layer by layer."""
    p = {name: np.asarray(value) for name, value in field.parameters.items()}
    inputs = np.concatenate([field.features.encode(jnp.asarray(points)), [LATENT] * len(points)], 1)
    hidden = inputs @ np.concatenate([p["first"], p["latent"]]) + p["offset"]
    hidden = np.maximum(hidden, 0)
    for kernel, offset in zip(p["hidden"], p["offsets"], strict=True):
        hidden = np.maximum(hidden @ kernel + offset + hidden, 0)
    return hidden @ p["last"] + p["end"]


def test_slices_are_the_networks_outputs(field):
    """Where the plane's points lie on the canonical side, and conjugates elsewhere."""
    rotation = turns(1)[0]
    view = np.asarray(field.slice(LATENT, rotation, GRID))
    points = np.asarray(GRID.plane(rotation) * GRID.pixel_size).reshape(-1, 3)
    sign = np.where(points[:, 2] >= 0, 1, -1)
    out = by_formula(field, points * sign[:, None])
    strength = np.interp(np.linalg.norm(points, axis=1), np.arange(9) / 16, field.profile)
    expected = (strength * (out[:, 0] + 1j * sign * out[:, 1])).reshape(view.shape)
    inside = np.array(GRID.inside())
    inside[0, 0] = False
    inside[8:, 0] = False  # opposites, of which only one is asked for
    np.testing.assert_allclose(view[inside], expected[inside], rtol=1e-9, atol=1e-9)
    assert view[0, 0].imag == 0
    assert view[0, 0].real == pytest.approx(3 * by_formula(field, np.zeros((1, 3)))[0, 0])


@pytest.mark.parametrize("turn", range(24))
def test_density_and_slices_are_one_field(field, turn):
    """Under the cube's own rotations slices fall on the frequencies of the density's transform."""
    rotation = np.rint(Rotation.create_group("O").as_matrix()[turn])
    voxels = np.asarray(density(field, LATENT))
    space = np.fft.fftn(np.fft.ifftshift(voxels)) * float(GRID.pixel_size) ** 3
    inside = np.asarray(GRID.inside())
    plane = np.asarray(GRID.plane(jnp.asarray(rotation)))[inside]
    x, y, z = np.rint(plane * 16 * 1.7).astype(int).T
    view = np.asarray(slice_of(field, LATENT, jnp.asarray(rotation)))
    np.testing.assert_allclose(view[inside], space[z, y, x], atol=1e-9)


@eqx.filter_jit
def density(field, latent):
    return field.density(latent, GRID)


@eqx.filter_jit
def slice_of(field, latent, rotation):
    return field.slice(latent, rotation, GRID)


def test_opposite_views_mirror_each_other(field):
    for rotation in turns(3):
        flipped = jnp.diag(jnp.array([1.0, -1.0, -1.0])) @ rotation
        view, other = (np.asarray(slice_of(field, LATENT, r)) for r in (rotation, flipped))
        rows = -np.arange(16) % 16
        np.testing.assert_allclose(other[:, 1:8], view[rows][:, 1:8], atol=1e-12)


@pytest.mark.parametrize("groups", [InGroups(17), InGroups(1000), Recomputed(InGroups(40))])
def test_groups_change_nothing(field, groups):
    other = eqx.tree_at(lambda f: f.groups, field, groups)

    def loss(field, latents, rotations):
        views = jax.vmap(lambda z, r: field.slice(z, r, GRID))(latents, rotations)
        return jnp.sum(jnp.abs(views - 1) ** 2)

    both = [
        eqx.filter_jit(eqx.filter_value_and_grad(loss))(f, jnp.stack([LATENT] * 2), turns(2))
        for f in (field, other)
    ]
    for one, two in zip(*(jax.tree.leaves(found) for found in both), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-9 * float(jnp.abs(one).max()))


def test_rounded_products_are_near_and_so_are_their_slopes():
    rows, matrix = (jax.random.normal(jax.random.key(i), (40, 40), jnp.float32) for i in (0, 1))

    def found(product):
        loss = lambda rows, matrix: jnp.sum(jnp.sin(product(rows, matrix)))
        return product(rows, matrix), *jax.grad(loss, argnums=(0, 1))(rows, matrix)

    exact = found(FullProduct())
    for one, two, three in zip(exact, found(HalfProduct()), found(DeviceProduct()), strict=True):
        assert two.dtype == one.dtype
        # 8 bits of each number; the slope of a sine by an argument that is off by 1 % of 6.
        assert 1e-4 < float(jnp.linalg.norm(two - one) / jnp.linalg.norm(one)) < 0.03
        np.testing.assert_allclose(three, one, atol=1e-3 * float(jnp.abs(one).max()))


def test_the_profile_of_a_map_is_that_of_its_shells():
    voxels = np.random.default_rng(0).normal(size=(24,) * 3)
    # White voxels: every shell has the same power, and the field's unit is density·Å³.
    np.testing.assert_allclose(profile_of(voxels, 2.0)[3:], 24**1.5 * 8, rtol=0.2)
    flat = profile_of(np.ones((8,) * 3), 1.0, floor=0.01)
    np.testing.assert_allclose(flat, [512, *[5.12] * 4])


def test_strength_ends_at_the_fields_own_nyquist_frequency(field):
    """On a finer grid what lies beyond is zero."""
    fine = FourierGrid(32, GRID.pixel_size / 2)
    view = np.asarray(field.slice(LATENT, turns(1)[0], fine))
    radius = np.sqrt(np.asarray(fine.k_squared())) * 1.7
    assert not view[radius > 0.501].any()
    assert view[radius < 0.499].all()


def test_a_field_learns_a_molecule():
    """Its slices of a few views, by Adam; another view then shows the molecule too."""
    import optax

    from cryojax_het.volumes import gaussians

    molecule = gaussians.example(jax.random.key(3), GRID)
    profile = profile_of(np.asarray(molecule.density(jnp.zeros(0), GRID)), 1.7)
    features = gaussian_features(KEY, 16, 1.0)
    field = neural_field(
        KEY, jnp.asarray(profile), GRID.pixel_size, features, 0, (64, 2), HalfProduct()
    )
    rotations = turns(80).astype(jnp.float32)
    views = eqx.filter_jit(jax.vmap(lambda r: molecule.slice(jnp.zeros(0), r, GRID)))(rotations)
    views = views.astype(jnp.complex64)
    moving, rest = eqx.partition(
        field,
        eqx.tree_at(
            lambda f: f.parameters,
            jax.tree.map(lambda _: False, field),
            jax.tree.map(lambda _: True, field.parameters),
        ),
    )

    def misfit(moving, part):
        field = eqx.combine(moving, rest)
        made = jax.vmap(lambda r: field.slice(jnp.zeros(0), r, GRID))(rotations[part])
        return jnp.sum(jnp.abs(made - views[part]) ** 2) / jnp.sum(jnp.abs(views[part]) ** 2)

    optimiser = optax.adam(2e-3)

    @jax.jit
    def step(carry, part):
        moving, state = carry
        changes, state = optimiser.update(jax.grad(misfit)(moving, part), state)
        return (eqx.apply_updates(moving, changes), state), None

    parts = jnp.arange(64).reshape(4, 16)
    order = jnp.tile(parts, (20, 1))
    (moving, _), _ = jax.lax.scan(step, (moving, optimiser.init(moving)), order)
    assert float(misfit(moving, jnp.arange(64, 80))) < 0.02
