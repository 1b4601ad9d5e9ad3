"""Hyper-molecules come back from a run folder as they went in."""

import json

import jax
import numpy as np
import pytest

from cryojax_het.results.hyper_molecule_store import (
    load_hyper_molecule,
    load_latent_functions,
    save_hyper_molecule,
)
from cryojax_het.results.run import RunRecord, open_run
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.choice import KINDS, latent_functions
from cryojax_het.volumes.prolate.basis import prolate_basis

BASIS = prolate_basis(8.0, 0.12)


@pytest.mark.parametrize("latents", [1, 2])
@pytest.mark.parametrize("kind", list(KINDS))
def test_there_and_back(kind, latents, tmp_path):
    functions = latent_functions(kind, latents, 2)
    coefficients = jax.random.normal(jax.random.key(0), (BASIS.size, functions.count))
    folder = open_run(tmp_path / "run", {}, RunRecord(command=["test"], seed=0))
    save_hyper_molecule(folder, HyperMolecule(coefficients, BASIS, functions), kind)
    found = load_hyper_molecule(folder)
    assert found.functions == functions
    assert load_latent_functions(folder) == functions
    np.testing.assert_array_equal(found.coefficients, coefficients)
    np.testing.assert_array_equal(found.basis.table, BASIS.table)
    assert found.basis.counts == BASIS.counts


def test_what_is_not_there_is_told(tmp_path):
    folder = open_run(tmp_path / "run", {}, RunRecord(command=["test"], seed=0))
    with pytest.raises(FileNotFoundError, match="not of a hyper-molecule"):
        load_hyper_molecule(folder)
    (folder.folder("model") / "hyper_molecule.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="has the format 99"):
        load_hyper_molecule(folder)
