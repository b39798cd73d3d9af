"""One SVG for each scenario: what a request costs, with the least and the most of the turns."""

import math
import os
import xml.etree.ElementTree as ElementTree

import pygal
from pygal.style import CleanStyle

from measure import spread
from scenarios import SCENARIOS
from sides import SIDES


def draw(results, folder):
    os.makedirs(folder, exist_ok=True)
    for scenario in SCENARIOS:
        if scenario.name not in results.scenarios:
            continue
        played = results.scenarios[scenario.name]
        chart = pygal.HorizontalBar(
            title="processor time of a request, us (logarithmic)",
            width=900,
            height=120 + 40 * len(scenario.sides),
            explicit_size=True,
            js=[],
            show_legend=False,
            style=CleanStyle,
            print_values=True,
            logarithmic=True,
            zero=1,  # where the bars begin
            formatter=lambda value: f"{value:,.1f}",
            no_prefix=True,  # a random one would make every run a change
        )
        # The first is drawn at the bottom.
        names = list(reversed(scenario.sides))
        chart.x_labels = [SIDES[name][0] for name in names]
        costs = [spread(turn["cost_us"] for turn in played[name]) for name in names]
        highest = max(of.most for of in costs)
        chart.range = (1, 1.2 * highest)
        chart.y_labels = [10**power for power in range(1 + math.floor(math.log10(highest)))]
        chart.add(
            "cost",
            [{"value": of.median, "ci": {"low": of.least, "high": of.most}} for of in costs],
        )
        _write(chart.render_tree(), os.path.join(folder, scenario.name + ".svg"))


def _write(picture, file):
    """Without its script, which no viewer of Markdown runs."""
    for parent in picture.iter():
        for child in [one for one in parent if str(one.tag).endswith("script")]:
            parent.remove(child)
    ElementTree.ElementTree(picture).write(file, encoding="utf-8")
