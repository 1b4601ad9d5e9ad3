"""Tables of numbers as an analysis leaves them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """A CSV file of columns of one length by name; whole numbers and truth values as integers."""
    whole = [column.dtype.kind in "biu" for column in columns.values()]
    rows = np.stack([np.asarray(column, np.float64) for column in columns.values()], axis=1)
    form = ["%d" if w else "%.6g" for w in whole]
    np.savetxt(path, rows, form, delimiter=",", header=",".join(columns), comments="")
