"""Takes the book's pictures of `%watch`: `.venv/bin/python docs/pictures.py`.

It runs a pipeline over the tutorial's tweets in JupyterLab, as the browser tests do, and writes `watch-light.png` and
`watch-dark.png`. `MACHINE_KERNEL` names another executable than the one in `.venv`.
"""

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "kernel" / "tests" / "python"))

import conftest  # noqa: E402
import test_browser  # noqa: E402
from test_browser import CHROMIUM, PATIENCE, Lab, playwright  # noqa: E402

PICTURES = ROOT / "docs" / "src"
# The list of dead letters is cut off here, pixels.
HEIGHT = 690
TWEETS = ROOT / "data" / "tweets_GroundTruth.txt"

SLOTS = r"""
#[derive(Serialize, Deserialize)]
struct Tweet { id: u32, rating: f64, text: String }

fn parse(line: &str) -> Option<Tweet> {
    let mut fields = line.splitn(3, '\t');
    let (id, rating) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Tweet { id, rating, text: fields.next()?.to_owned() })
}

MACHINE[0] = |line: &str| parse(line).ok_or("expected three fields");
MACHINE[1] = |tweet: &Tweet| tweet.text.split_whitespace().count();
MACHINE[2] = |words: f64, tweet: &Tweet| if words < 3.0 { Err(format!("only {words} words")) } else { Ok(tweet.rating / words) };
MACHINE[3] = |score: f64| if score < 0.0 { "negative" } else { "positive" };"""
SOURCE = 'MACHINE.source(source::lines("tweets.tsv").rate(150.0))?;'
CELLS = [SLOTS, "%watch", SOURCE]
MANY_PROCESSED = "() => Number(document.querySelector('[data-processed]').dataset.processed) >= 3000"


class Config:
    """What the tests' set-up of a kernelspec wants of pytest."""

    def __init__(self, ends: ExitStack) -> None:
        self.add_cleanup = ends.callback


def take(lab: Lab, name: str) -> None:
    """Selects the slot that fails, opens the newest dead letter, and takes the picture."""
    lab.open()
    lab.page.wait_for_selector(".machine-watch .room")
    lab.page.locator(".machine-watch .room").nth(2).click()
    lab.page.locator(".machine-watch summary").first.click()
    box = lab.page.locator(".machine-watch").first.bounding_box()
    lab.page.screenshot(path=str(PICTURES / f"{name}.png"), clip={**box, "height": min(box["height"], HEIGHT)})


def main() -> None:
    """Takes both pictures."""
    test_browser.CELLS = CELLS
    with ExitStack() as ends, playwright.sync_playwright() as started:
        conftest.pytest_configure(Config(ends))
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1400}, device_scale_factor=1.5)
        page.set_default_timeout(PATIENCE)
        place = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        lab = Lab(place, page)
        shutil.copy(TWEETS, place / "work" / "tweets.tsv")
        ends.callback(lab.close)
        lab.open()
        for cell in range(len(CELLS)):
            lab.run(cell)
        lab.until(MANY_PROCESSED)
        lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        take(lab, "watch-light")
        lab.theme("Dark")
        take(lab, "watch-dark")
        browser.close()


if __name__ == "__main__":
    main()
