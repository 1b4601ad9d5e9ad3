"""Which solution a reconstruction takes, and over how many CPU devices it spreads the sums."""

import os

from ..inference.updates.methods import AbstractMethod, Diagonal, Exact
from ..volumes.kernel import quadratic

TABLE_MEMORY = 600e6  # bytes that the tables of all CPU devices may take together
SOLVING_MEMORY = 1.5e9  # bytes that `auto` lets the exact solution take


def choose_method(wanted: str, size: int) -> AbstractMethod:
    """`exact` or `diagonal`; `auto`: exact where its solution fits `SOLVING_MEMORY`.

    The exact solution had the smaller error in all measured cases
    (`experiments/exact_normal_equations`).
    """
    known = {"exact": Exact(), "diagonal": Diagonal()}
    if wanted == "auto":
        wanted = "exact" if solving_bytes(known["exact"], size) <= SOLVING_MEMORY else "diagonal"
    if wanted not in known:
        raise ValueError(f"`--method` must be auto, {' or '.join(known)}. Got {wanted!r}.")
    return known[wanted]


def table_bytes(method: AbstractMethod, size: int) -> float:
    """Memory of the sums of both half-sets on one device."""
    return 2 * method.table_bytes(size, quadratic())


def solving_bytes(method: AbstractMethod, size: int) -> float:
    """Memory at the end of a pass: both half-sets' tables and what solving one of them takes,
    about eight arrays of the size of its largest table (measured for the exact solution)."""
    return table_bytes(method, size) + 6 * method.table_bytes(size, quadratic())


def affordable_devices(method: AbstractMethod, size: int) -> int:
    """One CPU device per core, as far as their tables fit `TABLE_MEMORY`."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, int(TABLE_MEMORY // table_bytes(method, size))))
