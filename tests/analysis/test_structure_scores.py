import numpy as np
import pytest

from cryojax_het.analysis.structure_scores import (
    bond_deviations,
    clashes,
    rmsd,
    rmsd_superposed,
    score_structures,
)

CHAIN = np.stack([np.arange(19), np.arange(1, 20)], axis=1)


@pytest.fixture(scope="module")
def true():
    """Three conformations of a helix of 20."""
    turn = np.deg2rad(100) * np.arange(20)
    helix = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(20)], axis=1)
    return np.stack([helix, helix * [1, 1, 1.1], helix * [1, 1, 1.2]])


def moved(structures, seed=0):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return structures @ (turn * np.linalg.det(turn)).T + np.array([5.0, 0, -9.0])


def test_the_truth_is_perfect(true):
    found = score_structures(true.astype(np.float32), true, CHAIN, CHAIN)
    np.testing.assert_allclose(found.rmsd, 0, atol=1e-6)
    np.testing.assert_allclose(found.superposed, 0, atol=1e-5)
    assert found.bonds_kept.tolist() == [1, 1, 1]
    assert found.clashes.tolist() == [0, 0, 0]


def test_rmsd_by_hand(true):
    away = true.copy()
    away[1] += [3.0, 0, -4.0]
    away[2, 7] += [0, 2.0, 0]
    np.testing.assert_allclose(rmsd(away, true), [0, 5, 2 / np.sqrt(20)], atol=1e-12)


def test_superposition_forgives_rigid_motions_alone(true):
    noise = np.random.default_rng(1).normal(size=true.shape)
    shaken = true + 0.5 * noise
    np.testing.assert_allclose(rmsd_superposed(moved(true), true), 0, atol=1e-7)
    still, turned = rmsd_superposed(shaken, true), rmsd_superposed(moved(shaken), true)
    np.testing.assert_allclose(turned, still, rtol=1e-9)
    assert (still <= rmsd(shaken, true)).all()
    mirrored = true * np.array([1.0, 1.0, -1.0])
    assert (rmsd_superposed(mirrored, true) > 1).all()


def test_bonds_within_a_fifth_of_an_angstrom(true):
    decoded = true.copy()
    along = true[0, 19] - true[0, 18]
    decoded[0, 19] += 0.3 * along / np.linalg.norm(along)
    decoded[1, 0] -= 0.1 * (true[1, 1] - true[1, 0]) / np.linalg.norm(true[1, 1] - true[1, 0])
    deviations = bond_deviations(decoded, true, CHAIN)
    np.testing.assert_allclose(deviations[0, -1], 0.3, atol=1e-12)
    np.testing.assert_allclose(deviations[1, 0], 0.1, atol=1e-12)
    kept = score_structures(decoded, true, CHAIN, CHAIN).bonds_kept
    np.testing.assert_allclose(kept, [18 / 19, 1, 1])


def test_clashes_are_those_of_brute_force(true):
    rng = np.random.default_rng(0)
    crowded = rng.uniform(0, 10, (2, 20, 3))
    apart = np.linalg.norm(crowded[:, :, None] - crowded[:, None], axis=-1)
    counted = np.triu(np.ones((20, 20), bool), 2)  # all but neighbours along the chain
    expected = [int((counted & (a < 3)).sum()) for a in apart]
    assert min(expected) > 3
    assert clashes(crowded, CHAIN).tolist() == expected
    assert clashes(crowded, CHAIN[:, ::-1]).tolist() == expected


def test_a_real_motion(data):
    """Open and closed adenylate kinase: 7.1 Å apart, both without clashes."""
    from cryojax_het.structures.atoms import read_atoms
    from cryojax_het.structures.connectivity import connectivity
    from cryojax_het.structures.covalent import trace_bonds

    read = lambda name: read_atoms(data / "adk" / f"{name}.pdb")
    opened, closed = (
        a.take((a.names == "CA") & (a.chains == "A")) for a in (read("4ake"), read("1ake"))
    )
    bonded = connectivity(trace_bonds(closed))
    places = opened.positions[None], closed.positions[None]
    found = score_structures(*places, bonded.bonds, bonded.near)
    np.testing.assert_allclose(found.superposed, 7.13, atol=0.05)
    assert found.rmsd > 2 * found.superposed  # other crystals
    assert found.bonds_kept[0] > 0.98
    assert found.clashes[0] == 0
