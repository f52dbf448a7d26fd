"""Where and with what was measured."""

import os
from datetime import UTC, datetime
from typing import Any

from convscope.runs.environment import environment


def facts() -> dict[str, Any]:
    """JSON-ready: what a run of convscope stores of its surroundings, and memory, load and date."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        **environment(),
        "memory_gib": round(memory / 2**30, 1),
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
