"""Line 1: the real clients, unmodified. Those that are not installed are passed over by name.

clients.py PYTHON_OF_NEW_CLIENTS PYTHON_OF_OLD_INFERENCESH NODE_FOLDER [CLIENT ...]"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from harness import DEMO, HERE, Site, figure, need, target


def digest(data):
    return hashlib.sha256(data).hexdigest()


def run(program, script, name, site, cwd=None):
    """A client's script; it prints the result's address or digest on its last line."""
    environment = {**os.environ, "SERVER": site.url, "KEY": site.key, "IMAGE": str(DEMO / "reference.png"), "VIDEO": str(DEMO / "driving.mp4")}
    done = subprocess.run([program, script, name], capture_output=True, text=True, env=environment, cwd=cwd, timeout=400)
    if "No module named" in done.stderr or "ERR_MODULE_NOT_FOUND" in done.stderr:
        print(f"  {name}: passed over, not installed")
        return None
    need(done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}\n{site.logs()}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def check(site, name, said):
    """The client's result is what the same request gives natively, bit for bit."""
    if said is None:
        return
    row = site.sql("SELECT request, seed, id, finished FROM job ORDER BY id DESC LIMIT 1")[0]
    request = {key: value for key, value in json.loads(row[0]).items() if value is not None and key not in ("webhook", "upload_to", "ttl", "area")}
    request["seed"] = row[1]
    for side in ("width", "height"):
        request.setdefault(side, 96)
    request.pop("resolution", None)
    native = site.wait(site.ask("POST", "/api/v1/jobs", request)["id"])
    need(native["state"] == "completed", f"{name}: {native['error']}")
    got = said.get("sha256") or digest(site.ask("GET", said["url"], raw=True, headers={"authorization": ""}))
    need(got == native["outputs"][0]["sha256"], f"{name}: frames equal the native ones")
    late = ""
    if "at" in said:
        late = f", {float(said['at']) - int(row[3]) / 1000:.2f} s after the job's end"
        target(float(said["at"]) - int(row[3]) / 1000, 1, f"{name}: seconds until the result comes")
    figure(name, f"bit-equal{late}")


def main():
    new, old, node = (sys.argv + ["python3", "python3", "."])[1:4] if len(sys.argv) < 4 else sys.argv[1:4]
    only = sys.argv[4:]
    with Site(segment_frames=17, largest_area=9216) as site:
        site.serve()
        scripts = HERE / "clients"
        for name in ("openai", "wavespeed", "inferencesh", "inferencesh-stream", "runware", "aiml", "inferencesh-old"):
            if not only or name in only:
                check(site, name, run(old if name.endswith("old") else new, scripts / "clients.py", name, site))
        for name in ("runware-js", "wavespeed-js"):
            if only and name not in only:
                continue
            script = Path(node) / "clients.mjs"
            if not (Path(node) / "node_modules").exists():
                print(f"  {name}: passed over, not installed")
                continue
            script.write_text((scripts / "clients.mjs").read_text())
            check(site, name, run("node", script, name, site, cwd=node))


if __name__ == "__main__":
    main()
