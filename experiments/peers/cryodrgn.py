"""cryoDRGN 4.x (`train_vae`, known poses) on a STAR file; its outputs as plain files.

    python cryodrgn.py PARTICLES.star -o OUT --bin ENV/bin --zdim 4 --epochs 20

Conventions: cryoDRGN multiplies the data by -1 and has a CTF of the opposite sign, which is right
as it is for RELION's convention (white particles, CTF > 0 at low frequency); `OUT/consensus.mrc`,
its own back-projection, shows it: density must be positive. Decoded maps are in units of the
normalised data; scores that depend on scale must fit one.

Cut for two CPU cores: networks of 3 x 256 instead of 3 x 1024, no mixed precision, one thread (two
threads that wait for each other on a shared machine were several times slower). A small data set
takes few steps per epoch: 2,000 images at cryoDRGN's rate of 1e-4 had after 20 epochs only begun to
separate their states, and were no better than the consensus; hence the rate of 5e-4 here.
"""

import argparse
import os
import pickle
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from layout import (
    DataSet,
    chosen_rows,
    fresh_folder,
    map_name,
    open_data,
    parser,
    place_map,
    write_latents,
)
from stages import PeerRun, versions

PACKAGES = ["cryodrgn", "torch", "numpy"]
CUT = "networks narrower than 1024, no mixed precision, few threads; learning rate raised"


def arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--epochs", type=int, default=20)
    made.add_argument("--dim", type=int, default=256, help="width of encoder and decoder")
    made.add_argument("--layers", type=int, default=3, help="hidden layers of each")
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--rate", type=float, default=5e-4, help="learning rate; cryoDRGN's: 1e-4")
    made.add_argument("--beta", type=float, help="weight of the KL term; cryoDRGN's: 1/zdim")
    made.add_argument("--uninvert", action="store_true", help="leave the sign of the data")
    made.add_argument("--threads", type=int, default=1)
    return made.parse_args()


def start(options: argparse.Namespace, data: DataSet) -> PeerRun:
    names = ("zdim", "epochs", "dim", "layers", "batch", "rate", "beta", "uninvert", "seed")
    settings = {"particles": str(data.star), **{n: getattr(options, n) for n in names}}
    threads = {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    about = {"versions": versions(options.bin / "python", PACKAGES), "cut": CUT}
    return PeerRun(
        output=options.output, peer="cryodrgn", settings=settings, environment=threads, about=about
    )


def inputs(run: PeerRun, options: argparse.Namespace, data: DataSet) -> list:
    """Poses and CTF in cryoDRGN's files; the words that every later stage ends with."""
    program = options.bin / "cryodrgn"
    poses, ctf = run.work / "poses.pkl", run.work / "ctf.pkl"
    run.stage("poses", [program, "parse_pose_star", data.star, "-o", poses], poses)
    run.stage("ctf", [program, "parse_ctf_star", data.star, "-o", ctf], ctf)
    words = [data.star, "--datadir", data.star.parent, "--poses", poses, "--ctf", ctf]
    return words + ["--uninvert-data"] * options.uninvert


def backproject(run: PeerRun, options: argparse.Namespace, data: DataSet, words: list) -> None:
    """The peer's consensus: checks the conventions without any truth."""
    folder = run.work / "backproject"
    command = [options.bin / "cryodrgn", "backproject_voxel", *words, "-o", folder]
    run.stage("backproject", command, folder / "backproject.mrc")
    place_map(folder / "backproject.mrc", options.output / "consensus.mrc", data)


def train(run: PeerRun, options: argparse.Namespace, words: list) -> Path:
    """Train; returns the folder of weights and latents."""
    folder = run.work / "train"
    shape = [f"--{net}-{part}" for net in ("enc", "dec") for part in ("dim", "layers")]
    sizes = [options.dim, options.layers] * 2
    command = [options.bin / "cryodrgn", "train_vae", *words, "-o", folder]
    command += ["--zdim", options.zdim, "-n", options.epochs, "-b", options.batch]
    command += ["--lr", options.rate, "--seed", options.seed, "--no-amp", "--no-analysis"]
    command += [word for pair in zip(shape, sizes, strict=True) for word in pair]
    if options.beta is not None:
        command += ["--beta", options.beta]
    run.stage("train", command, folder / f"z.{options.epochs}.pkl")
    return folder


def latents(path: Path) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d d"]]:
    """Mean and diagonal covariance of the encoder: two pickles, one after the other."""
    with open(path, "rb") as file:
        mean, log_variance = pickle.load(file), pickle.load(file)
    return mean, np.exp(log_variance)[:, :, None] * np.eye(mean.shape[1])


def decode(run: PeerRun, options: argparse.Namespace, data: DataSet, rows: Int[np.ndarray, " k"]):
    """Maps at the latents of `rows`."""
    folder, points = run.work / "decoded", run.work / "points.txt"
    np.savetxt(points, np.load(options.output / "latents.npy")[rows])
    last = folder / f"vol_{len(rows):03d}.mrc"
    last.unlink(missing_ok=True)
    train_folder = run.work / "train"
    command = [options.bin / "cryodrgn", "eval_vol", train_folder / f"weights.{options.epochs}.pkl"]
    command += ["-c", train_folder / "config.yaml", "--zfile", points, "-o", folder]
    run.stage("decode", [*command, "--Apix", data.pixel_size], last)
    maps = fresh_folder(options.output / "maps")
    for number, row in enumerate(rows, start=1):
        place_map(folder / f"vol_{number:03d}.mrc", maps / map_name(row), data)


def main() -> None:
    """Parse, back-project, train, decode."""
    options = arguments()
    # a symbolic link of an environment must not be followed: it leads out of it
    options.bin, options.output = Path(os.path.abspath(options.bin)), options.output.resolve()
    data = open_data(options.particles)
    run = start(options, data)
    words = inputs(run, options, data)
    backproject(run, options, data, words)
    folder = train(run, options, words)
    write_latents(options.output, *latents(folder / f"z.{options.epochs}.pkl"), data.count)
    decode(run, options, data, chosen_rows(options, data.count))
    run.write()


if __name__ == "__main__":
    main()
