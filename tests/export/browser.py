"""A folder behind a web server, and a headless Chromium that runs a script of the test on a page there."""

import json
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.visual.browser import BROWSER, FLAGS

SECONDS = 240
PAGE = """<!doctype html>
<script type="module">
const notes = {};
try {
  const asked = await (await fetch("asked.json")).json();
SCRIPT
} catch (error) {
  notes.error = `${error}\n${error.stack}`;
}
await fetch("notes", { method: "POST", body: JSON.stringify(notes) });
</script>
"""


class Handler(SimpleHTTPRequestHandler):
    """Gives files, and takes the notes of the page."""

    def do_POST(self):
        self.server.notes = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.noted.set()

    def log_message(self, form, *args):
        self.server.seen.append(self.path.split("?")[0])


@contextmanager
def served(folder: Path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.noted, server.notes, server.seen = threading.Event(), b"", []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def notes_of(folder: Path, script: str, asked: object) -> tuple[dict, list[str]]:
    """What `script` left in its `notes`, given `asked`, on a page in the folder; and the paths that were fetched."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    (folder / "check.html").write_text(PAGE.replace("SCRIPT", script), encoding="utf-8")
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    with served(folder) as server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        address = f"http://127.0.0.1:{server.server_port}/check.html"
        flags = [*FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", address]
        with subprocess.Popen([BROWSER, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                if not server.noted.wait(SECONDS):
                    pytest.skip("the browser does not answer")
            finally:
                browser.terminate()
        notes = json.loads(server.notes)
    assert "error" not in notes, notes["error"]
    return notes, server.seen
