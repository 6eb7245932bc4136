"""Line 16: what jobs survive, uploads, results, webhooks and pictures, with all files in S3 as moto emulates it, on SQLite.

clouds.py PYTHON_WITH_MOTO [KILLS]"""

import os
import subprocess
import sys
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
    port = free_port()
    emulator = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(endpoint), 30)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/videos", method="PUT"))
        os.environ.update(AWS_ENDPOINT=endpoint, AWS_ALLOW_HTTP="true", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_REGION="us-east-1",
                          WAN_ANIMATE_TEST_STORE="s3://videos/here")
        survival.kills(None, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
        for test in (survival.sleeper, survival.rolling, survival.poison, survival.cancels):
            test(None)
        with Site() as site:
            server = site.serve()
            web.uploads(site, server)
            web.results(site)
            web.webhooks(site, str(python))
            web.looks(site)
        figure("S3 (emulated by moto)", "all of the above")
    finally:
        emulator.kill()


def answers(endpoint):
    try:
        return urllib.request.urlopen(endpoint, timeout=1).status == 200
    except OSError:
        time.sleep(0.2)
        return False


if __name__ == "__main__":
    main()
