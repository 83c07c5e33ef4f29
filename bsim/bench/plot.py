"""A bar chart of ratios, on a logarithmic scale: SVG written here, PNG by matplotlib where that is installed."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from bsim.bench.runner import BenchError, Result, Row

SUFFIXES: Final = (".svg", ".png")
_WIDTH, _LEFT, _RIGHT = 860, 290, 70
_BAR, _STEP, _HEAD, _FOOT, _LEGEND = 14, 20, 40, 30, 24
_OURS, _FLOOR, _OTHER = "#1f6feb", "#57606a", "#9aa4af"
_TEXT: Final = 'font-family="system-ui, sans-serif" fill="#1f2328"'


def write(path: Path, results: Sequence[Result]) -> None:
    """Draw the ratios of all results into a file by its suffix; BenchError if that cannot be."""
    drawn = [result for result in results if any(row.ratio for row in result.rows)]
    if path.suffix == ".svg":
        path.write_text(svg(drawn), "utf-8")
    elif path.suffix == ".png":
        _png(path, drawn)
    else:
        raise BenchError(f"{path}: a chart is .svg or .png")


def svg(results: Sequence[Result]) -> str:
    """Draw the ratios as SVG, a panel for each result."""
    panels, top = [_legend()], _LEGEND
    for result in results:
        panel, height = _panel(result, top)
        panels.append(panel)
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}">\n'
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>\n{"".join(panels)}</svg>\n'
    )


def _legend() -> str:
    keys = (("what it is compared with", _FLOOR), ("bsim", _OURS), ("others", _OTHER))
    return "".join(
        f'<circle cx="{_LEFT + 180 * at}" cy="16" r="5" fill="{colour}"/>'
        f'<text x="{_LEFT + 180 * at + 10}" y="20" font-size="12" {_TEXT}>{text}</text>\n'
        for at, (text, colour) in enumerate(keys)
    )


def _panel(result: Result, top: int) -> tuple[str, int]:
    rows = _drawn(result)
    place = _scale([ratio for _, ratio in rows])
    bottom = top + _HEAD + len(rows) * _STEP
    title = f"{result.bench}: {result.title}; times {result.floor}"
    parts = [f'<text x="16" y="{top + 26}" font-size="15" font-weight="600" {_TEXT}>{escape(title)}</text>\n']
    for tick in _ticks([ratio for _, ratio in rows]):
        x = place(tick)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + _HEAD - 4}" y2="{bottom}" stroke="#d0d7de"/>'
            f'<text x="{x:.1f}" y="{bottom + 14}" font-size="11" text-anchor="middle" {_TEXT}>{tick:g}</text>\n'
        )
    for number, (row, ratio) in enumerate(rows):
        y = top + _HEAD + number * _STEP
        begin, end = sorted((place(1), place(ratio)))
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 12}" font-size="12" text-anchor="end" {_TEXT}>{escape(row.name)}</text>'
            f'<rect x="{begin:.1f}" y="{y}" width="{max(end - begin, 2):.1f}" height="{_BAR}" rx="2" '
            f'fill="{_colour(result, row)}"/>'
            f'<text x="{end + 6:.1f}" y="{y + 12}" font-size="12" {_TEXT}>{ratio:.3g}</text>\n'
        )
    return "".join(parts), bottom + _FOOT - top


def _drawn(result: Result) -> list[tuple[Row, float]]:
    return [(row, row.ratio.median) for row in result.rows if row.ratio is not None]


def _colour(result: Result, row: Row) -> str:
    if row.name == result.floor:
        return _FLOOR
    return _OTHER if row.peer else _OURS


def _decades(ratios: Sequence[float]) -> tuple[float, float]:
    """The ends of the scale; 1 is always on it, since that is where bars begin."""
    return min(0.8, *ratios) / 1.05, max(2.0, *ratios) * 1.05


def _scale(ratios: Sequence[float]) -> Callable[[float], float]:
    low, high = map(math.log, _decades(ratios))
    return lambda ratio: _LEFT + (math.log(ratio) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _ticks(ratios: Sequence[float]) -> list[float]:
    low, high = _decades(ratios)
    many = high / low > 1000
    steps = (1,) if many else (1, 2, 5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for decade in decades for step in steps if low <= (tick := step * 10.0**decade) <= high]


def _png(path: Path, results: Sequence[Result]) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - nobody needs it but who asks
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise BenchError(f"{path}: PNG takes matplotlib (pip install matplotlib); .svg takes nothing") from None
    counts = [len(_drawn(result)) for result in results]
    figure = Figure(figsize=(9, sum(counts) * 0.25 + len(counts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(results), squeeze=False, height_ratios=counts)[:, 0]
    for axis, result in zip(axes, results, strict=True):
        rows = _drawn(result)
        colours = [_colour(result, row) for row, _ in rows]
        bars = axis.barh([row.name for row, _ in rows], [ratio - 1 for _, ratio in rows], left=1, color=colours)
        axis.bar_label(bars, [f"{ratio:.3g}" for _, ratio in rows], padding=3)
        axis.set(xscale="log", title=f"{result.bench}: {result.title}; times {result.floor}")
        axis.invert_yaxis()
    figure.savefig(path)
