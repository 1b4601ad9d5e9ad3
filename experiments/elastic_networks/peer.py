"""ProDy's modes of the networks that `compare.py` lays out. Runs in ProDy's own environment.

python peer.py WORK FOUND: `work` holds `NAME/positions`, `cutoff`, `blocks` and `count`.
"""

import sys
import time

import numpy as np
import prody  # pyright: ignore[reportMissingImports]


def anm(positions, cutoff, count):
    """Eigenvalues and vectors `[k, 3n]` of ProDy's ANM, and seconds of CPU."""
    started = time.process_time()
    model = prody.ANM("full")
    model.buildHessian(positions, cutoff=cutoff)
    model.calcModes(count)
    return model.getEigvals(), model.getEigvecs().T, time.process_time() - started


def rtb(positions, cutoff, blocks, count):
    """The same of its rigid blocks."""
    started = time.process_time()
    model = prody.RTB("blocks")
    model.buildHessian(positions, blocks, cutoff=cutoff)
    model.calcModes(count)
    return model.getEigvals(), model.getEigvecs().T, time.process_time() - started


def main() -> None:
    prody.confProDy(verbosity="none")
    work = dict(np.load(sys.argv[1]))
    found = {"version": prody.__version__}
    for name in sorted({key.split("/")[0] for key in work}):
        at = lambda key, name=name: work[f"{name}/{key}"]
        positions, cutoff, count = at("positions"), float(at("cutoff")), int(at("count"))
        for kind, modes in (
            ("full", anm(positions, cutoff, count)),
            ("blocks", rtb(positions, cutoff, at("blocks"), count)),
        ):
            for key, value in zip(("values", "vectors", "seconds"), modes, strict=True):
                found[f"{name}/{kind}/{key}"] = value
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
