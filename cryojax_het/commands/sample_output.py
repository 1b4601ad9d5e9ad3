"""What `cryojax-het sample` leaves: posterior.nc, a table, latents, a figure."""

import csv
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..imaging.image import Latents
from ..inference.chain_diagnostics import bulk_size, r_hat, tail_size
from ..inference.chain_gates import failures
from ..inference.gibbs.block import Place, World
from ..inference.posterior import Draws as Belief
from ..inference.predictive_checks import checked, p_values
from ..particles.files import replacing
from ..report.sample_plots import plot_chains
from ..results.disk import explained
from ..results.inference_data import inference_data, write_inference_data
from ..results.run import RunFolder
from ..volumes.normal_latents import NormalLatents
from .sample_course import Draws
from .volume_run import FittedRun

_HEADER = ("image", "quantity", "mean", "sd", "5%", "95%", "r_hat", "bulk", "tail")
_ARVIZ = {"acceptance": "acceptance_rate", "diverging": "diverging", "jumped": "jumped"}
_CHECKED = 40  # draws that replicates are made of, about
_SHOWN = {"conformation", "rotation", "shift", "contrast"}


def write_outputs(
    folder: RunFolder, source: FittedRun, world: World, draws: Draws
) -> dict[str, Any]:
    """All files; returns the summary."""
    latents = _latents(world, draws["scaled"])
    shared = {k.removeprefix("value "): v for k, v in draws.items() if k.startswith("value ")}
    _write_posterior(folder, world, latents, shared, draws)
    steps = draws["scaled"] * np.asarray(world.widths.scale)
    names = world.joint.unknowns.names(world.joint.model.volume.latent_size)
    judged = _judged(steps)
    _write_table(folder, world, (steps, names, judged), shared)
    _write_latents(folder, source, world, latents, draws)
    _figure(folder, steps, names, judged)
    told = failures(shared, {"the latents": steps})
    said = {k.removeprefix("said "): v for k, v in draws.items() if k.startswith("said ")}
    return {
        "images": len(world.batch.index),
        "box": world.grid.size,
        "unknowns": names,
        "chains": steps.shape[0],
        "draws": steps.shape[1],
        "r_hat_median": float(np.median(judged["r_hat"].max(axis=1))),
        "r_hat_most": float(judged["r_hat"].max()),
        "bulk_median": float(np.median(judged["bulk"].min(axis=1))),
        "failures": told,
        "predictive_p": _predictive(world, draws["scaled"], shared).tolist(),
        **{name: float(np.mean(values)) for name, values in said.items()},
    }


def _predictive(world: World, scaled, shared) -> Float[np.ndarray, " s"]:
    """Posterior predictive p-value of each shell's power, from some draws."""
    thin = lambda x: jnp.concatenate(
        jnp.asarray(x)[:, :: max(1, x.shape[1] // (_CHECKED // len(x) + 1))]
    )
    places = Place({name: thin(x) for name, x in shared.items()}, thin(scaled))
    keys = jax.random.split(jax.random.key(0), len(places.scaled))
    one = lambda given: checked(given[0], world, given[1])
    return p_values(*jax.jit(lambda given: jax.lax.map(one, given))((keys, places)))[1]


def _latents(world: World, scaled: Float[np.ndarray, "c d n p"]) -> Latents:
    """Of every draw, `[c, d, n]`."""
    one = jax.vmap(lambda v: world.joint.latents(v, world.widths, world.batch.latents))
    made = jax.jit(lambda chain: jax.lax.map(one, chain))(jnp.asarray(scaled))
    volume = world.joint.model.volume
    if isinstance(volume, NormalLatents):  # told as the run tells them
        made = eqx.tree_at(lambda t: t.conformation, made, volume.within(made.conformation))
    return jax.tree.map(np.asarray, made)


def _judged(steps) -> dict[str, np.ndarray]:
    return {"r_hat": r_hat(steps), "bulk": bulk_size(steps), "tail": tail_size(steps)}


def _write_posterior(folder, world: World, latents: Latents, shared, draws: Draws) -> None:
    chosen = world.joint.unknowns
    held = {name: getattr(latents, name) for name in sorted(_SHOWN) if getattr(chosen, name)}
    dims = {
        "conformation": ["image", "latent"],
        "rotation": ["image", "row", "column"],
        "shift": ["image", "axis"],
        "contrast": ["image"],
        "log_likelihood": ["image"],
        **{name: ["image"] for name in _ARVIZ.values()},
    }
    data = inference_data(
        held | {name.replace(".", "_"): value for name, value in shared.items()},
        sample_stats={to: draws[f"said {name}"] for name, to in _ARVIZ.items()},
        log_likelihood={"log_likelihood": draws["log_likelihood"]},
        rows=np.asarray(world.batch.index),
        dims=dims,
    )
    write_inference_data(folder.path / "posterior.nc", data)


def _write_table(folder, world: World, about, shared) -> None:
    steps, names, judged = about
    lines = []
    for i, row in enumerate(np.asarray(world.batch.index)):
        for j, name in enumerate(names):
            worth = (judged[kind][i, j] for kind in ("r_hat", "bulk", "tail"))
            lines.append((row, name, *_told(steps[:, :, i, j]), *worth))
    for name, values in shared.items():
        flat = values.reshape(*values.shape[:2], -1)
        kinds = [kind(flat) for kind in (r_hat, bulk_size, tail_size)]
        for j in range(flat.shape[2]):
            lines.append(("", f"{name} {j}", *_told(flat[..., j]), *(k[j] for k in kinds)))
    path = folder.folder("analysis") / "summary.csv"
    with explained(path), replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        for row, name, *numbers in lines:
            writer.writerow([row, name, *(f"{number:.6g}" for number in numbers)])


def _told(draws):
    return draws.mean(), draws.std(), *np.quantile(draws, (0.05, 0.95))


def _write_latents(folder, source: FittedRun, world: World, latents: Latents, draws) -> None:
    """Those of the run, the sampled images' replaced by means of their draws."""
    table, old = folder.latents(), source.folder.latents()
    rows, count = np.asarray(world.batch.index), len(source.cloud)
    together = jax.tree.map(
        lambda x: np.moveaxis(x, 2, 0).reshape(len(rows), -1, *x.shape[3:]), latents
    )
    belief = Belief(jax.tree.map(jnp.asarray, together))
    mean, (_, covariance) = jax.jit(lambda b: (b.mean(), b.moments()))(belief)
    new = {name: np.asarray(getattr(mean, name)) for name in _SHOWN}
    new |= {"conformation_covariance": np.asarray(covariance)}
    for name, values in new.items():
        table.create(name, (count, *values.shape[1:]))
        table.write(name, np.arange(count), np.asarray(old.read(name)))
        table.write(name, rows, values)
    np.save(folder.folder("analysis") / "sampled.npy", rows)


def _figure(folder, steps, names, judged) -> None:
    image, worst = np.unravel_index(np.argmax(judged["r_hat"]), judged["r_hat"].shape)
    path = folder.folder("plots") / "chains.png"
    name = f"{names[worst]} of image {image}"
    plot_chains(path, judged["r_hat"], judged["bulk"], steps[:, :, image, worst], name)
