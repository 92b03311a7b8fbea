"""Measure how often a generator follows keywords and lengths, for its card.

    python tools/control_rates.py models/generator data/streaming data/report

It writes 1,500 plots for prompts with genres and words of test plots: 500 without keyword and length, 500 with a
keyword, and 500 with a length. It prints the rates and saves them as `control_rates.json` in the folder of the report,
where `tools/generator_card.py` finds them.
"""

import sys
from pathlib import Path

from movieplots import PlotGenerator, load_plots
from movieplots.errors import BadInput, sentences
from movieplots.evaluation.control_rates import FILE_NAME, control_rates
from movieplots.files import write_json
from movieplots.formatting import interval, percent
from movieplots.runs.folder import to_json


def main(model: Path, data: Path, report: Path) -> None:
    """Measure the generator in `model`, print its rates and save them."""
    rates = control_rates(PlotGenerator.from_pretrained(model), load_plots(data, "test"))
    for name, rate in {"keyword": rates.keyword, "length": rates.length, **rates.by_length}.items():
        print(f"{name}: {interval(rate.controlled, percent)}; without: {interval(rate.uncontrolled, percent)}")
    write_json(report / FILE_NAME, to_json(rates))


if __name__ == "__main__":
    with sentences():
        if len(sys.argv) != 4:
            raise BadInput("Give the folders of the generator, the prepared plots, and the report.")
        main(*(Path(argument) for argument in sys.argv[1:]))
