"""A report's comparison with the truth and with another run."""

from dataclasses import dataclass, field
from typing import Any, final

from ..report.page_columns import Column, truth_columns
from ..simulate.truth import open_truth
from .report import ReportConfig
from .report_run import Reported


@final
@dataclass(frozen=True, kw_only=True)
class Beside:
    """Columns of images and sections of the page that come from outside of the run."""

    columns: list[Column] = field(default_factory=list)
    sections: list[dict[str, Any]] = field(default_factory=list)


def beside(reported: Reported, config: ReportConfig) -> Beside:
    """What `--truth` and `--against` add. Raises as `ReportConfig`'s command does."""
    found = Beside()
    if config.truth is not None:
        found.columns.extend(truth_columns(open_truth(config.truth)))
    return found
