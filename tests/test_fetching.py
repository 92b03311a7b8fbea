"""Downloads from local servers that drop connections, reject requests, send wrong data, or change; no other access."""

import bz2
import contextlib
import gzip
import hashlib
import io
import logging
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import DTPHandler, FTPHandler
from pyftpdlib.servers import FTPServer

from movieplots.errors import BadInput
from movieplots.sources import fetching
from movieplots.sources.corpus import Download, KaggleFile, Source
from movieplots.sources.fetching import fetch

CONTENT = random.Random(0).randbytes(300_000)
SCRIPT = """
import resource, sys
from pathlib import Path
from movieplots.sources import fetching
from movieplots.errors import sentences
from movieplots.sources.corpus import Download, Source
url, out, limit = sys.argv[1:]
fetching.PAUSES = ()
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
with sentences():
    fetching.fetch(Source("s", "", "", "", None, downloads=(Download(url, "plots.csv"),)), Path(out))
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.log.append((self.path, wanted))
        if self.path == "/moved":
            return self.answer(302, [("Location", "/file"), ("Content-Length", "0")])
        if server.status != 200:
            return self.answer(server.status, [("Content-Length", "0")])
        if wanted and self.headers.get("If-Range", server.etag) != server.etag and server.checks_if_range:
            wanted = None
        body, headers = server.body, [("ETag", server.etag)] if server.etag else []
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.answer(416, [("Content-Length", "0")])
            headers.append(("Content-Range", f"bytes {start + server.shift}-{len(body) - 1}/{len(body)}"))
            body = body[start + server.shift :]
        headers += [("Content-Encoding", server.encoding)] if server.encoding else []
        self.answer(206 if len(body) < len(server.body) else 200, [*headers, ("Content-Length", str(len(body)))])
        sent = 0
        while sent < len(body):
            if server.drops and sent >= server.drop_after:
                server.drops -= 1
                self.close_connection = True
                return
            self.wfile.write(body[sent : sent + 10_000])
            sent += 10_000
            time.sleep(server.delay)

    def answer(self, status, headers):
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the client was killed
            super().handle()


@pytest.fixture
def web(monkeypatch):
    """A web server with one file. Its attributes set its behaviour; `log` has the path and Range of each request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.body, server.etag, server.ranges, server.checks_if_range = CONTENT, '"1"', True, True
    server.status, server.drops, server.drop_after, server.shift, server.delay = 200, 0, 50_000, 0, 0
    server.encoding, server.log = None, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetching, "PAUSES", (0.01, 0.02, 0.03))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def source(*downloads, kaggle=()):
    return Source("s", "", "", "", None, downloads=downloads, kaggle=kaggle)


def get(server, folder, name="plots.csv", address="/file", **known):
    return fetch(source(Download(server.url + address, name, **known)), folder)


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def stopped(web, folder):
    """Leave the part of a download that a server interrupted, without a retry."""
    web.drops = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "PAUSES", ())
        with pytest.raises(
            BadInput, match=r"cannot be downloaded \(the connection failed\).* again to resume at 50.0 kB"
        ):
            get(web, folder)
    web.log.clear()


def tar(path, **members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    return path.read_bytes()


def test_a_file_is_downloaded_through_a_redirect_and_no_other_file_is_left(web, tmp_path):
    out = tmp_path / "new" / "folder"
    assert get(web, out, address="/moved") == [out / "plots.csv"]
    assert (out / "plots.csv").read_bytes() == CONTENT
    assert names(out) == ["plots.csv"]


def test_an_existing_file_is_kept_without_a_request(web, tmp_path, capsys):
    (tmp_path / "plots.csv").write_text("mine")
    assert get(web, tmp_path) == [tmp_path / "plots.csv"]
    assert (tmp_path / "plots.csv").read_text() == "mine"
    assert web.log == []
    assert "plots.csv already exists." in capsys.readouterr().err


def test_extra_files_are_fetched_only_with_everything(web, tmp_path):
    corpus = source(Download(f"{web.url}/a", "a"), Download(f"{web.url}/b", "b", extra=True))
    assert fetch(corpus, tmp_path) == [tmp_path / "a"]
    assert fetch(corpus, tmp_path, everything=True) == [tmp_path / "a", tmp_path / "b"]
    assert [path for path, _ in web.log] == ["/a", "/b"]


def test_a_dropped_connection_resumes(web, tmp_path, capsys):
    web.drops = 5  # more than there are pauses: each attempt receives more data, so the pauses start again
    get(web, tmp_path)
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for _, wanted in web.log[1:]]
    assert len(starts) == 5
    assert starts == sorted(set(starts)) and starts[0] > 0
    assert "retrying in 0.01 s" in capsys.readouterr().err


def test_retries_end_if_a_server_that_cannot_resume_sends_no_more_data(web, tmp_path):
    web.ranges, web.drops = False, 100
    with pytest.raises(BadInput, match=r"the connection failed.*Check the connection, then run the same command again"):
        get(web, tmp_path)
    assert len(web.log) == 4  # the first, and one after each pause
    assert names(tmp_path) == [".plots.csv.part", ".plots.csv.part.json"]


@pytest.mark.parametrize("etag", ['"1"', None])
def test_a_second_run_resumes_the_first(web, tmp_path, etag):
    web.etag = etag
    stopped(web, tmp_path)
    have = (tmp_path / ".plots.csv.part").stat().st_size
    assert 0 < have < len(CONTENT)
    get(web, tmp_path)
    assert web.log == [("/file", f"bytes={have}-")]
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT
    assert names(tmp_path) == ["plots.csv"]


@pytest.mark.parametrize(
    ("change", "requests"),
    [
        ({"ranges": False}, 1),
        ({"body": CONTENT[::-1], "etag": '"2"'}, 1),
        ({"body": CONTENT[::-1], "etag": '"2"', "checks_if_range": False}, 2),
        ({"body": CONTENT[::-1] + b"more", "etag": None, "checks_if_range": False}, 2),
        ({"body": CONTENT[:1000], "etag": '"2"', "checks_if_range": False}, 2),
        ({"shift": 7}, 2),
    ],
    ids=["no ranges", "changed", "changed, If-Range ignored", "longer, no version", "shorter than the part", "wrong"],
)
def test_a_part_that_cannot_be_resumed_restarts(web, tmp_path, capsys, change, requests):
    stopped(web, tmp_path)
    vars(web).update(change)
    get(web, tmp_path)
    assert (tmp_path / "plots.csv").read_bytes() == web.body
    assert len(web.log) == requests
    assert "plots.csv restarts" in capsys.readouterr().err


def test_a_part_of_another_address_and_one_without_a_record_do_not_resume(web, tmp_path):
    stopped(web, tmp_path)
    get(web, tmp_path, address="/other")
    (tmp_path / ".b.part").write_bytes(b"anything")
    get(web, tmp_path, name="b")
    assert web.log == [("/other", None), ("/file", None)]
    assert (tmp_path / "plots.csv").read_bytes() == (tmp_path / "b").read_bytes() == CONTENT


def test_a_complete_part_is_only_verified(web, tmp_path):
    stopped(web, tmp_path)
    (tmp_path / ".plots.csv.part").write_bytes(CONTENT)
    get(web, tmp_path)
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT
    assert web.log == []


def run_script(url, out, limit=0):
    environment = os.environ | {"NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, str(out), str(limit)], stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for(condition):
    deadline = time.monotonic() + 120  # far more than it takes, for busy machines
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_process_leaves_no_target_and_the_next_one_resumes(web, tmp_path):
    web.delay = 0.05
    part = tmp_path / ".plots.csv.part"
    with run_script(web.url + "/file", tmp_path) as process:
        wait_for(lambda: part.exists() and part.stat().st_size > 40_000)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    have = part.stat().st_size
    assert have < len(CONTENT)
    assert not (tmp_path / "plots.csv").exists()
    web.delay = 0
    with run_script(web.url + "/file", tmp_path) as process:
        assert process.wait() == 0
    assert web.log == [("/file", None), ("/file", f"bytes={have}-")]
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT


def test_a_full_disk_has_a_message_and_the_next_run_resumes(web, tmp_path):
    with run_script(web.url + "/file", tmp_path, limit=100_000) as process:
        message = process.communicate()[1]
    assert process.returncode == 2
    assert f"plots.csv cannot be written to {tmp_path} (File too large). Free disk space, then run the same" in message
    assert "again to resume at 100.0 kB." in message
    assert names(tmp_path) == [".plots.csv.part", ".plots.csv.part.json"]
    get(web, tmp_path)
    assert web.log[1:] == [("/file", "bytes=100000-")]
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "body", "known", "problem"),
    [
        ("a.csv", CONTENT, {"size": 5}, "has 300000 bytes instead of 5"),
        ("a.csv", CONTENT, {"md5": "0" * 32}, "has the MD5 checksum [0-9a-f]{32} instead of 0{32}"),
        ("a.csv", b"", {}, "is empty"),
        ("a.gz", b"", {}, "is empty"),
        ("a.gz", gzip.compress(CONTENT)[:-1], {}, "is a damaged archive"),
        ("a.gz", gzip.compress(CONTENT)[:-8] + b"12345678", {}, r"is a damaged archive \(CRC check failed"),
        ("a.gz", b"<html>not found</html>", {}, "is a damaged archive"),
        ("a.bz2", bz2.compress(CONTENT)[:-1], {}, "is a damaged archive"),
        ("a.bz2", bz2.compress(CONTENT)[:5000] + bytes(9) + bz2.compress(CONTENT)[5009:], {}, "is a damaged archive"),
    ],
)
def test_a_file_that_fails_verification_is_deleted(web, tmp_path, name, body, known, problem):
    web.body = body
    with pytest.raises(BadInput, match=f"^{name} from http.* {problem}.* and was deleted: run the same command again"):
        get(web, tmp_path, name=name, **known)
    assert names(tmp_path) == []


def test_a_file_with_the_right_size_checksum_or_crc_passes(web, tmp_path):
    get(web, tmp_path, size=len(CONTENT), md5=hashlib.md5(CONTENT).hexdigest())
    for name, module in (("a.gz", gzip), ("a.bz2", bz2)):
        web.body = module.compress(CONTENT)
        web.encoding = "x-gzip" if name == "a.gz" else None  # as Apache declares a .gz file, which must stay compressed
        get(web, tmp_path, name=name)
        assert module.decompress((tmp_path / name).read_bytes()) == CONTENT
    assert names(tmp_path) == ["a.bz2", "a.gz", "plots.csv"]


def test_one_member_is_extracted_and_the_archive_deleted(web, tmp_path):
    web.body = tar(tmp_path / "a", **{"../evil": b"evil", "books/plots.txt": b"A plot.", "books/README": b"no"})
    out = tmp_path / "out"
    assert get(web, out, name="b.tar.gz", members=("books/plots.txt",)) == [out / "plots.txt"]
    assert (out / "plots.txt").read_bytes() == b"A plot."
    assert names(out) == ["plots.txt"] and names(tmp_path) == ["a", "out"]
    get(web, out, name="b.tar.gz", members=("../evil",))
    assert names(out) == ["evil", "plots.txt"] and names(tmp_path) == ["a", "out"]
    assert get(web, out, name="b.tar.gz", members=("books/plots.txt",)) == [out / "plots.txt"]
    assert len(web.log) == 2


def test_several_members_of_an_archive_are_extracted_and_existing_files_kept(web, tmp_path):
    web.body = tar(tmp_path / "a", **{"books/plots.txt": b"A plot.", "books/README": b"no", "books/years.tsv": b"1999"})
    out = tmp_path / "out"
    members = ("books/plots.txt", "books/years.tsv")
    assert get(web, out, name="b.tar.gz", members=members) == [out / "plots.txt", out / "years.tsv"]
    assert names(out) == ["plots.txt", "years.tsv"]
    (out / "years.tsv").write_bytes(b"mine")
    get(web, out, name="b.tar.gz", members=members)
    assert len(web.log) == 1
    (out / "plots.txt").unlink()
    get(web, out, name="b.tar.gz", members=members)
    assert ((out / "plots.txt").read_bytes(), (out / "years.tsv").read_bytes()) == (b"A plot.", b"mine")


@pytest.mark.parametrize("member", ["link", "folder", "books/none.txt"])
def test_a_member_that_is_not_a_file_of_the_archive_is_named(web, tmp_path, member):
    web.body = tar(tmp_path / "a", **{"books/plots.txt": b"A plot."})
    with pytest.raises(BadInput, match=f"is not an archive with a file {member} and was deleted"):
        get(web, tmp_path / "out", name="b.tar.gz", members=(member,))
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("status", [404, 403])
def test_a_permanent_error_is_not_retried(web, tmp_path, status):
    web.status = status
    place = tmp_path / "plots.csv"
    with pytest.raises(
        BadInput, match=rf"/file cannot be downloaded \(the server responded {status} .*save it as {place}"
    ):
        get(web, tmp_path)
    assert len(web.log) == 1
    assert names(tmp_path) == []


def test_an_overloaded_server_is_retried(web, tmp_path):
    web.status = 503
    with pytest.raises(
        BadInput, match=r"the server responded 503 Service Unavailable\)\. Check the connection, then run"
    ):
        get(web, tmp_path)
    assert len(web.log) == 4


def test_a_server_without_response_and_a_missing_server_have_a_message(web, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.1)
    monkeypatch.setattr(fetching, "PAUSES", ())
    web.delay = 0.4
    with pytest.raises(BadInput, match=r"cannot be downloaded \(no response within 0.1 s\)\. Check the connection"):
        get(web, tmp_path)
    for address in ("http://127.0.0.1:1/a", "ftp://127.0.0.1:1/a"):
        with pytest.raises(BadInput, match=rf"^{address} cannot be downloaded \(the connection failed\)\. Check"):
            fetch(source(Download(address, "a")), tmp_path)
    with pytest.raises(BadInput, match=r"^http:///a cannot be downloaded \(.*\)\. Check the address, or get the file"):
        fetch(source(Download("http:///a", "a")), tmp_path)


def test_the_bundled_corpus_has_nothing_to_fetch(tmp_path):
    with pytest.raises(BadInput, match="The source 's' has no files to fetch: "):
        fetch(source(), tmp_path)


class Interrupted(DTPHandler):
    """An FTP transfer that closes the connection after 100 kB, `drops` times."""

    drops = 0

    def send(self, data):
        if Interrupted.drops and self.get_transmitted_bytes() >= 100_000:
            Interrupted.drops -= 1
            self.cmd_channel.close()
            return 0
        return super().send(data)


@pytest.fixture
def ftp(tmp_path_factory, monkeypatch):
    """An FTP server of the folder `root`; `log` has the received commands."""
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    monkeypatch.setattr(fetching, "PAUSES", (0.01, 0.02, 0.03))
    monkeypatch.setattr(Interrupted, "drops", 0)
    root, log = tmp_path_factory.mktemp("ftp"), []
    (root / "pub dir").mkdir()
    (root / "pub dir" / "plots.csv").write_bytes(CONTENT)

    class Session(FTPHandler):
        authorizer = DummyAuthorizer()
        dtp_handler = Interrupted
        use_sendfile = False  # so that `send` above is used

        def pre_process_command(self, line, cmd, arg):
            log.append(line)
            super().pre_process_command(line, cmd, arg)

    Session.authorizer.add_anonymous(str(root))
    server = FTPServer(("127.0.0.1", 0), Session)
    stop = threading.Event()

    def serve():  # the server's own loop cannot be stopped from another thread
        while not stop.is_set():
            server.serve_forever(timeout=0.01, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    file = root / "pub dir" / "plots.csv"
    yield types.SimpleNamespace(
        url=f"ftp://127.0.0.1:{server.address[1]}/pub%20dir/plots.csv", file=file, log=log, session=Session
    )
    stop.set()
    thread.join()


def get_ftp(server, folder):
    return fetch(source(Download(server.url, "plots.csv")), folder)


def stopped_ftp(ftp, folder):
    Interrupted.drops = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "PAUSES", ())
        with pytest.raises(BadInput, match=r"plots.csv cannot be downloaded \(.*to resume at \d+\.\d kB\.$"):
            get_ftp(ftp, folder)
    ftp.log.clear()
    return (folder / ".plots.csv.part").stat().st_size


def restarts(ftp):
    return [line for line in ftp.log if line.startswith("REST")]


def test_ftp_downloads_a_file_and_a_missing_one_has_a_message(ftp, tmp_path):
    get_ftp(ftp, tmp_path)
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT
    assert restarts(ftp) == []
    with pytest.raises(BadInput, match=r"csv2 cannot be downloaded \(the server responded 550 .*\. Check the address"):
        fetch(source(Download(ftp.url + "2", "none")), tmp_path)
    assert names(tmp_path) == ["plots.csv"]


def test_ftp_resumes_in_the_same_run_and_in_the_next(ftp, tmp_path):
    have = stopped_ftp(ftp, tmp_path)
    assert 0 < have < len(CONTENT)
    Interrupted.drops = 1
    get_ftp(ftp, tmp_path)
    assert restarts(ftp)[0] == f"REST {have}" and len(restarts(ftp)) == 2
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT
    assert names(tmp_path) == ["plots.csv"]


def test_ftp_restarts_if_the_file_changed_or_rest_is_rejected(ftp, tmp_path, capsys):
    stopped_ftp(ftp, tmp_path)
    ftp.file.write_bytes(CONTENT[::-1])
    os.utime(ftp.file, (0, 0))  # the same size, another date
    get_ftp(ftp, tmp_path)
    assert restarts(ftp) == []
    assert (tmp_path / "plots.csv").read_bytes() == CONTENT[::-1]

    out = tmp_path / "out"
    out.mkdir()
    stopped_ftp(ftp, out)
    ftp.session.proto_cmds = {name: rule for name, rule in ftp.session.proto_cmds.items() if name != "REST"}
    get_ftp(ftp, out)
    assert len(restarts(ftp)) == 1
    assert (out / "plots.csv").read_bytes() == CONTENT[::-1]
    assert capsys.readouterr().err.count("plots.csv restarts") == 2


@pytest.mark.parametrize(
    ("claimed", "message"),
    [
        (5, "plots.csv from .* has 300000 bytes instead of 5 and was deleted"),
        (400_000, r"the server sent only 300.0 kB of 400.0 kB\)\. Check the connection.* to resume at 300.0 kB"),
    ],
)
def test_ftp_with_a_wrong_size_leaves_no_file(ftp, tmp_path, claimed, message):
    ftp.session.ftp_SIZE = lambda session, path: session.respond(f"213 {claimed}")
    with pytest.raises(BadInput, match=message):
        get_ftp(ftp, tmp_path)
    assert not (tmp_path / "plots.csv").exists()


KAGGLE = source(kaggle=(KaggleFile("someone/plots", "plots.csv"), KaggleFile("other/tales", "tables/tales.csv")))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A stand-in for kagglehub with the same signature, for the files in its folder `cache`."""
    module = types.ModuleType("kagglehub")
    module.cache = tmp_path / "cache"
    (module.cache / "tables").mkdir(parents=True)
    module.asked = []

    def dataset_download(handle, path=None, *, force_download=False, output_dir=None):
        module.asked.append((handle, path))
        return str(module.cache / path)

    module.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


def test_kaggle_files_are_copied_and_extracted_from_zip_archives(hub, tmp_path):
    with zipfile.ZipFile(hub.cache / "plots.csv.zip", "w") as archive:
        archive.writestr("plots.csv", "title,plot\n")
    with zipfile.ZipFile(hub.cache / "tables" / "tales.csv", "w") as archive:  # an archive with the file's own name
        archive.writestr("tales.csv", "title,tale\n")
    out = tmp_path / "out"
    for _ in range(2):
        assert fetch(KAGGLE, out) == [out / "plots.csv", out / "tales.csv"]
    assert hub.asked == [("someone/plots", "plots.csv"), ("other/tales", "tables/tales.csv")]
    assert (out / "plots.csv").read_text() == "title,plot\n"
    assert (out / "tales.csv").read_text() == "title,tale\n"
    assert names(out) == ["plots.csv", "tales.csv"]

    (hub.cache / "plain.csv").write_text("plain")
    fetch(source(kaggle=(KaggleFile("a/b", "plain.csv"),)), out)
    assert (out / "plain.csv").read_text() == "plain"
    assert (hub.cache / "plain.csv").exists()


def test_without_kagglehub_the_message_names_pages_files_and_folder(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kagglehub", None)  # an import of it fails
    with pytest.raises(BadInput) as error:
        fetch(KAGGLE, tmp_path)
    assert str(error.value) == (
        "Kaggle requires an account: download plots.csv from "
        "https://www.kaggle.com/datasets/someone/plots, tables/tales.csv from "
        f"https://www.kaggle.com/datasets/other/tales and put them, unpacked, into {tmp_path}, "
        "or run `pip install kagglehub` and then run the same command again."
    )
    for name in ("plots.csv", "tales.csv"):
        (tmp_path / name).touch()
    assert fetch(KAGGLE, tmp_path) == [tmp_path / "plots.csv", tmp_path / "tales.csv"]


def test_an_error_of_kagglehub_is_in_the_message(hub, tmp_path):
    def refuse(handle, path=None, *, force_download=False, output_dir=None):
        raise RuntimeError("403 Client Error.\n\nYou need to sign in.")

    hub.dataset_download = refuse
    with pytest.raises(
        BadInput, match=r"plots.csv cannot be downloaded with kagglehub \(403 Client Error. You need to sign"
    ):
        fetch(KAGGLE, tmp_path / "out")
    assert names(tmp_path / "out") == []
