"""Text of scores: every number where a reader looks for it."""

from cryojax_het.report.score_table import score_text

AREA = {"images": 200, "median": 0.5, "quartiles": (0.4, 0.6), "resolution": 9.87}
MAPS = {
    "molecule": {
        "method": AREA,
        "consensus": AREA | {"median": 0.3},
        "oracle": AREA | {"median": 0.7},
        "gap_closed": 0.5,
    }
}


def test_a_line_per_score_under_its_head():
    text = score_text(
        {
            "method": "run1",
            "maps": MAPS,
            "latents": {
                "angle: rank": {"value": 0.61, "chance": 0.0, "ceiling": 0.82, "share": 0.74}
            },
            "leaks": {"defocus": {"value": 0.98, "chance": 1.0}},
            "calibration": [{"level": 0.9, "observed": 0.88, "error": 0.01}],
        }
    )
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["run1"]
    expected = ["molecule", "0.500", "0.300", "0.700", "50%", "0.400-0.600", "9.9", "Å"]
    assert expected in lines
    assert ["angle:", "rank", "0.610", "0.000", "0.820", "74%"] in lines
    assert ["imbalance", "to", "defocus", "0.980", "1.000"] in lines
    assert ["90%", "regions", "0.880", "±", "0.010"] in lines
    # Columns stand under their heads.
    table = [line for line in text.splitlines() if line.startswith(("maps", "molecule"))]
    assert len(table[0]) == len(table[1])


def test_only_what_was_scored_is_shown():
    text = score_text({"method": "run1", "spread": {"maps": 0.01}})
    assert "latents" not in text
    assert "0.01" in text


def test_agreement_and_populations():
    text = score_text(
        {
            "method": "a and b",
            "agreement": {"neighbours in common": {"value": 0.4, "chance": 0.02, "share": 0.39}},
            "populations": {
                "distance": 0.01,
                "flat": 0.2,
                "ceiling": 0.005,
                "free_energy": {"value": 0.3, "chance": 1.2, "ceiling": 0.2},
            },
        }
    )
    lines = [line.split() for line in text.splitlines()]
    assert ["neighbours", "in", "common", "0.400", "0.020", "39%"] in lines
    assert ["earth", "mover's", "distance", "0.0100", "0.2000", "0.0050"] in lines
    assert ["free", "energy", "error,", "k_B", "T", "0.300", "1.200", "0.200"] in lines
