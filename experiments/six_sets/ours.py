"""Our principal volumes on a STAR file, as a user would run them; outputs as plain files.

    python ours.py PARTICLES.star -o OUT --bin ENV/bin --rows rows.txt

`fit --volume linear` with its defaults (the number of components is its own choice), then maps of
the rows by kernel regression (`OUT/maps`) and by the linear model (`OUT/maps_linear`), latents and
their covariance; times and memory as those of the peers (`../peers/stages.py`).
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "peers"))

from layout import chosen_rows, open_data, parser, write_latents
from stages import PeerRun, versions

PACKAGES = ["cryojax_het", "jax", "numpy"]


def main() -> None:
    """Fit, latents, maps."""
    options = parser(__doc__ or "").parse_args()
    options.bin, options.output = Path(os.path.abspath(options.bin)), options.output.resolve()
    data = open_data(options.particles)
    rows = chosen_rows(options, data.count)
    program = options.bin / "cryojax-het"
    about = {"versions": versions(options.bin / "python", PACKAGES), "cut": None}
    settings = {"particles": str(data.star), "rows": rows.tolist()}
    run = PeerRun(output=options.output, peer="cryojax_het", settings=settings, about=about)
    fitted = run.work / "fit"
    last = fitted / "volumes" / "half2.mrc"
    run.stage("fit", [program, "fit", data.star, "-o", fitted, "--seed", options.seed], last)
    mean, covariance = (
        np.load(fitted / "latents" / f"{name}.npy")
        for name in ("conformation", "conformation_covariance")
    )
    write_latents(options.output, mean, covariance, data.count)
    shutil.copy(fitted / "consensus" / "volumes" / "mean.mrc", options.output / "consensus.mrc")
    named = ",".join(map(str, rows))
    for way, folder in (("regression", "maps"), ("model", "maps_linear")):
        out = options.output / folder
        command = [program, "volumes", fitted, "--particles", named, "--by", way, "-o", out]
        run.stage(way, command, out / f"particle_{rows[-1]:06d}.mrc")
        (out / "latents.npy").unlink(missing_ok=True)
    run.write()


if __name__ == "__main__":
    main()
