"""Models on the Hugging Face Hub: against a server of the tests' own that speaks as the hub, and names of folders."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext import SVEBM
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.models import hub
from svebm_ext.models.hub import FILES, model_folder, without_paths

COMMIT = hashlib.sha1(b"commit").hexdigest()


class Hub(BaseHTTPRequestHandler):
    """What the hub answers to a push and to a fetch of one repository, whose files are kept in the server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, content, headers=(), status=200):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), ("Content-Type", "application/json"), *headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self.answer({"url": f"{self.server.address}/me/topics", "name": "me/topics", "id": "me/topics"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            regular = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": file["path"], **regular} for file in files]})
        elif "/commit/" in self.path:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.server.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            url = f"{self.server.address}/me/topics/commit/{COMMIT}"
            self.answer({"commitUrl": url, "commitOid": COMMIT, "success": True})
        else:  # it looks at the head of README.md
            self.answer({"errors": [], "warnings": []})

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        path = self.path.split("?")[0]
        if path.startswith("/api/models/me/topics"):
            files = [{"rfilename": name, "path": name, "type": "file", "size": len(content), "oid": "0"}
                     for name, content in self.server.files.items()]  # fmt: skip
            if "/tree/" in path:
                self.answer(files)
            else:
                self.answer({"id": "me/topics", "sha": COMMIT, "siblings": files, "private": False, "tags": []})
        elif path.startswith("/me/topics/resolve/") and path.split("/", 5)[5] in self.server.files:
            content = self.server.files[path.split("/", 5)[5]]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            self.answer(content, [("ETag", etag), ("X-Repo-Commit", COMMIT)])
        else:
            self.answer({"error": "Repository not found"}, [("X-Error-Code", "RepoNotFound")], 404)

    do_HEAD = do_GET


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.files, server.asked, server.created = {}, [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def run(server, tmp_path, program, *arguments):
    """A Python program of its own whose hub is that server."""
    pytest.importorskip("huggingface_hub")
    environment = os.environ | {
        "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)


@pytest.fixture
def saved(tmp_path):
    """A model folder whose options tell where its texts lay, and the sentences that it makes."""
    config = tiny_config(write_corpus(tmp_path))
    torch.manual_seed(0)
    model = SVEBM(config, Vocabulary([f"word{i}" for i in range(20)]))
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model", SVEBM.from_pretrained(tmp_path / "model").generate(3, seed=1)


PUSH = """
import sys
from svebm_ext import SVEBM
print(SVEBM.from_pretrained(sys.argv[1]).push_to_hub("me/topics", private=True, metrics={"nll": 3.25}))
"""
FETCH = """
import json
from svebm_ext import SVEBM
print(json.dumps(SVEBM.from_pretrained("me/topics", revision="main").generate(3, seed=1)))
"""


@pytest.mark.slow
def test_a_model_goes_to_the_hub_and_comes_back(tmp_path, server, saved):
    folder, sentences = saved
    pushed = run(server, tmp_path, PUSH, folder)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stdout.strip() == f"{server.address}/me/topics/commit/{COMMIT}"
    created = server.created[0]
    assert created["name"] == "topics" and (created.get("private") or created.get("visibility") == "private")
    weights, card = ["model.safetensors", "vocab.json", "config.json"], ["README.md", "MODEL_CARD.md", "metrics.json"]
    assert set(server.files) == {*weights, *card}
    assert ("/api/repos/create", "Bearer hf_secret") in server.asked
    readme = server.files["README.md"].decode()
    assert readme.startswith("---\nlibrary_name: svebm_ext\n") and 'from_pretrained("me/topics")' in readme
    assert str(tmp_path).encode() not in b"".join(server.files.values())

    fetched = run(server, tmp_path, FETCH)
    assert fetched.returncode == 0, fetched.stderr
    assert json.loads(fetched.stdout) == sentences
    assert "me/topics: fetched from the Hugging Face Hub" in fetched.stderr


ESTIMATOR = """
import json, sys
from svebm_ext import TextModel
if sys.argv[1] == "push":
    texts = ["play some jazz", "will it rain tomorrow"] * 40
    model = TextModel(2, max_iter=3, options={"training.prior_steps": 3}).fit(texts, ["music", "weather"] * 40)
    model.push_to_hub("me/topics")
else:
    model = TextModel.load("me/topics")
answers = model.predict(["some jazz", "rain"]).tolist()
print(json.dumps([model.classes_.tolist(), answers, model.get_params()["max_iter"]]))
"""


@pytest.mark.slow
def test_an_estimator_goes_to_the_hub_and_comes_back(tmp_path, server):
    answers = [run(server, tmp_path, ESTIMATOR, step) for step in ("push", "load")]
    assert [answer.returncode for answer in answers] == [0, 0], answers[0].stderr + answers[1].stderr
    assert answers[0].stdout == answers[1].stdout and json.loads(answers[1].stdout)[0] == ["music", "weather"]
    assert "estimator.json" in server.files


@pytest.mark.slow
def test_what_the_hub_does_not_have_is_told_in_one_line(tmp_path, server):
    program = FETCH.replace("me/topics", "me/nothing") + "\n"
    failed = run(server, tmp_path, program)
    last = failed.stderr.strip().splitlines()[-1]
    assert failed.returncode == 1 and "me/nothing: no such folder here, and the Hugging Face Hub answers:" in last
    assert not any("hf_secret" in line for line in failed.stderr.splitlines())


def test_a_name_that_is_a_folder_is_that_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "_package", lambda what: pytest.fail("no folder is looked for on the hub"))
    (tmp_path / "runs" / "first").mkdir(parents=True)
    for name in ("runs/first", "runs/secnd", "model", "/a/b", "a/b/c", "../runs/first", Path("me/topics")):
        assert model_folder(name) == Path(name)
    with pytest.raises(ModelFolderError, match="no such folder"):
        SVEBM.from_pretrained("runs/secnd")
    with pytest.raises(ConfigError, match="revision: 'v1' of the folder runs/first"):
        model_folder("runs/first", "v1")


def test_without_the_package_the_error_tells_what_to_install(monkeypatch, saved):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"me/topics: no such folder; .* pip install 'svebm_ext\[hub\]'"):
        SVEBM.from_pretrained("me/topics")
    with pytest.raises(ConfigError, match=r"pip install 'svebm_ext\[hub\]'"):
        SVEBM.from_pretrained(saved[0]).push_to_hub("me/topics")


def test_a_name_that_no_repository_has_is_refused(saved):
    with pytest.raises(ConfigError, match="repository: 'topics' given, expected user/name"):
        SVEBM.from_pretrained(saved[0]).push_to_hub("topics")


def test_paths_become_names_of_files(saved):
    description = json.loads((saved[0] / "config.json").read_text())
    assert Path(description["config"]["data"]["train"]).is_absolute()
    told = without_paths(description)
    assert told["config"]["data"]["train"] == Path(description["config"]["data"]["train"]).name
    assert told["config"]["data"] | {"train": None} == description["config"]["data"] | {"train": None}
    description["config"]["data"] |= {"train": "/home/me/a.txt,/home/me/b-*.txt", "cache": "/home/me/cache"}
    told = without_paths(description)
    assert (told["config"]["data"]["train"], told["config"]["data"]["cache"]) == ("a.txt,b-*.txt", "cache")
    assert {"config.json", "model.safetensors", "vocab.json"} < set(FILES)
