from xml.etree import ElementTree

import pytest

from benchmarks import plot

SVG = "{http://www.w3.org/2000/svg}"


def test_a_plot_is_well_formed_and_within_its_frame() -> None:
    drawn = plot.line_plot(
        "Cost < rate & time",
        "rows",
        "µs per webhook",
        {"ingest": [(0.0, 120.0), (5_000_000.0, 133.0)], "drain": [(0.0, 300.0), (5e6, 310.0)]},
    )
    root = ElementTree.fromstring(drawn)  # noqa: S314 - it is our own
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    texts = root.findall(f"{SVG}text")
    for text in texts:
        # Seven pixels are a wide character's of this size.
        length = 7 * len(text.text or "")
        anchor = text.attrib.get("text-anchor", "start")
        left = float(text.attrib["x"]) - {"start": 0, "middle": length / 2, "end": length}[anchor]
        assert left >= 0
        assert left + length <= width
        assert 0 < float(text.attrib["y"]) < height
    assert {text.text for text in texts} >= {"Cost < rate & time", "ingest", "drain", "5 M", "300"}

    lowest_text_above = max(float(text.attrib["y"]) for text in texts if text.text == "ingest")
    for line in root.findall(f"{SVG}polyline"):
        points = [tuple(map(float, one.split(","))) for one in line.attrib["points"].split()]
        assert all(0 <= x <= width and lowest_text_above < y <= height for x, y in points)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (5_000_000, ["0", "1 M", "2 M", "3 M", "4 M", "5 M"]),
        (23_000, ["0", "5 k", "10 k", "15 k", "20 k", "25 k"]),
        (7.3, ["0", "2", "4", "6", "8"]),
        (0, ["0", "1"]),
    ],
)
def test_ticks_are_round_numbers(most: float, expected: list[str]) -> None:
    found = plot.ticks(most)
    assert found[-1] >= most
    assert [plot.label(tick, found[-1]) for tick in found] == expected
