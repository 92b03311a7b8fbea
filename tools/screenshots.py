"""Make the screenshots in docs/studio from a running studio, for desktop and phone, in a light and a dark color scheme.

python tools/screenshots.py http://localhost:8501
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PLACE = Path(__file__).parents[1] / "docs" / "studio"
WIDTHS = {"desktop": (1360, 860), "phone": (390, 844)}
COLORS = 128  # of the palette; a third of the size of true color


def main() -> None:
    """Make screenshots of all pages."""
    address = sys.argv[1]
    PLACE.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            for device, (width, height) in WIDTHS.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
                )
                page = context.new_page()
                page.set_default_timeout(60_000)
                for name, visit in (("write", write), ("genres", genres), ("explore", explore), ("poster", poster)):
                    page.goto(f"{address}/{'' if name == 'write' else name}")
                    visit(page)
                    page.wait_for_timeout(1200)
                    save(page, f"{name}-{device}-{scheme}")
        browser.close()


def save(page: Page, name: str) -> None:
    """Save the whole page as a small PNG."""
    page.mouse.move(0, 0)  # no tooltip
    # Streamlit scrolls inside the window, so the window must be as high as the page.
    high = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').getBoundingClientRect().height")
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": min(2400, max(size["height"], int(high) + 20))})
    page.wait_for_timeout(400)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    image.save(PLACE / f"{name}.png", optimize=True)
    page.set_viewport_size(size)


def write(page: Page) -> None:
    """Write three ideas."""
    page.get_by_role("button", name="mystery", exact=True).click()
    page.get_by_label("First words (optional)", exact=True).fill("A lighthouse keeper finds")
    page.get_by_label("First words (optional)", exact=True).blur()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Write three ideas").click()
    page.get_by_text("Your ideas (").wait_for()


def genres(page: Page) -> None:
    """Detect the genres of a plot."""
    page.get_by_role("button", name="Random plot").click()
    page.locator(".words").wait_for()


def explore(page: Page) -> None:
    """Show samples of an evaluation."""
    page.locator(".idea-plot").first.wait_for()


def poster(page: Page) -> None:
    """Make a poster."""
    page.get_by_label("Title", exact=True).fill("The Keeper of Low Water (2019)")
    page.get_by_label("Keywords, separated by commas").fill("lighthouse, tide, ledger")
    page.get_by_label("Genres, the most important first").click()
    page.keyboard.type("mystery")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Make a poster").click()
    page.get_by_alt_text("Poster of").wait_for()


if __name__ == "__main__":
    main()
