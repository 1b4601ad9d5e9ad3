import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.structural.angles import Angles
from cryojax_het.inference.structural.bonds import C_ALPHA_DISTANCE, c_alpha_bonds
from cryojax_het.inference.structural.dihedrals import Dihedrals
from cryojax_het.inference.structural.geometry import bond_angles, torsions

CHAIN, FOUR = jnp.arange(3)[None], jnp.arange(4)[None]
energy = eqx.filter_jit(lambda restraint, x: restraint.energy(x))


def angle_at(degrees):
    a = np.deg2rad(degrees)
    return jnp.asarray([[2.0, 0, 0], [0, 0, 0], [3 * np.cos(a), 3 * np.sin(a), 0]])


def torsion_at(degrees, bend=90.0):
    """Four atoms, the first and last seen `degrees` apart, clockwise, along the middle bond."""
    a, b = np.deg2rad(degrees), np.deg2rad(bend)
    # Seen from the near end of the bond (0,0,0) -> (0,0,1.5), looking along z, x turns to -y
    # anticlockwise, so clockwise is towards y.
    first = [np.sin(b), 0, np.cos(b)]
    last = [1.2 * np.cos(a), 1.2 * np.sin(a), 1.5]
    return jnp.asarray([first, [0, 0, 0], [0, 0, 1.5], last])


@pytest.mark.parametrize("degrees", [0, 0.001, 30, 90, 150, 179.999, 180])
def test_angles_are_precise_at_their_ends_too(degrees):
    found = jax.jit(bond_angles)(angle_at(degrees), CHAIN)
    np.testing.assert_allclose(np.rad2deg(found), [degrees], atol=1e-9)


@pytest.mark.parametrize("degrees", [-179, -90, -1e-4, 0, 60, 120, 180])
def test_torsions_have_the_sign_of_iupac(degrees):
    found = jax.jit(torsions)(torsion_at(degrees), FOUR)
    np.testing.assert_allclose(np.rad2deg(found.angle), [degrees], atol=1e-9)
    np.testing.assert_allclose(found.defined, 1 / 1.0025, rtol=1e-9)


def test_a_torsion_fades_as_atoms_come_in_line():
    bends = [90.0, 30.0, 10.0, np.rad2deg(np.arcsin(0.05)), 1.0, 0.0]
    measure = lambda bend: jax.jit(torsions)(torsion_at(60, bend), FOUR)
    found = [float(measure(bend).defined[0]) for bend in bends]
    assert found == sorted(found, reverse=True)
    np.testing.assert_allclose(found[3], 0.5, rtol=1e-9)
    assert found[-1] < 1e-12


def test_gradients_of_a_torsion_are_bounded_near_the_line():
    """At 1 to 1e-7 radians from it, single precision."""
    restraint = Dihedrals(FOUR, jnp.zeros(1), jnp.ones(1))
    slope = jax.jit(jax.grad(restraint.energy))
    steepest = [
        np.abs(slope(torsion_at(150, np.rad2deg(bend)).astype(jnp.float32))).max()
        for bend in np.geomspace(1, 1e-7, 15)
    ]
    assert max(steepest) < 30


def test_energies_by_hand():
    bonds = c_alpha_bonds(np.array([[0, 1], [1, 2]]), sigma=0.2)
    positions = jnp.asarray([[0.0, 0, 0], [0, 4.2, 0], [0, 4.2, 3.4]])
    np.testing.assert_allclose(energy(bonds, positions), 0.5 * (2.0**2 + 2.0**2), rtol=1e-12)
    assert C_ALPHA_DISTANCE == 3.8
    angles = Angles(CHAIN, jnp.deg2rad(jnp.array([60.0])), jnp.array([0.5]))
    expected = 0.5 * (np.deg2rad(30) / 0.5) ** 2
    np.testing.assert_allclose(energy(angles, angle_at(90)), expected, rtol=1e-12)
    dihedrals = Dihedrals(FOUR, jnp.deg2rad(jnp.array([170.0])), jnp.array([0.5]))
    expected = (1 - np.cos(np.deg2rad(20))) / 0.25 / 1.0025  # across the edge at 180°
    np.testing.assert_allclose(energy(dihedrals, torsion_at(-170)), expected, rtol=1e-9)
    small = Dihedrals(FOUR, jnp.deg2rad(jnp.array([59.0])), jnp.array([0.5]))
    normal = 0.5 * (np.deg2rad(1) / 0.5) ** 2
    np.testing.assert_allclose(energy(small, torsion_at(60)), normal / 1.0025, rtol=1e-4)


def test_a_mirror_image_has_other_torsions_alone(helix):
    from cryojax_het.inference.structural import angles, bonds, dihedrals

    mirrored = jnp.asarray(helix * np.array([1.0, 1.0, -1.0]))
    assert energy(bonds.example(helix), mirrored) < 1e-9
    assert energy(angles.example(helix), mirrored) < 1e-9
    assert energy(dihedrals.example(helix), mirrored) > 10
