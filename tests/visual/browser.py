"""A page in a headless Chromium: a script acts as a person would, and notes what can be seen then."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WRITE_DOWN = """
const result = document.createElement("pre");
result.id = "notes";
result.textContent = JSON.stringify(notes);
document.body.append(result);
"""


def notes_of(text: str, script: str, folder: Path) -> dict:
    """What `script` left in its `notes`, run when a page is loaded; skips the test where no browser opens it."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    path = folder / "page.html"
    acting = f"<script>onload = () => {{const notes = {{}};{script}{WRITE_DOWN}}};</script></body>"
    path.write_text(text.replace("</body>", acting), encoding="utf-8")
    flags = [*FLAGS, "--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}"]
    try:
        dump = subprocess.run([BROWSER, *flags, "--dump-dom", path.as_uri()], capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("the browser does not answer")
    seen = dump.stdout.decode(errors="replace")
    if 'content="heedful"' not in seen:
        # a browser locked into a sandbox of its own cannot read temporary files
        pytest.skip("the browser cannot open the page")
    found = re.search(r'<pre id="notes">(.*?)</pre>', seen, flags=re.DOTALL)
    assert found, "the page's script stopped early"
    return json.loads(unescape(found[1]))
