"""Pickles that hold NumPy arrays and nothing else; any other content is refused unread."""

import pickle
from pathlib import Path
from typing import Any

_ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("_codecs", "encode"),
    *(
        (f"{module}.{place}", name)
        for module in ("numpy.core", "numpy._core")
        for place, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which may run code")
        return super().find_class(module, name)


def load_arrays(path: Path) -> Any:
    """The arrays, tuples, lists and numbers pickled in `path`.

    Raises `FileNotFoundError`, and `ValueError` where the file is no pickle or asks for anything
    that is not NumPy data.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    with open(path, "rb") as file:
        try:
            return _ArrayUnpickler(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError) as error:
            raise ValueError(f"{path} is not a pickle of arrays: {error}.") from error
