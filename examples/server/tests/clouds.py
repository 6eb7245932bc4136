"""Line 16: what jobs survive, uploads, results, webhooks and pictures, with all files in S3 as moto emulates it, on SQLite.

clouds.py PYTHON_WITH_MOTO [KILLS]"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import survival
import web
from harness import Site, figure, free_port, wait_for


def main():
    python = Path(sys.argv[1] if len(sys.argv) > 1 else sys.executable)
    program = python.parent / "moto_server"
    if not program.exists():
        print("  S3: passed over, moto is not installed")
        return
    with emulated(program):
        os.environ["WAN_ANIMATE_TEST_STORE"] = "s3://videos/here"
        survival.kills(None, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
        for test in (survival.sleeper, survival.rolling, survival.poison, survival.cancels):
            test(None)
        with Site() as site:
            server = site.serve()
            late = web.expiry(site)
            next(late)
            web.uploads(site, server)
            web.results(site)
            web.webhooks(site, str(python))
            web.formats(site)
            web.looks(site)
            list(late)
    with web.small_disk() as folder:
        if folder:
            # Objects are in files there, not in the memory.
            with emulated(program, TMPDIR=str(folder), MOTO_S3_DEFAULT_KEY_BUFFER_SIZE="1") as log:
                web.full_disk(folder, "s3://videos/full", lambda _: log.read_text().count('" 500 '))
    figure("S3 (emulated by moto)", "all of the above")


@contextlib.contextmanager
def emulated(program, **environment):
    """An emulator with an empty bucket `videos`, which servers find by the environment; its log."""
    port, log = free_port(), Path(tempfile.mkstemp(prefix="wan-moto-")[1])
    with open(log, "wb") as out:
        emulator = subprocess.Popen([program, "-p", str(port)], stdout=out, stderr=out, env={**os.environ, **environment})
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(endpoint), 30)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/videos", method="PUT"))
        os.environ.update(AWS_ENDPOINT=endpoint, AWS_ALLOW_HTTP="true", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_REGION="us-east-1")
        yield log
    finally:
        emulator.kill()
        emulator.wait()


def answers(endpoint):
    try:
        return urllib.request.urlopen(endpoint, timeout=1).status == 200
    except OSError:
        time.sleep(0.2)
        return False


if __name__ == "__main__":
    main()
