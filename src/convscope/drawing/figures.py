"""Matplotlib figures as PNG."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's bytes."""
    content = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()
