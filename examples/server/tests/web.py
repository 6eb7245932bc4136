"""Uploads, results, webhooks, addresses, times and formats: lines 10, 11, 12, 13 and 14.

web.py [PYTHON_WITH_STANDARDWEBHOOKS [TEST ...]]"""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from harness import DEMO, SMALL, Failed, Site, figure, free_port, memory, need, wait_for


def status(function):
    try:
        function()
        return 200
    except Failed as error:
        return error.status


def put(url, pieces, length):
    """Streams a body; the answer's status."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=120)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("content-length", str(length))
    connection.endheaders()
    try:
        for piece in pieces:
            connection.send(piece)
    except OSError:
        pass
    return connection.getresponse().status


def uploads(site, server):
    """Line 10."""
    announce = lambda **fields: site.ask("POST", "/api/v1/uploads", fields)["upload_url"]
    million = os.urandom(1_000_000)
    put(announce(), [million] * 5, 5_000_000)
    peak, stop = [memory(server)], threading.Event()
    before = peak[0]

    def watch():
        while not stop.wait(0.02):
            peak.append(memory(server))

    thread = threading.Thread(target=watch)
    thread.start()
    need(put(announce(size=200_000_000), [million] * 200, 200_000_000) == 200, "200 MB are taken")
    stop.set()
    thread.join()
    grown = (max(peak) - before) / 1e6
    figure("200 MB upload", f"{grown:.1f} MB more memory")
    need(grown <= 10, "at most 10 MB more")
    need(put(announce(), [million] * 201, 201_000_000) == 413, "the 201st MB is refused")
    need(status(lambda: announce(size=200_000_001)) == 413, "and where it is announced")
    need(put(announce(size=5), [b"123456"], 6) == 400, "another length is refused")
    need(put(announce(sha256="0" * 64), [b"123456"], 6) == 400, "another digest is refused")
    need(put(announce(sha256=hashlib.sha256(b"123456").hexdigest(), size=6), [b"123456"], 6) == 200, "the right ones are taken")
    url = announce()
    need(put(url.replace("expires=1", "expires=2"), [b"1"], 1) == 403, "a changed time is refused")
    need(put(url.split("?")[0] + "?expires=1&signature=" + url[-64:], [b"1"], 1) == 403, "one that is over is refused")
    figure("201st MB, wrong length, wrong digest, expired address", "413, 400, 400, 403")


def results(site):
    job = site.wait(site.submit()["id"])
    url = job["outputs"][0]["url"]
    whole = site.ask("GET", url, raw=True)

    def get(**headers):
        request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, b"", dict(error.headers)

    code, body, headers = get(Range="bytes=10-19")
    need(code == 206 and body == whole[10:20] and headers["content-range"] == f"bytes 10-19/{len(whole)}", "a range")
    need(get(Range="bytes=-5")[1] == whole[-5:], "the end")
    need(get(Range=f"bytes={len(whole)}-")[0] == 416, "behind the end")
    need(get(If_None_Match=headers["etag"])[0] == 304, "known already")
    need(get(Range="bytes=0-1", If_Range='"other"')[1] == whole, "another file's range")
    need(status(lambda: site.ask("GET", url.replace("signature=", "signature=0"), headers={"authorization": ""})) == 403, "a wrong signature")
    need(status(lambda: site.ask("GET", f"/api/v1/jobs/{job['id']}", headers={"authorization": "Bearer wa_wrongwrong"})) == 401, "a wrong key")
    other = site.ask("POST", "/api/v1/keys", {"name": "other"})["key"]
    need(status(lambda: site.ask("GET", f"/api/v1/jobs/{job['id']}", headers={"authorization": f"Bearer {other}"})) == 404, "another's job")
    need(status(lambda: site.ask("GET", "/api/v1/keys", headers={"authorization": f"Bearer {other}"})) == 403, "no admin")
    figure("Range, ETag, If-Range, keys", "206, 416, 304, 401, 404, 403")


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what it is sent, and answers what it is told to."""

    daemon_threads = True

    def __init__(self, answers=(), body=b""):
        self.calls, self.answers = [], list(answers)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                taken, data = self.rfile.read(int(self.headers.get("content-length", 0))), body
                receiver.calls.append((self.command, self.path, dict(self.headers), taken))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


VERIFY = """
import json, sys
from standardwebhooks import Webhook
call = json.load(sys.stdin)
Webhook(call["secret"]).verify(call["body"], call["headers"])
"""


def webhooks(site, python):
    """Line 12."""
    import hmac

    receiver, put_to = Receiver([500, 500, 500]), Receiver()
    job = site.submit(webhook=receiver.url + "/hook", upload_to=put_to.url + "/there.mp4")
    dead = site.submit(webhook=f"http://127.0.0.1:{free_port()}/")
    job = site.wait(job["id"])
    wait_for(lambda: len(receiver.calls) == 4, 60)
    need(len({headers["webhook-id"] for _, _, headers, _ in receiver.calls}) == 1, "the same id every time")
    need(json.loads(receiver.calls[3][3])["outputs"][0]["sha256"] == job["outputs"][0]["sha256"], "it tells of the result")
    need(hashlib.sha256(put_to.calls[0][3]).hexdigest() == job["outputs"][0]["sha256"], "the result was PUT")
    secret = site.sql("SELECT webhook_secret FROM api_key")[0][0]
    headers = {name.lower(): value for name, value in receiver.calls[3][2].items()}
    call = json.dumps({"secret": secret, "body": receiver.calls[3][3].decode(), "headers": headers})
    verified = subprocess.run([python, "-c", VERIFY], input=call, text=True, capture_output=True)
    if "No module named" in verified.stderr:
        print("  standardwebhooks: passed over, not installed")
    else:
        need(verified.returncode == 0, verified.stderr)
    time.sleep(0.5)
    states = site.ask("GET", f"/api/v1/jobs/{job['id']}/deliveries")
    need(states[0]["state"] == "delivered" and states[0]["tries"] == 4, str(states))
    need(site.wait(dead["id"])["state"] == "completed", "a dead receiver blocks no job")
    vendor = Receiver()
    body = {"image": site.inputs()["image"], "video": site.inputs()["video"], "seed": 7}
    made = site.ask("POST", f"/api/v3/wavespeed-ai/wan-2.2/animate?webhook={urllib.parse.quote(vendor.url)}", body)["data"]
    site.ask("POST", f"/api/v1/jobs/{made['id']}/cancel")
    wait_for(lambda: vendor.calls, 60)
    _, _, headers, body = vendor.calls[0]
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = hmac.new(secret.removeprefix("whsec_").encode(), signed, "sha256").hexdigest()
    need(headers["webhook-signature"] == f"v3,{wanted}", "WaveSpeed's scheme")
    figure("webhooks", "500 x 3, then delivered with one id, verified; WaveSpeed's scheme verified; a dead receiver blocks nothing")


class Outside(http.server.ThreadingHTTPServer):
    """Stands for a host of the internet: leads inside, or never ends."""

    daemon_threads = True

    def __init__(self, inside):
        outside = self
        self.calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                outside.calls.append(self.path)
                kind, _, number = self.path.strip("/").partition("/")
                if kind == "endless":
                    self.send_response(200)
                    self.end_headers()
                    try:
                        while self.wfile.write(b"0" * 65536):
                            pass
                    except OSError:
                        return
                location = {"inside": f"http://{inside}/x", "name": f"http://localhost:{inside.split(':')[1]}/x", "file": "file:///etc/passwd", "loop": "/loop", "twice": "/inside/302"}[kind]
                self.send_response(int(number or 302))
                self.send_header("location", location)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.2", 0), Handler)
        self.url = f"http://127.0.0.2:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


def guard():
    """Line 11: no address of the own network is connected to, as an input, a webhook or an upload, nor through a redirect or a name."""
    listener = socket.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen(100)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    hosts = """127.0.0.1 127.1 127.0.1 127.255.255.254 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 0 0.0.0.0 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1]
        [::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] localhost LOCALHOST localhost. 169.254.169.254 [::ffff:169.254.169.254] 2852039166 0xa9fea9fe 10.0.0.1 172.16.0.1
        192.168.0.1 100.64.0.1 192.0.0.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 [fc00::1] [fe80::1] [fd00:ec2::254] [ff02::1] ip6-localhost user@127.0.0.1
        example.com@127.0.0.1 127.0.0.1%2f 127。0。0。1 ①②⑦.0.0.1""".split()
    urls = [f"http://{host}:{port}/x" for host in hosts] + [f"https://{host}:{port}/x" for host in hosts[:12]]
    urls += ["gopher://127.0.0.1/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "dict://127.0.0.1/x", "http://", "http:///x", "//127.0.0.1/x", f"http://{socket.gethostname()}:{port}/"]
    with Site(allow_private=False, reachable=["127.0.0.2"], max_upload=10_000_000) as site:
        server = site.serve()
        refused_late = []
        for url in urls:
            for field in ("video", "webhook", "upload_to"):
                try:
                    refused_late.append((field, url, site.submit(**{field: url})["id"]))
                except Failed as error:
                    need(error.status == 400, f"{url}: {error}")
        # Names are resolved where they are needed: such a job fails, and such a webhook is not called.
        for field, url, id in refused_late:
            job = site.wait(id)
            need(job["state"] == ("failed" if field == "video" else "completed"), f"{field} {url}: {job['state']}")
        outside = Outside(f"127.0.0.1:{port}")
        led = [f"{outside.url}/{path}" for path in ("inside/301", "inside/302", "inside/303", "inside/307", "inside/308", "name", "file", "loop", "twice")]
        before = memory(server)
        for url in [*led, f"{outside.url}/endless"]:
            job = site.wait(site.submit(video=url)["id"])
            need(job["state"] == "failed" and job["error"]["code"] in ("address_refused", "too_large"), f"{url}: {job['error']}")
        grown = (memory(server) - before) / 1e6
        need(grown < 50, f"an endless body fills no memory: {grown:.0f} MB")
        for url in led[:5]:
            job = site.wait(site.submit(webhook=url, upload_to=url)["id"])
            need(job["state"] == "completed" and "upload_failed" in job["warnings"], f"{url}: {job['warnings']}")
            delivery = wait_for(lambda: (found := site.ask("GET", f"/api/v1/jobs/{job['id']}/deliveries")[0])["tries"] and found, 30)
            need(delivery["state"] != "delivered" and delivery["last"] == url[-3:], f"{url}: {delivery}")
        need(len(outside.calls) > 20, "the redirects were asked for")
        time.sleep(2)
        connections = 0
        try:
            while listener.accept():
                connections += 1
        except BlockingIOError:
            pass
        figure("hostile addresses", f"{len(urls)} each as input, webhook and upload, {len(led)} redirects into the own network and an endless body: {connections} connections")
        need(connections == 0, "nobody connected")


def expiry(site):
    """Line 14: yields once while the time passes."""
    job = site.wait(site.submit(ttl=60)["id"])
    file = site.sql(f"SELECT file FROM output WHERE job_id = '{job['id']}'")[0][0]
    need(site.holds(file), "the result is there")
    url = job["outputs"][0]["url"]
    copy = site.folder / "copy.sqlite"
    site.sql(f"VACUUM INTO '{copy}'")
    import sqlite3

    need(sqlite3.connect(copy).execute("PRAGMA integrity_check").fetchone()[0] == "ok", "a copy of the running database opens")
    yield
    wait_for(lambda: time.time() * 1000 > job["expires"], 90)
    need(status(lambda: site.ask("GET", url)) == 410, "gone")
    need(status(lambda: site.ask("GET", f"/api/v1/jobs/{job['id']}/outputs/0")) == 410, "gone for its owner")
    began = time.time()
    wait_for(lambda: not site.holds(file), 60)
    figure("ttl of 60 s", f"410 after it, the file gone {time.time() - began:.0f} s later; a copy of the running database opens")


@contextlib.contextmanager
def small_disk():
    """A folder with room for 4 MB; None where none can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="wan-disk-"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True).returncode:
        print("  full disk: passed over, no disk can be mounted here")
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder])


def full_disk(folder, store, refused):
    """Line 14: the disk of a store is full, and has room again later. `refused(site)` says how often something could not be written."""
    with Site(store=store) as site:
        site.serve("--no-worker")
        job = site.submit()
        ballast = folder / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while file.write(b"0" * 4096):
                    pass
            except OSError:
                pass
        site.worker()
        wait_for(lambda: refused(site) >= 3, 60, site.logs)
        # Longer than it takes until a job that gives no sign of life is given to another.
        time.sleep(25)
        need(site.job(job["id"])["state"] != "completed", "the disk is full")
        ballast.unlink()
        ended = site.wait(job["id"])
        need(ended["state"] == "completed" and ended["deaths"] == 0, f"{ended['error']}, {ended['deaths']} deaths\n{site.logs()}")
        figure("full disk", f"{refused(site)} writes failed; completed when there was room")


def local_disk():
    with small_disk() as folder:
        if folder:
            full_disk(folder, str(folder), lambda site: sum(process.log.read_text().count("store: ") for process in site.processes))


def drafts():
    """A tiny decoder in place of the VAE's, where the server has one; what it costs goes by what is made."""
    decoder = DEMO.parent.parent / "tests/goldens/tiny_decoder/taew2_1.safetensors"
    with Site(draft_decoder=str(decoder), areas={"480p": 4096, "720p": 9216}, prices={"480p": 1.0, "720p": 2.0}) as site:
        site.serve()
        need(site.ask("GET", "/api/v1/capabilities")["draft"] is True, "it is offered")
        draft, whole = [site.wait(site.submit(draft=draft, include_cost=True)["id"]) for draft in (True, False)]
        for job, warnings in ((draft, 1), (whole, 0)):
            need(job["state"] == "completed" and sum("draft" in warning for warning in job["warnings"]) == warnings, str(job))
        need(draft["outputs"][0]["sha256"] != whole["outputs"][0]["sha256"], "another decoder makes other frames")
        cost, seconds = whole["cost"], whole["total_frames"] / whole["fps"]
        need(abs(cost - 2 * seconds) < 1e-5, f"{seconds} s of 96x96 cost {cost}")
        figure("drafts", f"offered, warned of, and of another picture; a second of 96x96 costs {cost / seconds:.2f}")


def readme(site, python):
    """Line 18: the README's examples, as they stand there."""
    text = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    server = f"127.0.0.1:{site.port}"
    part = lambda kind, first: text[(at := text.index(first, text.index(f"```{kind}\n", text.index("## By program")))):text.index("```", at)].replace("localhost:8080", server)
    environment = {**os.environ, "KEY": site.key}
    done = subprocess.run(["bash", "-c", part("sh", "curl -s")], capture_output=True, text=True, env=environment, cwd=DEMO.parent.parent)
    job = json.loads(done.stdout)
    need(job["state"] == "completed", f"{done.stdout} {done.stderr}")
    figure("the README's curl", f"{job['outputs'][0]['frames']} frames")
    folder = Path(tempfile.mkdtemp(prefix="wan-readme-"))
    for name in ("reference.png", "driving.mp4"):
        shutil.copy(DEMO / name, folder)
    driving = Receiver(body=(DEMO / "driving.mp4").read_bytes())
    script = part("python", "import os").replace("https://example.org", driving.url)
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, env=environment, cwd=folder)
    if "No module named" in done.stderr:
        print("  the README's Python: passed over, the client is not installed")
    else:
        need(done.returncode == 0 and (folder / "out.mp4").read_bytes()[4:8] == b"ftyp", done.stderr)
        figure("the README's Python", f"{(folder / 'out.mp4').stat().st_size} bytes")
    modules = Path(os.path.abspath(python)).parent.parent.parent / "node_modules"
    if not (modules / "wavespeed").exists():
        print("  the README's JavaScript: passed over, the client is not installed")
        return
    (folder / "node_modules").symlink_to(modules)
    (folder / "example.mjs").write_text(part("js", "import"))
    done = subprocess.run(["node", "example.mjs"], capture_output=True, text=True, env=environment, cwd=folder)
    url = done.stdout.strip()
    need(done.returncode == 0 and site.ask("GET", url, raw=True, headers={"authorization": ""})[4:8] == b"ftyp", done.stderr)
    figure("the README's JavaScript", "its result was fetched")


def looks(site):
    """Previews, frames as an archive, and the API's page."""
    import io
    import zipfile

    job = site.submit(**{**SMALL, "steps": 12, "max_frames": 17, "segment_frames": 17, "format": "frames"})
    preview = wait_for(lambda: status(lambda: site.ask("GET", f"/api/v1/jobs/{job['id']}/preview.jpg", raw=True)) == 200 and site.ask("GET", f"/api/v1/jobs/{job['id']}/preview.jpg", raw=True), 60, site.logs)
    need(preview[:3] == b"\xff\xd8\xff", "a JPEG of a job that runs")
    job = site.wait(job["id"])
    need(job["state"] == "completed", str(job["error"]))
    with urllib.request.urlopen(job["outputs"][0]["url"]) as answer:
        need(answer.headers["content-type"] == "application/zip", answer.headers["content-type"])
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    names = archive.namelist()
    need(archive.testzip() is None and names == [f"{n:06}.png" for n in range(17)] and archive.read(names[16])[:4] == b"\x89PNG", str(names))
    wait_for(lambda: status(lambda: site.ask("GET", f"/api/v1/jobs/{job['id']}/preview.jpg", raw=True)) == 404, 10)
    with urllib.request.urlopen(site.url + "/docs") as answer:
        page, policy = answer.read().decode(), answer.headers["content-security-policy"]
    need("openapi.json" in page and "://" not in page and "default-src 'none'" in policy, "a page that needs no other host")
    figure("looks", f"a preview of {len(preview)} bytes while it runs, {len(names)} frames in an archive, /docs needs no other host")


def formats(site):
    """Line 13, as far as ffprobe goes."""
    if not shutil.which("ffprobe"):
        print("  ffprobe: passed over, not installed")
        return
    sound = site.folder / "sound.mp4"
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", "-i", DEMO / "driving.mp4", "-f", "lavfi", "-i", "sine=440:duration=3", "-c:v", "copy", "-c:a", "aac", "-shortest", sound], check=True)
    video = site.upload(sound)
    offered = [format for format in site.ask("GET", "/api/v1/capabilities")["formats"] if format != "frames"]
    for format in offered:
        job = site.wait(site.submit(format=format, video=video, max_frames=17)["id"])
        need(job["state"] == "completed", str(job["error"]))
        need(("audio_not_copied" in job["warnings"]) == (format == "webm"), f"{format}: {job['warnings']}")
        path = site.folder / f"result.{format}"
        path.write_bytes(site.result(job))
        said = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", path], capture_output=True, text=True, check=True).stdout
        streams = json.loads(said)["streams"]
        has_sound = format in ("mp4", "mov")
        need(streams[0]["width"] == 96 and len(streams) == 1 + has_sound, f"{format}: {said}")
        if has_sound:
            lengths = [float(stream["duration"]) for stream in streams]
            need(abs(lengths[0] - lengths[1]) <= 0.025, f"sound and pictures end together: {lengths}")
            packets = lambda file: [packet["data_hash"] for packet in json.loads(subprocess.run(
                ["ffprobe", "-v", "error", "-select_streams", "a", "-show_packets", "-show_data_hash", "md5", "-of", "json", file], capture_output=True, check=True).stdout)["packets"]]
            copied, all = packets(path), packets(sound)
            # Without those before the first frame, by which a decoder warms up.
            need(any(all[first:first + len(copied)] == copied for first in range(3)), f"{format}: the sound's packets are the driving clip's")
    measured = [f"{format} {qualities(site, format)}" for format in ("mp4", "webm") if format in offered]
    need("webm" in offered or status(lambda: site.submit(format="webm")) == 400, "WebM is refused by name where it is not built in")
    figure("formats", f"{', '.join(offered)} open in ffprobe; packets of the sound are equal; bytes, and PSNR beside quality 100, of quality 20, 60, 99: {'; '.join(measured)}")


def qualities(site, format):
    """Bytes of three qualities, and their PSNR beside the best."""
    files, sizes, ratios = [], [], []
    for quality in (100, 20, 60, 99):
        job = site.wait(site.submit(quality=quality, format=format)["id"])
        files.append(site.folder / f"quality-{quality}.{format}")
        files[-1].write_bytes(site.result(job))
        sizes.append(job["outputs"][0]["bytes"])
    for file in files[1:]:
        said = subprocess.run(["ffmpeg", "-i", file, "-i", files[0], "-lavfi", "psnr", "-f", "null", "-"], capture_output=True, text=True).stderr
        ratios.append(float(said.rsplit("average:", 1)[1].split()[0]))
    need(ratios == sorted(ratios) and ratios[0] < ratios[2], f"{format}: the PSNR rises with the quality: {ratios}")
    return sizes[1:], ratios


def main():
    python, only = sys.argv[1] if len(sys.argv) > 1 else sys.executable, sys.argv[2:]
    if only:
        with Site() as site:
            server = site.serve()
            alone = {"uploads": lambda: uploads(site, server), "results": lambda: results(site), "webhooks": lambda: webhooks(site, python), "formats": lambda: formats(site),
                     "looks": lambda: looks(site), "readme": lambda: readme(site, python), "full_disk": local_disk, "guard": guard, "drafts": drafts}
            [alone[name]() for name in only]
        return
    with Site() as site:
        server = site.serve()
        late = expiry(site)
        next(late)
        uploads(site, server)
        results(site)
        webhooks(site, python)
        formats(site)
        looks(site)
        readme(site, python)
        list(late)
    drafts()
    local_disk()
    guard()


if __name__ == "__main__":
    main()
