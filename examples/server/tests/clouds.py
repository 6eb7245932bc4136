"""Line 16: jobs with their files in S3, as moto emulates it.

clouds.py PYTHON_WITH_MOTO"""

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from harness import Site, figure, free_port, need, wait_for
from survival import LONG, transitions


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
        environment = {"AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
        with Site(store="s3://videos/here") as site:
            site.serve("--no-worker", env=environment)
            worker = site.worker(env=environment)
            wanted = site.wait(site.submit(**LONG)["id"])
            need(wanted["state"] == "completed", f"{wanted['error']}\n{site.logs()}")
            job = site.submit(**LONG)
            wait_for(lambda: site.job(job["id"])["segment"] == 2, 60)
            worker.kill()
            site.worker(env=environment)
            ended = site.wait(job["id"])
            need(ended["outputs"][0]["sha256"] == wanted["outputs"][0]["sha256"] and transitions(ended, "preparing") == 2, "the bytes are the same after a kill")
            need(len(site.result(ended)) == ended["outputs"][0]["bytes"], "the result is fetched")
            figure("S3 (emulated by moto)", "upload, job, kill -9, resumed from its checkpoint, byte-equal, download")
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
