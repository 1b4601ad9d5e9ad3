"""Scores as shares between chance and a ceiling."""

import numpy as np
import pytest

from cryojax_het.analysis.chance import Score, as_points, check_paired, some_rows


def test_share_is_zero_by_chance_and_one_at_the_ceiling_whichever_is_larger():
    assert Score(0.6, 0.2).share() == pytest.approx(0.5)
    assert Score(0.2, 0.2).share(0.7) == 0
    assert Score(0.7, 0.2).share(0.7) == 1
    assert Score(0.25, 1.0).share(0.0) == pytest.approx(0.75)
    assert np.isnan(Score(0.3, 0.2).share(0.2))


def test_bad_rows_are_named():
    latent = np.zeros((5, 2))
    latent[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"`z` must be finite. 1 of 5 rows .* row 3"):
        as_points(latent, "z")
    with pytest.raises(ValueError, match=r"at least 3 rows. Got 2"):
        as_points(latent[:2], "z")
    with pytest.raises(ValueError, match=r"`a` and `b` .* Got 5 and 4"):
        check_paired(latent, latent[:4], ("a", "b"))


def test_rows_are_all_or_a_draw_without_repeats():
    np.testing.assert_array_equal(some_rows(7, 7, 0), np.arange(7))
    rows = some_rows(100, 90, 0)
    assert len(np.unique(rows)) == 90
    assert (np.diff(rows) > 0).all()
    assert not np.array_equal(rows, some_rows(100, 90, 1))
