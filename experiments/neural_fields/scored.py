"""Neural fields and cryoDRGN itself on the small sets: same images, network, batch, rate, epochs.

    python scored.py SETS OUT --cryodrgn-bin ENV/bin [--only CaM-1D] [--methods encoder table]

SETS: the folder of `../six_sets/simulate.py`, rows cut as `../six_sets/peers.md` says. `encoder`:
`fit --volume cryodrgn`, `mean-rate` at twice the rate; `table`: `fit --volume drgn-ai-fixed`,
`fast-table` with rows ten times as fast; `both`: an encoder whose latents are a table in the last
five epochs; `cryodrgn`: driver of `../peers`.
Then maps of the rows of `rows.txt`, validation, and what latents tell of defocus and view. What is
there is not done again. Prints the rows of a table.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from cryojax_het.particles.relion import read_relion

NETWORK = ["--decoder-layers", 256, 3, "--encoder-layers", 256, 3, "--latent", 4]
EPOCHS = ["--epochs", 20, "--batch", 16, "--devices", 1]
COURSE = [*EPOCHS, "--rate", 5e-4]
FLAGS = {
    "encoder": ["--volume", "cryodrgn", "--divergence", 0.25, *NETWORK, *COURSE],
    # Our rate falls to 0 as a cosine, cryoDRGN's stays: the same in the mean.
    "mean-rate": ["--volume", "cryodrgn", "--divergence", 0.25, *NETWORK, *EPOCHS, "--rate", 1e-3],
    "table": ["--volume", "drgn-ai-fixed", *NETWORK, *COURSE],
    "fast-table": ["--volume", "drgn-ai-fixed", "--row-rate", 0.1, *NETWORK, *COURSE],
    "both": ["--volume", "cryodrgn", "--divergence", 0.25, "--table-epochs", 5, *NETWORK, *COURSE],
}
METHODS = (*FLAGS, "cryodrgn")


def timed(log: Path, *words) -> None:
    """One command; its CPU seconds go into `log`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(word) for word in words], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    log.write_text(json.dumps({"cpu_seconds": spent}))


def ours(method: str, kind: Path, out: Path, rows: str) -> Path:
    """Fit and maps; the run folder."""
    program, run = [sys.executable, "-m", "cryojax_het"], out / method
    if not (out / f"{method}.json").is_file():
        fit = ["fit", kind / "particles.star", "-o", run, *FLAGS[method]]
        timed(out / f"{method}.json", *program, *fit)
    if not (run / "maps").is_dir():
        maps = ["volumes", run, "--particles", rows, "--by", "model", "-o", run / "maps"]
        timed(out / f"{method}-maps.json", *program, *maps)
    return run


def peer(kind: Path, out: Path, binaries: Path) -> Path:
    """cryoDRGN by its driver, which goes on where it stopped; the folder of plain files."""
    run, driver = out / "cryodrgn", Path(__file__).parents[1] / "peers" / "cryodrgn.py"
    if not (run / "maps").is_dir():
        words = [sys.executable, driver, kind / "particles.star", "-o", run, "--bin", binaries]
        words += ["--zdim", 4, "--epochs", 20, "--rate", 5e-4, "--rows", kind / "rows.txt"]
        timed(out / "cryodrgn.json", *words)
    return run


def told(latents: np.ndarray, target: np.ndarray) -> float:
    """Best cross-validated R² of `target` from latents, by a plane and by neighbours."""
    x = StandardScaler().fit_transform(latents)
    models = (RidgeCV(np.logspace(-3, 3, 7)), KNeighborsRegressor(100))
    guesses = [cross_val_predict(model, x, target, cv=5) for model in models]
    return max(
        1 - np.sum((target - g) ** 2) / np.sum((target - target.mean()) ** 2) for g in guesses
    )


def leaks(latents: np.ndarray, kind: Path) -> tuple[float, float]:
    """R² of the defocus, and the largest of the view's coordinates and their products."""
    particles = read_relion(kind / "particles.star").table()
    defocus = np.asarray(particles.defocus_u + particles.defocus_v) / 2
    with h5py.File(kind / "truth.h5") as file:
        view = file["images/rotation"][:][:, 2]
    pairs = [view[:, i] * view[:, j] for i in range(3) for j in range(i, 3)]
    return told(latents, defocus), max(told(latents, v) for v in [*view.T, *pairs])


def scored(method: str, run: Path, kind: Path, out: Path) -> dict:
    """The validation and the leaks, computed once."""
    folder = out / f"{method}-scores"
    if not (folder / "scores.json").is_file():
        words = ["-m", "cryojax_het", "validate", run, "--maps", run / "maps"]
        words += ["--truth", kind, "-o", folder]
        subprocess.run([sys.executable, *map(str, words)], check=True)
    scores = json.loads((folder / "scores.json").read_text())
    latents = next(
        p for p in (run / "latents/conformation.npy", run / "latents.npy") if p.is_file()
    )
    scores["r2"] = leaks(np.load(latents), kind)
    return scores


def row(name: str, method: str, scores: dict, out: Path) -> str:
    """A line of the table."""
    mask = scores["headline"]["mask"]
    maps, latents = scores["maps"][mask], scores["latents"]
    medians = [maps[who]["median"] for who in ("method", "consensus", "oracle")]
    gap = (medians[0] - medians[1]) / (medians[2] - medians[1])
    near = latents["neighbourhood similarity"]
    motion = [f"{v['value']:.3f}" for k, v in latents.items() if k.endswith("rank correlation")]
    seconds = json.loads((out / f"{method}.json").read_text())["cpu_seconds"]
    defocus, view = scores["r2"]
    cells = [name, method, f"{100 * gap:.0f} %", *(f"{m:.3f}" for m in medians)]
    cells += [f"{near['value']:.3f} ({100 * near['share']:.0f} %)", ", ".join(motion) or "-"]
    cells += [f"{defocus:.3f}", f"{view:.3f}", f"{seconds:.0f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Every run asked for."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("sets", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--cryodrgn-bin", type=Path)
    sets = ["CaM-1D", "30S-comp", "IgG-1D", "Hsp90-2D"]
    made.add_argument("--only", nargs="+", choices=sets, default=sets)
    made.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = made.parse_args()
    for name in options.only:
        kind, out = options.sets / name, options.out / name
        out.mkdir(parents=True, exist_ok=True)
        rows = ",".join((kind / "rows.txt").read_text().split())
        for method in options.methods:
            if method == "cryodrgn":
                run = peer(kind, out, options.cryodrgn_bin)
            else:
                run = ours(method, kind, out, rows)
            print(row(name, method, scored(method, run, kind, out), out), flush=True)


if __name__ == "__main__":
    main()
