"""Chromium for the scripts of this folder: a page that counts as failed what no page of ours may do (a
request to another host, a line on the console that is an error), axe, and screenshots.

    with Browser() as browser:
        page = browser.page(link, theme="dark", width=360)

Screenshots go to $SPOOLGATE_SCREENSHOTS, if that is set. What install puts into the cache is needed.
"""

import os
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e"), os.path.join(
    os.environ.get("SPOOLGATE_CACHE") or os.path.expanduser("~/.cache/spoolgate"), "browser", "python")]
import playwright.sync_api
from lib import SLOW, check, check_equal, row, run_tests

import axe_playwright_python

SCREENSHOTS = os.environ.get("SPOOLGATE_SCREENSHOTS")
TIMEOUT_MS = 8000 * SLOW
AXE = os.path.join(os.path.dirname(axe_playwright_python.__file__), "axe.min.js")
EXPECTED = ("net::ERR_CONNECTION_REFUSED", "net::ERR_EMPTY_RESPONSE", "net::ERR_INCOMPLETE_CHUNKED",
            "net::ERR_CONNECTION_RESET", "net::ERR_SOCKET_NOT_CONNECTED")


class Browser:
    def __enter__(self):
        self._play = playwright.sync_api.sync_playwright().start()
        self._chromium = self._play.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        self.errors, self.foreign, self.allowed = [], [], ()
        return self

    def __exit__(self, *_):
        self._chromium.close()
        self._play.stop()
        check_equal(self.errors, [], "errors on the pages' consoles")
        check_equal(self.foreign, [], "requests to other hosts")

    def context(self, link, theme="light", width=1280, height=860, **more):
        """A browser of its own, with the link's cookies."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, accept_downloads=True,
            reduced_motion="reduce", locale="en-GB", timezone_id="Asia/Tokyo", **more)
        context.set_default_timeout(TIMEOUT_MS)
        host = urllib.parse.urlsplit(link).netloc
        context.on("request", lambda request: self._on_request(request.url, host))
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        return context

    def page(self, link, *, ready="main h1", **more):
        page = self.context(link, **more).new_page()
        page.goto(link)
        page.wait_for_url("**/")
        page.wait_for_selector(ready, state="attached")
        return page

    def _on_request(self, url, host):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != host:
            self.foreign.append(url)

    def _on_console(self, message):
        text = f"{message.text} ({(message.location or {}).get('url', '')})"
        if message.type in ("error", "warning") and not any(word in text for word in (*EXPECTED, *self.allowed)):
            self.errors.append(text)


def go(page, name, ready=None):
    """To a page by its name in the address."""
    page.evaluate("hash => { location.hash = hash; }", f"#/{name}")
    page.wait_for_selector(ready or {"overview": ".tile", "files": "table.files:not([aria-busy])",
                                     "deliveries": "table.receipts:not([aria-busy])",
                                     "setup": "#bucket_arn"}[name.split("?")[0]])


def theme(page, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


def shot(page, name, full=False):
    if SCREENSHOTS:
        os.makedirs(SCREENSHOTS, exist_ok=True)
        page.wait_for_timeout(150)
        page.screenshot(path=os.path.join(SCREENSHOTS, name + ".png"), full_page=full)


def axe(page, what):
    """Counted: nothing serious, and nothing moderate either that is not a matter of taste."""
    if not page.evaluate("() => 'axe' in window"):
        with open(AXE, encoding="utf-8") as file:
            page.evaluate(file.read())  # not a script of the page's, which its policy would refuse
    found = page.evaluate("""async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
        .filter(v => ["serious", "critical", "moderate"].includes(v.impact))
        .map(v => `${v.impact}: ${v.id}: ${v.nodes.map(n => n.target.join(" ") + " " +
            (n.any[0]?.message ?? n.all[0]?.message ?? "")).slice(0, 3).join("; ")}`)""")
    said = page.evaluate("() => document.body.innerText")
    stray = [word for word in ("null", "undefined", "NaN", "[object") if word in said]
    check_equal(stray, [], f"words that no text of {what} should have")
    return check_equal(found, [], f"axe on {what}")


def no_overflow(page, what):
    """Nothing makes the page itself wider than the window."""
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return check_equal(wide, 0, f"pixels that {what} is too wide")


def focus(page):
    """What has the focus, in words."""
    return page.evaluate("""() => { const e = document.activeElement;
        return (e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.textContent || e.id || e.tagName)
            .trim().slice(0, 60); }""")


def wait_text(page, selector, text):
    """Until one of them has the text. Else an error that says what they have."""
    try:
        page.wait_for_function("([s, t]) => [...document.querySelectorAll(s)].some(e => e.textContent.includes(t))",
                               arg=[selector, text])
    except playwright.sync_api.TimeoutError:
        seen = page.locator(selector).all_text_contents()
        raise RuntimeError(f"{selector} never had {text!r}, but {str(seen)[:400]}") from None
    return True


def timed(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start
