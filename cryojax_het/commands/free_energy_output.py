"""What a free energy leaves in its folder.

```
analysis/path.npz                 latents of the nodes, their positions and names
analysis/PRIOR/profile.csv        one row per node: free energy, bands, images, weights
analysis/PRIOR/profile.npz        draws of the populations; nodes left out
analysis/PRIOR/profile.json       diagnostics and settings
plots/free_energy_PRIOR.png
latents/path_log_likelihood.npy   [images, nodes and beyond]
```
"""

import json
import logging
from typing import Any

import numpy as np

from ..results.disk import explained, write_arrays, write_text
from ..results.run import RunFolder
from .free_energy import FreeEnergyConfig
from .free_energy_nodes import NodePath
from .free_energy_profile import FoundProfile

LOG = logging.getLogger("cryojax_het")


def write_profile(
    folder: RunFolder, config: FreeEnergyConfig, path: NodePath, found: FoundProfile
) -> dict[str, Any]:
    """Write all and finish the run; the summary, with a `text` for people."""
    place = folder.folder("analysis") / config.prior
    with explained(place):
        place.mkdir(exist_ok=True)
        about = {"latent": path.latent, "position": path.position, "names": np.array(path.names)}
        write_arrays(folder.folder("analysis") / "path.npz", about)
        write_arrays(place / "profile.npz", _arrays(found))
        write_text(place / "profile.csv", _table(path, found))
        summary = _summary(config, path, found)
        write_text(place / "profile.json", json.dumps(summary, indent=1) + "\n")
        _draw(folder, config, path, found)
    folder.finish(summary)
    return summary | {"text": _text(folder, config, path, found)}


def _arrays(found: FoundProfile) -> dict[str, np.ndarray]:
    arrays = {"population": found.profile.population, "off_path": found.profile.off_path}
    for name in ("strengths", "held_out", "uncertainty"):
        arrays[f"entropic_{name}"] = getattr(found.weights, name)
    if found.left_out:
        arrays["left_out"] = np.stack([one.free_energy for one in found.left_out])
        arrays["left_out_fall"] = np.array([one.fall for one in found.left_out])
    return arrays


def _table(path: NodePath, found: FoundProfile) -> str:
    profile, (low, high) = found.profile, found.profile.band()
    columns = {
        "position": path.position,
        "free_energy": profile.mean(),
        "low_90": low,
        "high_90": high,
        "images": profile.counts,
        "histogram": found.histogram,
        "entropic_population": found.weights.population,
        "r_hat": profile.r_hat[: path.nodes],
        "effective_draws": np.minimum(profile.bulk, profile.tail)[: path.nodes],
    }
    if found.left_out:
        columns["fall_without"] = np.array([one.fall for one in found.left_out])
    lines = [",".join(["node", *columns])]
    for number, name in enumerate(path.names):
        lines.append(",".join([name, *(f"{c[number]:.6g}" for c in columns.values())]))
    return "\n".join(lines) + "\n"


def _summary(config: FreeEnergyConfig, path: NodePath, found: FoundProfile) -> dict[str, Any]:
    profile = found.profile
    summary: dict[str, Any] = {
        "prior": config.prior,
        "nodes": path.nodes,
        "images_on_path": float(profile.counts.sum()),
        "free_energy": profile.mean().tolist(),
        "r_hat": float(profile.r_hat.max()),
        "effective_draws": float(min(profile.bulk.min(), profile.tail.min())),
        "divergences": profile.divergences,
        "converged": profile.converged,
        "nodes_per_image": found.spread,
        "entropic_strength": found.weights.strength,
        "chains": [config.chains, config.warmup, config.draws],
        "seed": config.seed,
    }
    if config.off_path != "none":
        low, middle, high = np.quantile(profile.off_path, (0.05, 0.5, 0.95))
        summary["off_path_share"] = [float(low), float(middle), float(high)]
    return summary


def _draw(folder: RunFolder, config: FreeEnergyConfig, path: NodePath, found) -> None:
    try:
        from ..report.free_energy_plots import plot_profile

        target = folder.folder("plots") / f"free_energy_{config.prior}.png"
        place = (path.axis, path.position)
        plot_profile(target, place, found.profile, found.histogram, found.left_out)
    except ImportError as error:
        LOG.warning("%s Without it there is no figure.", error)


def _text(folder: RunFolder, config: FreeEnergyConfig, path: NodePath, found) -> str:
    profile, (low, high) = found.profile, found.profile.band()
    lines = [f"{path.axis:>12}  free energy (k_BT, 90 %)   images"]
    for row in zip(path.position, profile.mean(), low, high, profile.counts, strict=True):
        lines.append("{:12.4g}  {:6.2f}  {:6.2f} to {:5.2f}   {:8.1f}".format(*row))
    if config.off_path != "none":
        share = np.quantile(profile.off_path, (0.5, 0.05, 0.95))
        lines.append("off the path: {:.1%} of the images ({:.1%} to {:.1%})".format(*share))
    lines.append(
        f"{folder.path}: {path.nodes} nodes, an image is spread over {found.spread:.1f}; R-hat "
        f"{profile.r_hat.max():.3f}, {min(profile.bulk.min(), profile.tail.min()):.0f} effective "
        f"draws, {profile.divergences} divergences."
    )
    if not profile.converged:
        LOG.warning("The chains have not converged: give more by `--warmup` and `--draws`.")
    return "\n".join(lines)
