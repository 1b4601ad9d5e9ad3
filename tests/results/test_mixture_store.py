"""A mixture with its modes and atoms, kept and read back; trajectories along its latents."""

import json
from dataclasses import replace

import equinox as eqx
import gemmi
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.results.conformation_paths import (
    latent_components,
    write_components,
    write_trajectories,
)
from cryojax_het.results.mixture_store import StoredMixture, load_mixture, save_mixture
from cryojax_het.results.run import RunRecord, open_run
from cryojax_het.structures.atoms import Atoms
from cryojax_het.structures.frames import read_models
from cryojax_het.structures.riding import riding
from cryojax_het.volumes.anchors import Anchors
from cryojax_het.volumes.atom_codes import PositionalEncoding
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussian_mixture import GaussianMixture
from cryojax_het.volumes.mode_regions import mode_regions
from cryojax_het.volumes.neural_amplitudes import neural_amplitudes
from cryojax_het.volumes.neural_displacement import neural_displacement
from cryojax_het.volumes.neural_motions import neural_motions
from cryojax_het.volumes.normal_modes import NormalModes
from cryojax_het.volumes.rigid_segments import RigidSegments
from cryojax_het.volumes.scaled_modes import ScaledModes
from cryojax_het.volumes.segments import even_segments
from cryojax_het.volumes.skinning import free_motions

COUNT = 6


@pytest.fixture
def stored():
    """Six Gaussians of two atoms each, two modes."""
    rng = np.random.default_rng(0)
    reference = GaussianMixture(
        positions=jnp.asarray(10 * rng.normal(size=(COUNT, 3))),
        amplitudes=jnp.linspace(1.0, 2.0, COUNT),
        widths=jnp.array([1.0, 2.0]),
        sizes=(2, 4),
    )
    volume = DisplacedMixture(reference, NormalModes(jnp.asarray(rng.normal(size=(2, COUNT, 3)))))
    follows = np.repeat(np.arange(COUNT)[::-1], 2)
    atoms = Atoms(
        positions=np.asarray(reference.positions)[follows] + rng.normal(size=(2 * COUNT, 3)),
        atomic_numbers=np.tile([7, 6], COUNT),
        b_factors=np.zeros(2 * COUNT),
        occupancies=np.ones(2 * COUNT),
        chains=np.full(2 * COUNT, "A"),
        residues=np.repeat(np.arange(COUNT), 2) + 1,
        residue_names=np.full(2 * COUNT, "GLY"),
        names=np.tile(["N", "CA"], COUNT),
    )
    return StoredMixture(volume=volume, atoms=atoms, follows=follows)


@pytest.fixture
def folder(tmp_path):
    return open_run(tmp_path / "run", {}, RunRecord(command=["test"], seed=0))


def vectors_of(stored):
    assert isinstance(stored.volume.displacement, NormalModes)
    return np.asarray(stored.volume.displacement.vectors)


def test_what_is_kept_comes_back(stored, folder):
    save_mixture(folder, stored)
    found = load_mixture(folder)
    assert isinstance(found.volume.reference, GaussianMixture)
    assert found.volume.reference.sizes == (2, 4)
    for name in ("positions", "amplitudes", "widths"):
        mine, theirs = (getattr(m.volume.reference, name) for m in (stored, found))
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(vectors_of(found), vectors_of(stored))
    np.testing.assert_array_equal(found.atoms.names, stored.atoms.names)
    np.testing.assert_array_equal(found.follows, stored.follows)


def test_atoms_ride_on_the_gaussians_that_they_follow(stored):
    latents = np.array([[0.0, 0.0], [0.5, -1.0]])
    frames = stored.frames(latents)
    np.testing.assert_allclose(frames.positions[0], stored.atoms.positions, atol=1e-12)
    vectors, rest = vectors_of(stored), np.asarray(stored.volume.reference.positions)
    moved = rest + 0.5 * vectors[0] - vectors[1]
    expected = riding(stored.atoms.positions, stored.follows, rest, moved[None])[0]
    np.testing.assert_allclose(frames.positions[1], expected, atol=1e-12)
    # Each as far from its Gaussian as it was.
    away = lambda atoms, beads: np.linalg.norm(atoms - beads[stored.follows], axis=1)
    before = away(stored.atoms.positions, rest)
    np.testing.assert_allclose(away(frames.positions[1], moved), before, atol=1e-12)
    atoms = stored.atoms.take(np.arange(0, 2 * COUNT, 2)).at(rest)
    alone = StoredMixture(volume=stored.volume, atoms=atoms, follows=np.arange(COUNT))
    np.testing.assert_allclose(alone.frames(latents).positions[1], moved, atol=1e-12)


def test_a_kind_that_is_not_kept_is_refused(stored, folder):
    anchors = Anchors(jnp.zeros((2, 3)), 5.0, free_motions(2, 0.1, 1.0))
    volume = DisplacedMixture(stored.volume.reference, anchors)
    other = StoredMixture(volume=volume, atoms=stored.atoms, follows=stored.follows)
    with pytest.raises(TypeError, match="Anchors"):
        save_mixture(folder, other)


def test_a_folder_without_a_model_and_a_newer_format_are_named(stored, folder):
    with pytest.raises(FileNotFoundError, match=r"mixture\.json"):
        load_mixture(folder)
    save_mixture(folder, stored)
    path = folder.path / "model" / "mixture.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(ValueError, match="format 9"):
        load_mixture(folder)


def test_components_of_a_tilted_cloud():
    rng = np.random.default_rng(1)
    axis = np.array([0.6, 0.8])
    latents = rng.normal(size=(4000, 1)) * 3 * axis + rng.normal(size=(4000, 2)) * 0.3 + [1.0, 2.0]
    found = latent_components(latents)
    assert abs(found.axes[0] @ axis) > 0.999
    np.testing.assert_allclose(found.variances, [9.09, 0.09], rtol=0.1)
    np.testing.assert_allclose(found.mean + found.coordinates @ found.axes, latents)


def test_trajectories_run_through_the_images(stored, folder):
    latents = np.random.default_rng(2).normal(size=(500, 2)) * [2.0, 0.5]
    found = latent_components(latents)
    write_components(folder, found)
    names = write_trajectories(folder, stored, found, components=1)
    assert names == ["latent_01", "latent_02", "component_01"]
    place = folder.path / "trajectories"
    frames = read_models(place / "latent_01.cif")
    assert frames.positions.shape == (20, 2 * COUNT, 3)
    low, high = np.quantile(latents[:, 0], [0.02, 0.98])
    ends = np.tile(latents.mean(axis=0), (2, 1))
    ends[:, 0] = low, high
    np.testing.assert_allclose(frames.positions[[0, -1]], stored.frames(ends).positions, atol=2e-3)
    assert len(gemmi.read_structure(str(place / "latent_02.pdb"))) == 20
    assert (place / "component_01.dcd").stat().st_size > 20 * 2 * COUNT * 12
    with np.load(folder.path / "analysis" / "latent_components.npz") as kept:
        np.testing.assert_allclose(kept["variances"], found.variances)


@pytest.mark.parametrize(
    "kind", ["anchors", "segments", "network", "modes", "regions", "occupancies"]
)
def test_networks_come_back_with_all_their_weights(stored, folder, kind):
    key = jax.random.key(1)
    motion = neural_motions(key, 3, 2, (8, 2), (0.2, 1.5))
    positions = stored.volume.reference.positions
    made = {
        "anchors": lambda: Anchors(positions[:3], 4.0, motion),
        "segments": lambda: RigidSegments(even_segments(jnp.arange(6.0), 3), motion),
        "modes": lambda: ScaledModes(jnp.ones((2, COUNT, 3)), jnp.array([0.1, 0.3])),
        "regions": lambda: mode_regions(
            np.asarray(positions),
            np.repeat([0, 1], 3),
            np.ones((2, 6, 3)) * [1.0, 0.5, 0.2],
        ),
        "occupancies": lambda: neural_amplitudes(
            key, Anchors(positions[:3], 4.0, motion), positions[:2], jnp.asarray(5.0), (8, 1)
        ),
        "network": lambda: neural_displacement(
            key, PositionalEncoding(40.0, 3), positions, 2, (8, 2), (1.0, 1.0, 1.0, 0.1)
        ),
    }[kind]()
    # Past their start, where all are at rest.
    moved = jax.tree.map(lambda x: x + 0.1 if eqx.is_inexact_array(x) else x, made)
    volume = DisplacedMixture(stored.volume.reference, moved)
    save_mixture(folder, replace(stored, volume=volume))
    found = load_mixture(folder).volume
    z = jnp.array([0.3, -0.7])
    np.testing.assert_array_equal(found.at(z).positions, volume.at(z).positions)
    np.testing.assert_array_equal(found.at(z).amplitudes, volume.at(z).amplitudes)
    assert not np.allclose(found.at(z).positions, positions)
