"""Google's storage, as far as an emulator on this machine speaks its JSON interface."""

import json
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from store_world import contents, fetch

from distill_trainer.data.elsewhere import forget, patience
from distill_trainer.errors import ConfigInvalid, ContractBroken


@pytest.fixture(scope="module")
def emulator():
    server = pytest.importorskip("gcp_storage_emulator.server").create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    address = f"http://127.0.0.1:{server._api._httpd.server_port}"
    post(f"{address}/storage/v1/b?project=p", json.dumps({"name": "samples"}), "application/json")
    for name, text in (("d/train.csv", "text,label\n"), ("d/more/x.csv", "1")):
        place = urllib.parse.quote(name, safe="")
        post(f"{address}/upload/storage/v1/b/samples/o?uploadType=media&name={place}", text, "text/csv")
    yield address
    server.stop()


@pytest.fixture
def gs(emulator, scratch, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(scratch / "none"))
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.0)
    yield emulator
    forget()


def post(url: str, text: str, kind: str) -> None:
    urllib.request.urlopen(
        urllib.request.Request(url, data=text.encode(), headers={"Content-Type": kind})
    ).close()


def test_folder_and_file(gs):
    folder = fetch("gs://samples/d")
    assert folder.name == "d"
    assert contents(folder) == {"train.csv": b"text,label\n", "more/x.csv": b"1"}
    assert fetch("gs://samples/d/train.csv").read_bytes() == b"text,label\n"


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("gs://nowhere/d", "there is no bucket 'nowhere' (404)"),
        ("gs://samples/e", "nothing lies below it: correct the path"),
    ],
)
def test_what_is_not_there(gs, uri, sentence):
    with pytest.raises(ContractBroken) as refused:
        fetch(uri)
    assert sentence in refused.value.message


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "service_account"}', "key.json"])
def test_a_key_that_is_none_is_said_and_not_shown(gs, monkeypatch, text):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS_JSON", text)
    with pytest.raises(ConfigInvalid, match="is no key of a service account: put the whole JSON file"):
        fetch("gs://samples/d")


def test_a_path_of_a_key_that_leads_nowhere_is_not_passed_over(gs, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/none/key.json")
    with pytest.raises(ConfigInvalid, match="GOOGLE_APPLICATION_CREDENTIALS names no file with credentials"):
        fetch("gs://samples/d")


def test_the_key_of_the_environment_is_used(gs, monkeypatch):
    """The account asks for a token, signed with its key; the emulator takes any."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    asked = []

    class Tokens(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append(urllib.parse.parse_qs(body))
            answer = json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": pem, "client_id": "2",
        "client_email": "reader@p.iam.gserviceaccount.com", "token_uri": f"http://127.0.0.1:{server.server_port}/token",
    }  # fmt: skip
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS_JSON", json.dumps(account))
    assert "train.csv" in contents(fetch("gs://samples/d"))
    server.shutdown()
    server.server_close()
    assert asked
    assert "assertion" in asked[0]
