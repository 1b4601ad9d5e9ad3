"""What the package logs, and what is warned of, on the terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminal_messages() -> Iterator[None]:
    """Inside, what the package logs and what is warned of goes to the terminal."""
    logger, warned = logging.getLogger("cryojax_het"), logging.getLogger("py.warnings")
    level, handler = logger.level, _Messages()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    warned.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        warned.removeHandler(handler)
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Messages(logging.Handler):
    """Prints above a progress bar that may be running."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        text = record.getMessage()
        if record.name == "py.warnings":
            # "file:line: UserWarning: sentence", then a line of source.
            text = text.splitlines()[0].split("Warning: ", 1)[-1]
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        tqdm.write(prefix + text, file=sys.stderr)
