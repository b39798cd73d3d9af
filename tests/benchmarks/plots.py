"""One SVG for each scenario: what a request costs, with the least and the most of the turns."""

import os

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
            title="processor time of a request, us",
            width=900,
            height=120 + 40 * len(scenario.sides),
            explicit_size=True,
            js=[],
            show_legend=False,
            style=CleanStyle,
            print_values=True,
            logarithmic=True,
            formatter=lambda value: f"{value:,.1f}",
            pretty_print=True,
        )
        # The first is drawn at the bottom.
        names = list(reversed(scenario.sides))
        chart.x_labels = [SIDES[name][0] for name in names]
        costs = [spread(turn["cost_us"] for turn in played[name]) for name in names]
        chart.add(
            "cost",
            [{"value": of.median, "ci": {"low": of.least, "high": of.most}} for of in costs],
        )
        chart.render_to_file(os.path.join(folder, scenario.name + ".svg"))
