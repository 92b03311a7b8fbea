"""Measure in a real browser how long a writer waits for the first words and for three complete ideas.

    python benchmarks/studio.py --model GENERATOR --classifier QUANTIZED --novelty NOVELTY.npz

Headless Chromium, the studio and the API share the cores of the machine, as on a laptop.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from claims import at_most, conclude
from playwright.sync_api import Page, sync_playwright
from servers import serving

from movieplots.errors import BadInput, sentences

FIRST, IDEAS, PRESSES = 1.0, 6.0, 9
GROWING = "[...document.querySelectorAll('.caret')]"  # plots that are still being generated
WORDS = f"{GROWING}.some(plot => plot.parentElement.textContent.trim().length > 3)"
COMPLETE = "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.innerText.includes('Continue'))"
DONE = f"{GROWING}.length === 0 && {COMPLETE}.length === 3"


def main() -> int:
    """Print the results, then the claims as one JSON line; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(description="Measure how long a writer waits in the studio.")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained generator")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of a quantized classifier")
    parser.add_argument("--novelty", type=Path, required=True, help="file that `movieplots novelty` wrote")
    arguments = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        raise BadInput("Chromium is not installed. On Debian and Ubuntu: apt-get install chromium.")

    models = ["--generator", arguments.model, "--classifier", arguments.classifier, "--novelty", arguments.novelty]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        history = ["--history", Path(folder) / "history.sqlite"]
        with serving("studio", *models, *history, ready="/_stcore/health") as (address, answered, _):
            start = time.perf_counter() - answered
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1360, "height": 900})
            page.goto(address)
            page.get_by_role("button", name="Write three ideas").wait_for()
            usable = time.perf_counter() - start
            press(page)  # waits until the models are loaded
            waits = [press(page) for _ in range(PRESSES)]
            browser.close()

    first, finished = (median(times) for times in zip(*waits, strict=True))
    print(f"studio answers after {answered:.1f} s, page usable after {usable:.1f} s")
    print(f"first words after {first:.2f} s, three ideas after {finished:.1f} s (medians of {PRESSES}; slowest: "
          f"{max(wait[0] for wait in waits):.2f} and {max(wait[1] for wait in waits):.1f} s)")  # fmt: skip
    return conclude(
        [
            at_most("seconds from the button to the first words", first, FIRST),
            at_most("seconds from the button to three complete ideas with their genres", finished, IDEAS),
        ]
    )


def press(page: Page) -> tuple[float, float]:
    """Press the button; return the seconds to the first words and to three complete, analyzed ideas."""
    start = time.perf_counter()
    page.get_by_role("button", name="Write three ideas").click()
    page.wait_for_function(WORDS, timeout=60_000)
    first = time.perf_counter() - start
    page.wait_for_function(DONE, timeout=60_000)
    finished = time.perf_counter() - start
    page.wait_for_timeout(1500)
    return first, finished


if __name__ == "__main__":
    with sentences():
        sys.exit(main())
