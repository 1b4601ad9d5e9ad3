"""Baselines and ceilings of a suite, and their table."""

import json
import time
from pathlib import Path

import numpy as np

from cryojax_het.analysis.map_scores import areas
from cryojax_het.analysis.references import References, references_of
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.truth import GroundTruth, open_truth

HEAD = (
    "| suite | moving region: consensus | oracle | gap | molecule: consensus | oracle | gap "
    "| bandwidths | best correlation | states told right | chance | wall s | CPU s |"
)


def measure_references(folder: Path) -> dict:
    """References of the data set, kept where `cryojax-het validate` looks for them."""
    truth = open_truth(folder)
    began = time.monotonic(), time.process_time()
    source = open_particles(truth.particles)
    found = references_of(source, truth, kept=folder / "references.h5")
    spent = {
        "wall_s": round(time.monotonic() - began[0], 1),
        "cpu_s": round(time.process_time() - began[1], 1),
    }
    return spent | _maps(found, truth) | _ceiling(found, truth)


def _maps(found: References, truth: GroundTruth) -> dict:
    """Areas under the FSC, averaged over the images' states, by mask."""
    share = truth.states.population
    mean = lambda curves: {mask: float(share @ areas(curve)) for mask, curve in curves.items()}
    return {
        "consensus": mean(found.consensus),
        "oracle": mean(found.oracle),
        "bandwidths": found.choice.best[1:-1].tolist(),
        "noise_spread": found.noise_spread,
    }


def _ceiling(found: References, truth: GroundTruth) -> dict:
    """How well the ideal observer's latent tells each coordinate, and the state."""
    posterior, states = found.posterior, truth.states
    if len(states) < 2:
        return {}
    state = truth.images.state[posterior.rows]
    right = float(np.mean(posterior.most_probable() == state))
    told = {"right": right, "chance": float(states.population.max())}
    return told | {"correlation": _correlations(posterior, truth, state)}


def _correlations(posterior, truth: GroundTruth, state) -> dict[str, float]:
    """Per coordinate: absolute rank correlation of the posterior mean, for angles of a circle the
    circular correlation of the mean direction, for classes none."""
    from scipy.stats import spearmanr

    found, probability = {}, posterior.probability()
    for column, coordinate in enumerate(truth.states.coordinates):
        values = truth.states.conformation[:, column]
        if coordinate.categorical:
            continue
        if coordinate.period is None:
            mean = probability @ values
            found[coordinate.name] = abs(float(spearmanr(mean, values[state]).statistic))
        else:
            turn = 2 * np.pi / coordinate.period
            mean = np.angle(probability @ np.exp(1j * turn * values))
            found[coordinate.name] = _circular(mean, turn * values[state])
    return found


def _circular(found, true) -> float:
    """`|mean exp(i(found - true))|`: 1 where they differ by a constant."""
    return float(np.abs(np.mean(np.exp(1j * (found - true)))))


def reference_table(folder: Path, names: list[str]) -> str:
    """One row per suite whose references were made."""
    rows = [HEAD, "| --- " * HEAD.count(" | ") + "| --- |"]
    for name in names:
        path = folder / f"{name}.json"
        held = json.loads(path.read_text()).get("references") if path.exists() else None
        rows += [_row(name, held)] if held else []
    return "\n".join(rows)


def _row(name: str, held: dict) -> str:
    cells = [name, *_pair(held, "moving region"), *_pair(held, "molecule")]
    told = held.get("correlation", {})
    cells += [
        f"{min(held['bandwidths']):.2g} to {max(held['bandwidths']):.2g}",
        ", ".join(f"{key} {value:.3f}" for key, value in told.items()) or "-",
        f"{held['right']:.3f}" if "right" in held else "-",
        f"{held['chance']:.3f}" if "chance" in held else "-",
        f"{held['wall_s']:.0f}",
        f"{held['cpu_s']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _pair(held: dict, mask: str) -> list[str]:
    if mask not in held["consensus"]:
        return ["-", "-", "-"]
    low, high = held["consensus"][mask], held["oracle"][mask]
    return [f"{low:.3f}", f"{high:.3f}", f"{high - low:.3f}"]
