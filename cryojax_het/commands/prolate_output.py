"""What a fit of a hyper-molecule leaves: every image's latents, the molecule, maps of its terms."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inference.devices import to_host
from ..inference.hyper_molecules.nodes import Contrast, Nodes, belief_on_nodes
from ..inference.linear_statistics import linear_statistics
from ..inference.model import Model
from ..inference.requirements import expanded_volume, gaussian_noise, local_prior
from ..results.hyper_molecule_store import save_hyper_molecule
from ..results.run import RunFolder
from ..volumes.linear import FourierLinear
from .consensus_output import latent_tables, write_data, write_map
from .image_pass import image_pass
from .prolate_course import expanded
from .prolate_maps import full_box_terms
from .prolate_setting import ProlateSetting


def write_outputs(setting: ProlateSetting, folder: RunFolder, coefficients) -> dict[str, Any]:
    """Latents of every image; the hyper-molecule; maps of the full box of the mean over the range
    of the latents and of each term beyond. Returns the summary."""
    log_likelihood = _write_latents(setting, folder, coefficients)
    terms = full_box_terms(setting, coefficients)
    if jax.process_index() == 0:
        write_map(setting, folder, "mean", terms[0])
        for number, term in enumerate(terms[1:], start=1):
            write_map(setting, folder, f"term_{number:02d}", term)
        write_data(setting, folder)
        molecule = setting.update.volume(jnp.asarray(coefficients))
        save_hyper_molecule(folder, molecule, setting.functions_name)
    power = np.sum(terms.reshape(len(terms), -1) ** 2, axis=1)
    return {
        "images": len(setting.data.particles),
        "box": setting.data.size,
        "latent_box": setting.box,
        "pixel_size": float(setting.grid(setting.data.size).pixel_size),
        "functions_in_space": setting.basis.size,
        "bandlimit": setting.basis.bandlimit,
        "functions_of_latents": setting.functions.count,
        "coefficients": coefficients.size,
        "power_of_terms_over_mean": (power[1:] / power[0]).tolist(),
        "log_likelihood": log_likelihood,
        "resolution": setting.consensus.folder.record()["summary"]["resolution"],
    }


def _write_latents(setting: ProlateSetting, folder: RunFolder, coefficients) -> float:
    """Row by row into the run folder, the weights of all nodes too; `log p(y)` per image over no
    particle."""
    loader, grid = setting.loader(setting.box), setting.latent_grid
    volume = expanded(setting.update, jnp.asarray(coefficients)).prepare(grid)
    model = Model(volume, setting.noise, setting.prior, setting.posterior)
    count = len(setting.data.particles)
    table = latent_tables(setting, folder, setting.functions.latent_size)
    first = jax.process_index() == 0
    if first:
        nodes = len(setting.nodes.latents)
        table.create("node_log_weight", (count, nodes), -float(np.log(nodes)))
        np.save(folder.folder("analysis") / "nodes.npy", np.asarray(setting.nodes.latents))
    total = 0.0
    for batch in image_pass(loader, setting.plan(np.arange(count), loader), "latents"):
        belief = _inferred(model, batch, grid)
        flat = _flat_gain(model, batch, grid)
        belief, flat, index, weight = to_host((belief, flat, batch.index, batch.weight))
        total += float(belief.log_likelihood @ weight)
        if first:
            _write_rows(table, belief, flat, index, weight > 0)
    return total / count


def _write_rows(table, belief, flat, index, real) -> None:
    latents = belief.latents
    found = {"conformation": latents.conformation, "conformation_covariance": belief.covariance}
    found |= {"rotation": latents.rotation, "shift": latents.shift, "contrast": latents.contrast}
    found |= {"log_likelihood": belief.log_likelihood, "log_likelihood_mean": flat}
    found |= {"node_log_weight": belief.log_weight}
    for name, values in found.items():
        table.write(name, index[real], values[real])


@eqx.filter_jit
def _inferred(model, batch, grid):
    key = jax.random.key(0)
    return model.posterior.infer(key, model.volume, model.noise, model.prior, batch, grid)


@eqx.filter_jit
def _flat_gain(model: Model, batch, grid) -> Float[jax.Array, " b"]:
    """The gain in log-likelihood of the mean alone, its contrast integrated over."""
    terms = expanded_volume(model.volume, "write_outputs").prepare(grid).terms
    assert isinstance(terms, FourierLinear)
    noise = gaussian_noise(model.noise, "write_outputs")
    found = linear_statistics(terms.leading(0), noise, batch, grid)
    prior = local_prior(model.prior, "write_outputs")
    one = jnp.ones((1, 1), grid.pixel_size.dtype)
    contrast = Contrast(prior.contrast_mean, prior.contrast_width)
    return belief_on_nodes(found, Nodes(one, one), contrast).log_likelihood
