"""Downloads against a server on this machine that can be told to misbehave."""

import errno
import hashlib
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vislab.data import download as module
from vislab.data.bar import lines, readable, silent
from vislab.errors import DataError

BODY = bytes(range(256)) * 1000 + b"the end"
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()

download = partial(module.download, progress=silent, pause=0.0)


class Handler(BaseHTTPRequestHandler):
    """Serves `server.body`; `server.tricks` are taken one a request, then it behaves."""

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, dict(self.headers)))
        trick = server.tricks.pop(0) if server.tricks else ""
        if self.path == "/missing" or isinstance(trick, int):
            return self.send_error(trick or 404)
        if self.path == "/moved":
            return self.answer(302, {"Location": server.target}, b"")
        if self.path == "/other":
            return self.answer(200, {}, b"something else entirely")
        tag = {} if server.tag is None else {"ETag": server.tag}
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and server.ranges and condition == server.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.body):
                return self.send_error(416)
            shift = 1 if trick == "wrong range" else 0
            tag = {"ETag": '"new"'} if trick == "new tag in 206" else tag
            span = f"bytes {start + shift}-{len(server.body) - 1}/{len(server.body)}"
            return self.answer(206, tag | {"Content-Range": span}, server.body[start + shift :])
        if trick == "drop":
            return self.answer(200, tag, server.body, upto=100_000)
        if trick == "no length":
            return self.answer(200, tag, server.body, length=False)
        return self.answer(200, tag, server.body)

    def answer(self, status, headers, body, *, upto=None, length=True):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:upto])

    def log_message(self, *told):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.url = f"http://127.0.0.1:{made.server_port}"
        made.body, made.tag, made.ranges = BODY, '"v1"', True
        made.tricks, made.seen, made.target = [], [], made.url + "/file"
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def to(tmp_path):
    return tmp_path / "new" / "file.tar.gz"


def leave_part(to, body=BODY[:70_000], *, url, validator='"v1"'):
    to.parent.mkdir(parents=True)
    part = to.with_name(to.name + ".part")
    part.write_bytes(body)
    module._note(part).write_text(
        f'{{"url": "{url}", "validator": {module.json.dumps(validator)}}}'
    )


def test_a_file_arrives_whole_with_its_checksum_and_nothing_else(server, to):
    got = download([server.url + "/file"], to, sha256=SHA256, size=len(BODY))
    assert got == SHA256
    assert to.read_bytes() == BODY
    assert [path.name for path in to.parent.iterdir()] == ["file.tar.gz"]


def test_a_redirect_is_followed_but_not_out_of_the_web(server, to, tmp_path):
    download([server.url + "/moved"], to, sha256=SHA256)
    assert to.read_bytes() == BODY
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for target, why in ((secret.as_uri(), "302"), ("ftp://127.0.0.1:9/x", "unknown url type: ftp")):
        server.target = target
        with pytest.raises(DataError, match=why):
            download([server.url + "/moved"], to.with_name("second"))
    assert not to.with_name("second").exists()


def test_a_part_is_gone_on_with(server, to):
    url = server.url + "/file"
    leave_part(to, url=url)
    download([url], to, sha256=SHA256)
    assert to.read_bytes() == BODY
    assert [headers.get("Range") for _, headers in server.seen] == ["bytes=70000-"]
    assert server.seen[0][1]["If-Range"] == '"v1"'


def test_a_part_of_an_older_version_is_not_mixed_with_the_new_one(server, to):
    url = server.url + "/file"
    leave_part(to, b"old" * 1000, url=url, validator='"v0"')
    download([url], to)  # no checksum would notice
    assert to.read_bytes() == BODY


@pytest.mark.parametrize(("where", "validator"), [("/elsewhere", '"v1"'), ("/file", "")])
def test_a_part_from_elsewhere_or_of_no_known_version_is_not_used(server, to, where, validator):
    leave_part(to, b"old" * 1000, url=server.url + where, validator=validator)
    download([server.url + "/file"], to)
    assert to.read_bytes() == BODY
    assert "Range" not in server.seen[0][1]


def test_a_server_without_ranges_sends_all_again(server, to):
    server.ranges = False
    leave_part(to, b"x" * 70_000, url=server.url + "/file")
    download([server.url + "/file"], to)
    assert to.read_bytes() == BODY


@pytest.mark.parametrize("trick", ["wrong range", "new tag in 206"])
def test_a_part_that_does_not_fit_ours_is_not_appended(server, to, trick):
    server.tricks = [trick]
    leave_part(to, b"x" * 70_000, url=server.url + "/file")
    download([server.url + "/file"], to)
    assert to.read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(server, to):
    leave_part(to, BODY + b"more", url=server.url + "/file")
    download([server.url + "/file"], to, sha256=SHA256)
    assert to.read_bytes() == BODY


def test_a_rotten_part_costs_one_more_try_and_not_the_address(server, to):
    leave_part(to, b"rotten" * 1000, url=server.url + "/file")
    download([server.url + "/file"], to, sha256=SHA256)
    assert to.read_bytes() == BODY
    assert len(server.seen) == 2


def test_a_dropped_connection_is_taken_up_where_it_broke(server, to):
    server.tricks = ["drop"]
    download([server.url + "/file"], to, sha256=SHA256)
    assert to.read_bytes() == BODY
    assert server.seen[1][1]["Range"] == "bytes=100000-"


def test_without_a_tag_a_dropped_connection_starts_over(server, to):
    server.tag, server.tricks = None, ["drop"]
    download([server.url + "/file"], to)
    assert to.read_bytes() == BODY
    assert "Range" not in server.seen[1][1]


def test_a_connection_that_always_drops_is_given_up_and_leaves_no_target(server, to):
    server.ranges, server.tricks = False, ["drop"] * 9
    with pytest.raises(DataError, match=f"ended after 100000 of {len(BODY)} bytes"):
        download([server.url + "/file"], to)
    assert len(server.seen) == module.ATTEMPTS
    assert not to.exists()


def test_a_busy_server_is_asked_again_a_missing_file_is_not(server, to):
    server.tricks = [503, 429]
    download([server.url + "/file"], to, sha256=SHA256)
    assert len(server.seen) == 3
    with pytest.raises(DataError, match="404 Not Found"):
        download([server.url + "/missing"], to)
    assert len(server.seen) == 4


def test_the_wait_doubles(server, to, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    server.tricks = [503, 503]
    download([server.url + "/file"], to, pause=0.5)
    assert waits == [0.5, 1.0]


def test_a_wrong_checksum_is_thrown_away_and_the_next_mirror_is_asked(server, to):
    download([server.url + "/other", server.url + "/file"], to, sha256=SHA256)
    assert to.read_bytes() == BODY
    assert [path for path, _ in server.seen] == ["/other", "/file"]


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"md5": "0" * 32}, {"size": 12}])
def test_a_file_that_is_not_the_wanted_one_never_appears(server, to, wrong):
    with pytest.raises(DataError, match="wanted file has"):
        download([server.url + "/file"], to, **wrong)
    assert list(to.parent.iterdir()) == []


def test_an_md5_is_enough_and_a_sha256_is_worth_more(server, to):
    download([server.url + "/file"], to, md5=MD5.upper())
    download([server.url + "/file"], to, sha256=SHA256, md5="0" * 32)
    assert to.read_bytes() == BODY


def test_an_endless_answer_is_cut_off_at_the_known_size(server, to):
    server.tricks = ["no length"]
    with pytest.raises(DataError, match="sends more than the 1000 bytes"):
        download([server.url + "/file"], to, size=1000)
    assert list(to.parent.iterdir()) == []


def test_when_all_fail_each_address_has_its_reason_and_the_place_is_named(server, to):
    dead = "http://127.0.0.1:9/file"  # nobody listens on the discard port
    with pytest.raises(DataError) as caught:
        download([server.url + "/missing", dead, server.url + "/other", "ftp://x/y"], to, md5=MD5)
    said = str(caught.value)
    assert f"{server.url}/missing: 404" in said
    assert f"{dead}: " in said
    assert "refused" in said
    assert f"{server.url}/other: its MD5 is" in said
    assert "ftp://x/y: not an http" in said
    assert f"put it at {to}" in said


def test_a_full_disk_is_said_in_words(server, to, monkeypatch):
    def no_room(*told):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_receive", no_room)
    with pytest.raises(DataError, match="make room"):
        download([server.url + "/file"], to)
    monkeypatch.undo()
    usage = shutil.disk_usage(to.parent)._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"needs 256 kB and only 1\.0 kB are free"):
        download([server.url + "/file"], to)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        download([server.url + "/file"], tmp_path / "file" / "x.zip")


def test_progress_counts_from_what_is_there_to_the_whole(server, to):
    told = []

    @contextmanager
    def watch(what, total):
        told.append((what, total))
        yield told.append

    leave_part(to, url=server.url + "/file")
    module.download([server.url + "/file"], to, progress=watch)
    assert told[0] == ("downloading file.tar.gz", len(BODY))
    assert told[1] > 70_000
    assert told[-1] == len(BODY)


def test_plain_lines_are_few(capsys):
    with lines("downloading x", 1000) as advance:
        for done in range(0, 1001, 10):
            advance(done)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "downloading x (1.0 kB) ..."
    assert said[1:] == [f"downloading x: {share} %" for share in (25, 50, 75, 100)]


@pytest.mark.parametrize(
    ("size", "words"), [(502, "502 bytes"), (1_950_000_000, "1.9 GB"), (170_052_171, "170 MB")]
)
def test_sizes_are_readable(size, words):
    assert readable(size) == words
