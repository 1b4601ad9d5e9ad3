"""The README's example runs as printed."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_python_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(code, str(README), "exec"), names)
    assert names["image"].shape == (64, 64)
    assert np.isfinite(names["value"])
    assert np.abs(names["gradient"]).max() > 0
    # Seen from 0.25 rad, the truth lies at 0.3 about x: uphill.
    assert names["gradient"][0] > 0
