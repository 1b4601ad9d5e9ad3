"""Images that were left out of a fit of normal modes have no hypothesis, and no say."""

import numpy as np

from cryojax_het.commands.modes_round import told_rows
from cryojax_het.results.latents import LatentTable


def test_images_without_hypotheses_are_not_told(tmp_path):
    table = LatentTable(tmp_path)
    table.create("hypothesis_log_evidence", (5, 2))
    rows = np.array([[0.0, 0.0], [0.0, -np.inf], [1.0, -3.0], [-np.inf, -np.inf]], np.float32)
    table.write("hypothesis_log_evidence", np.array([0, 1, 3, 4]), rows)
    np.testing.assert_array_equal(told_rows(table, np.arange(5)), [0, 1, 3])
    np.testing.assert_array_equal(told_rows(table, np.array([4, 2])), [])
