"""Models on the hub: the real client against a hub of a few lines, that takes the place of the network."""

import base64
import hashlib
import json
import pickle
import re
import shutil
from dataclasses import dataclass, field

import pytest

from heedful._errors import ModelFolderError, OutputError
from heedful.tasks.hub import card
from heedful.tasks.model_folder import FILES, SHORTLIST
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.translator import Translator

# what the hub's client speaks through
httpx2 = pytest.importorskip("httpx2")
COMMIT = "c" * 40


@dataclass
class Hub:
    """Repositories by name, each with files by name; speaks as much of the hub's language as the client needs."""

    repositories: dict[str, dict[str, bytes]]
    fetched: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def answer(self, request):
        """What the hub says to a request."""
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        if path == "/api/repos/create":
            return self.create(json.loads(request.content))
        if path == "/api/validate-yaml":
            return httpx2.Response(200, json={"errors": [], "warnings": []})
        for name, files in self.repositories.items():
            if path.startswith((f"/{name}/", f"/api/models/{name}/")) or path == f"/api/models/{name}":
                return self.within(request, name, files, path.partition(f"{name}/")[2])
        return httpx2.Response(404, headers={"X-Error-Code": "RepoNotFound"}, request=request)

    def create(self, wanted):
        name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
        self.repositories.setdefault(name, {})
        return httpx2.Response(200, json={"url": f"https://huggingface.co/{name}", "id": name})

    def within(self, request, name, files, rest):
        if match := re.fullmatch(r"(revision|tree|resolve|preupload|commit)/([^/]+)(?:/(.*))?", rest):
            verb, revision, file = match.groups()
        else:
            verb, revision, file = "revision", "main", None
        if revision not in ("main", COMMIT):
            return httpx2.Response(404, headers={"X-Error-Code": "RevisionNotFound"}, request=request)
        if verb == "revision":
            siblings = [{"rfilename": one} for one in files]
            return httpx2.Response(200, json={"id": name, "sha": COMMIT, "siblings": siblings, "private": False})
        if verb == "tree":
            entries = [
                {"type": "file", "path": one, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for one, content in files.items()
            ]
            return httpx2.Response(200, json=entries)
        if verb == "preupload":
            wanted = json.loads(request.content)["files"]
            modes = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in wanted]
            return httpx2.Response(200, json={"files": modes})
        if verb == "commit":
            for line in request.read().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "deletedFile":
                    del files[entry["value"]["path"]]
            url = f"https://huggingface.co/{name}/commit/{COMMIT}"
            return httpx2.Response(200, json={"commitOid": COMMIT, "commitUrl": url, "success": True})
        return self.file(request, files, file)

    def file(self, request, files, name):
        if name not in files:
            return httpx2.Response(404, headers={"X-Error-Code": "EntryNotFound"}, request=request)
        content = files[name]
        if request.method == "GET":
            self.fetched.append(name)
        headers = {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Content-Length": str(len(content)),
        }
        return httpx2.Response(200, headers=headers, content=content if request.method == "GET" else b"")


@pytest.fixture
def hub(small_run, tmp_path, monkeypatch):
    """A hub with one model, a pickle beside it, and one that is broken; the cache is the test's own."""
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
    from huggingface_hub.utils._http import default_client_factory

    files = {name: (small_run.model / name).read_bytes() for name in FILES}
    more = {"pytorch_model.bin": pickle.dumps([1]), "README.md": b"Mine.", "sub/model.safetensors": b"", "evil.py": b""}
    hub = Hub({"somebody/small": files | more, "somebody/cut-off": files | {"metrics.json": b"{"}})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(hub.answer), follow_redirects=False))
    disable_progress_bars()
    yield hub
    enable_progress_bars()
    set_client_factory(default_client_factory)


def text(translator):
    return translator.translate(["I love you."])[0][0].text


# --- from a folder ---


def test_a_folder_needs_no_hub(small_run, tmp_path):
    written = small_run.translator.save_pretrained(tmp_path / "model")
    assert text(Translator.from_pretrained(written)) == text(small_run.translator)
    assert text(Translator.from_pretrained(str(small_run.folder))) == text(small_run.translator)


def test_a_folder_that_is_no_model_is_refused_as_ever(tmp_path):
    with pytest.raises(ModelFolderError, match=r"lacks model\.safetensors"):
        Translator.from_pretrained(tmp_path)


# --- from the hub ---


def test_a_name_is_fetched_once_and_nothing_but_the_five_files(small_run, hub, tmp_path):
    assert text(Translator.from_pretrained("somebody/small")) == text(small_run.translator)
    assert sorted(hub.fetched) == sorted(FILES)
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.parent.name == COMMIT}
    assert kept == set(FILES)
    Translator.from_pretrained("somebody/small", revision=COMMIT)
    assert len(hub.fetched) == len(FILES)
    Translator.from_pretrained("somebody/small", local_files_only=True)
    Translator.from_pretrained("somebody/small", force_download=True)
    assert len(hub.fetched) == 2 * len(FILES)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("somebody/none", {}, r"no folder somebody/none, and no model of that name on the hub that you may see; check"),
        (
            "somebody/small",
            {"revision": "v9"},
            r"^somebody/small on the hub has no revision 'v9'; check the name, or leav",
        ),
        ("a/b/c", {}, r"There is no folder a/b/c, and it can be no name on the hub, such as somebody/model; check the"),
        ("../small", {}, r"There is no folder \.\./small, and it can be no name"),
        ("somebody/cut-off", {}, r"metrics\.json is not as it was written: cut off, damaged or exchanged; copy"),
        (
            "somebody/small",
            {"local_files_only": True},
            r"somebody/small is no folder here, and cannot be fetched from the",
        ),
    ],
)
def test_what_cannot_be_fetched_is_told_in_a_sentence(hub, name, options, message):
    with pytest.raises(ModelFolderError, match=message) as caught:
        Translator.from_pretrained(name, **options)
    assert "\n" not in str(caught.value)


def test_a_hub_out_of_reach_is_told_in_a_sentence(hub, monkeypatch):
    def fail(request):
        raise httpx2.ConnectError("Name or service not known", request=request)

    monkeypatch.setattr(hub, "answer", fail)
    from huggingface_hub import set_client_factory

    set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(fail)))
    with pytest.raises(
        ModelFolderError, match=r"is no folder here, and cannot be fetched from the hub: .*Name or service"
    ):
        Translator.from_pretrained("somebody/small")


# --- to the hub ---


def test_what_was_pushed_comes_back_the_same(small_run, hub):
    address = small_run.translator.push_to_hub("somebody/new")
    assert address == f"https://huggingface.co/somebody/new/commit/{COMMIT}"
    pushed = hub.repositories["somebody/new"]
    assert set(pushed) == {*FILES, "README.md"}
    assert pushed["README.md"].decode() == card(small_run.translator.recipe, small_run.translator.metrics)
    assert text(Translator.from_pretrained("somebody/new")) == text(small_run.translator)


def test_a_page_that_somebody_wrote_is_left_alone_and_an_older_shortlist_is_not(small_run, hub):
    pushed = hub.repositories["somebody/small"]
    pushed[SHORTLIST] = b"of another model"
    small_run.translator.push_to_hub("somebody/small")
    assert (pushed["README.md"], SHORTLIST in pushed) == (b"Mine.", False)
    assert text(Translator.from_pretrained("somebody/small")) == text(small_run.translator)


def test_a_push_that_fails_is_told_in_a_sentence(small_run, hub, monkeypatch):
    monkeypatch.setattr(hub, "create", lambda _: (_ for _ in ()).throw(RuntimeError("no room\nat all")))
    with pytest.raises(
        OutputError, match=r"cannot write a model to a/b on the hub: no room; check name and network, or"
    ):
        small_run.translator.push_to_hub("a/b")


def test_the_page_of_a_model_names_its_scores_and_how_to_use_it(small_run):
    page = card(small_run.translator.recipe, small_run.translator.metrics)
    head, body = page.split("---\n")[1:]
    assert "library_name: heedful" in head
    assert "pipeline_tag: translation" in head
    assert "Translator.from_pretrained(" in body
    for score in small_run.scores["valid"]:
        assert f"| valid | {score.name} | {score.value:.1f} | `{score.signature}` |" in body
    assert "| set |" not in card(small_run.translator.recipe, {})


def test_the_page_of_a_captioner_asks_it_about_a_file_that_it_reads():
    for name, file in (("caption", "dog.npy"), ("read_lines", "dog.jpg")):
        assert f'captioner.translate(["{file}"])' in card(load_recipe(name), {})


def test_a_copy_of_a_repository_is_a_model_folder(small_run, tmp_path):
    folder = shutil.copytree(small_run.model, tmp_path / "clone")
    for name in (".gitattributes", "README.md", "pytorch_model.bin"):
        (folder / name).write_bytes(b"")
    assert text(Translator.from_pretrained(folder)) == text(small_run.translator)
