"""Plots of lines as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 640
_HEIGHT: Final = 360
_LEFT: Final = 64
_RIGHT: Final = _WIDTH - 24
# Title, the names of the lines and that of the upward axis are above the lines, so that they never
# cover each other.
_TOP: Final = 72
_BOTTOM: Final = _HEIGHT - 52
_COLOURS: Final = ("#1f6feb", "#d1495b", "#2a9d8f")


def line_plot(
    title: str,
    x_name: str,
    y_name: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
) -> str:
    """A plot of these lines, both axes from 0."""
    points = [point for line in lines.values() for point in line]
    x_ticks = ticks(max((x for x, _ in points), default=1.0))
    y_ticks = ticks(max((y for _, y in points), default=1.0))

    def across(x: float) -> float:
        return round(_LEFT + x / x_ticks[-1] * (_RIGHT - _LEFT), 1)

    def up(y: float) -> float:
        return round(_BOTTOM - y / y_ticks[-1] * (_BOTTOM - _TOP), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="12" y="22" font-size="14">{escape(title)}</text>',
        f'<text x="12" y="{_TOP - 12}">{escape(y_name)}</text>',
        f'<text x="{_RIGHT}" y="{_HEIGHT - 12}" text-anchor="end">{escape(x_name)}</text>',
    ]
    for y in y_ticks:
        parts += [
            f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{up(y)}" y2="{up(y)}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 6}" y="{up(y) + 4}" text-anchor="end">'
            f"{label(y, y_ticks[-1])}</text>",
        ]
    parts += [
        f'<text x="{across(x)}" y="{_BOTTOM + 18}" text-anchor="middle">'
        f"{label(x, x_ticks[-1])}</text>"
        for x in x_ticks
    ]
    for index, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{across(x)},{up(y)}" for x, y in line)
        legend = _RIGHT - 180 * (len(lines) - index) + 20
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<line x1="{legend}" x2="{legend + 16}" y1="{_TOP - 16}" y2="{_TOP - 16}"'
            f' stroke="{colour}" stroke-width="2"/>',
            f'<text x="{legend + 22}" y="{_TOP - 12}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def ticks(most: float) -> list[float]:
    """Round numbers from 0 to the first that is not below `most`: four to six steps."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / 5
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def label(value: float, most: float) -> str:
    """A number on an axis that goes up to `most`, as people read it: 250, 5 k, 2.5 M."""
    if value and most >= 1e6:
        return f"{value / 1e6:g} M"
    if value and most >= 1e4:
        return f"{value / 1e3:g} k"
    return f"{value:g}"
