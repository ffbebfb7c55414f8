"""Pages in a real browser: Chromium of the system, driven by Playwright, where both are there.

Neither is needed by the package, nor by other tests. `pip install playwright` is enough; its browsers are not fetched.
"""

import importlib.util
import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [
    name
    for name, there in (("playwright", importlib.util.find_spec("playwright")), ("chromium", CHROMIUM))
    if not there
]
needs_browser = pytest.mark.skipif(
    bool(MISSING), reason=f"a page is looked at in a browser: no {' and no '.join(MISSING)}"
)


@contextmanager
def chromium():
    """A browser without a window. No sandbox: in a container it may not be allowed, and the pages are our own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, file, **options):
    """A page of a file, in a fresh profile and without a network; an error of its script fails the test."""
    errors = []
    context = browser.new_context(accept_downloads=True, offline=True, **options)
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    yield page
    context.close()
    assert errors == []
