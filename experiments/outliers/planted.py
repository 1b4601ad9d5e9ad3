"""Planted junk and a planted rare state: what `analyse` flags, and what it keeps.

    python experiments/outliers/planted.py FOLDER [--count 3000] [--snr 0.1]

A hinged molecule at -20° to 20° (77 %), a rare state of it at 70° to 75° (2 %), pure noise (10 %),
and two other molecules: a relative with a crank (6 %), and an antibody (5 %), each with the poses
of its images shuffled, since nothing aligns them with the molecule. All have the noise of one level
and one optics group; the clean antibody is scaled to the molecule's variance. The stack goes
through `fit --volume linear` and
`analyse` as a user's would: neither knows what is in it.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from cryojax_het.cli import main as cryojax_het
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.open import open_particles
from cryojax_het.particles.source import Concatenated, make_particles
from cryojax_het.particles.stack_writer import StackWriter

SHARES = {"main": 0.77, "rare": 0.02, "noise": 0.10, "ring": 0.06, "antibody": 0.05}
SIZE, PIXEL = 48, 5.0


def simulate(folder, name, count, *options):
    """Clean images by the command, once."""
    output = folder / name
    if not (output / "particles.star").is_file():
        line = ["simulate", *options, "-o", str(output), "--count", str(count), "--snr", "inf"]
        line += ["--size", str(SIZE), "--pixel-size", str(PIXEL)]
        if cryojax_het(line):
            raise SystemExit(f"{name} was not simulated")
    return open_particles(output / "particles.star")


def planted_stack(folder, count, snr, data):
    """The STAR file of the shuffled whole, and the kind of each image."""
    if (folder / "kind.npy").is_file():
        return folder / "planted.star", np.load(folder / "kind.npy")
    number = {name: round(share * count) for name, share in SHARES.items()}
    hinge = lambda low, high: ["hinge", "--hinge", str(low), str(high)]
    sources = {
        "main": simulate(folder, "main", number["main"], *hinge(-20, 20), "--seed", "1"),
        "rare": simulate(folder, "rare", number["rare"], *hinge(70, 75), "--seed", "2"),
        "noise": simulate(folder, "noise", number["noise"], *hinge(0, 0), "--seed", "3"),
        "ring": simulate(folder, "ring", number["ring"], "ring", "--seed", "4"),
        "antibody": simulate(folder, "antibody", number["antibody"], str(data), "--seed", "5"),
    }
    kind = np.repeat(list(number), list(number.values()))
    images = {name: source.read(np.arange(len(source))) for name, source in sources.items()}
    level = float(np.var(images["main"]))
    images["noise"] = 0 * images["noise"]
    images["antibody"] *= np.sqrt(level / np.var(images["antibody"]))
    clean = np.concatenate([images[name] for name in number])
    table = Concatenated([sources[name] for name in number]).table()
    rng = np.random.default_rng(0)
    columns = {k: v for k, v in table.columns().items() if k not in ("group", "half", "size")}
    for name in ("ring", "antibody"):
        foreign = np.flatnonzero(kind == name)
        columns["rotation"][foreign] = columns["rotation"][rng.permutation(foreign)]
    order = rng.permutation(len(kind))
    noisy = clean + np.sqrt(level / snr) * rng.normal(size=clean.shape)
    columns = {k: v[order] for k, v in columns.items()}
    particles = make_particles(len(kind), size=SIZE, half=1 + np.arange(len(kind)) % 2, **columns)
    with StackWriter(folder / "planted.mrcs", SIZE, PIXEL) as stack:
        stack.append(noisy[order].astype(np.float32))
    names = [f"{i + 1}@planted.mrcs" for i in range(len(kind))]
    new_star(folder / "planted.star", particles, names)
    np.save(folder / "kind.npy", kind[order])
    return folder / "planted.star", kind[order]


def auroc(score, positive, negative):
    """Probability that a positive scores above a negative."""
    rank = rankdata(np.concatenate([score[positive], score[negative]]))
    n, m = positive.sum(), negative.sum()
    return (rank[:n].sum() - n * (n + 1) / 2) / (n * m)


def table(path):
    """Columns of a CSV file."""
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def ranks_of_all(scores):
    """All scores combined by rank, rarity among them: what junk scores often are."""
    signs = {"residual_excess": 1, "mahalanobis": 1, "log_density": -1, "particle_ratio": -1}
    parts = [rankdata(sign * scores[name]) for name, sign in signs.items()]
    return np.mean([*parts, rankdata(np.abs(scores["contrast_deviation"]))], axis=0)


def report(scores, kind):
    """Lines of the table: AUROC of each kind by each score, then what the threshold does."""
    shown = {name: scores[name] for name in ("junk", "residual_excess", "mahalanobis")}
    shown |= {"-contrast_deviation": -scores["contrast_deviation"]}
    shown |= {"-particle_ratio": -scores["particle_ratio"], "-log_density": -scores["log_density"]}
    if "log_likelihood_gain" in scores:
        shown["-log_likelihood_gain"] = -scores["log_likelihood_gain"]
    shown["all by rank"] = ranks_of_all(scores)
    others = ["noise", "ring", "antibody", "rare"]
    yield "| score | " + " | ".join(f"AUROC {name}" for name in others) + " |"
    yield "|---" * (len(others) + 1) + "|"
    good = kind == "main"
    for name, score in shown.items():
        cells = [f"{auroc(score, kind == other, good):.3f}" for other in others]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    yield "| flagged | main | rare | noise | ring | antibody | precision | recall |"
    yield "|---|---|---|---|---|---|---|---|"
    junk = np.isin(kind, ["noise", "ring", "antibody"])
    rules = {"junk, threshold 4": scores["flagged"] > 0}
    worst = np.sort(shown["all by rank"])[-int(rules["junk, threshold 4"].sum())]
    rules["all by rank, as many"] = shown["all by rank"] >= worst
    for name, flagged in rules.items():
        share = [f"{100 * flagged[kind == k].mean():.1f} %" for k in SHARES]
        cells = [*share, f"{(flagged & junk).sum() / max(flagged.sum(), 1):.3f}"]
        yield f"| {name} | " + " | ".join([*cells, f"{flagged[junk].mean():.3f}"]) + " |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--components", default="3")
    parser.add_argument("--antibody", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    star, kind = planted_stack(options.folder, options.count, options.snr, options.antibody)
    run = options.folder / "run"
    times = []
    fit = ["fit", str(star), "--volume", "linear", "--components", options.components]
    for line in ([*fit, "-o", str(run)], ["analyse", str(run), "--clusters", "10"]):
        began = time.monotonic()
        if cryojax_het(line):
            raise SystemExit(f"{line[0]} failed")
        times.append(time.monotonic() - began)
    lines = list(report(table(run / "analysis" / "image_scores.csv"), kind))
    lines.append(
        f"\n{len(kind)} images, SNR {options.snr:g}; fit {times[0]:.0f} s, analyse "
        f"{times[1]:.0f} s."
    )
    (options.folder / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(json.dumps(json.loads((run / "run.json").read_text())["summary"]))


if __name__ == "__main__":
    main()
