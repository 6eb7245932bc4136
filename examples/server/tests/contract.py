"""Line 15: schemathesis on the OpenAPI description, and forms and arrays of tasks with anything in them: no answer is 5xx.

contract.py PYTHON_WITH_SCHEMATHESIS [SECONDS]"""

import http.client
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from harness import Site, figure, need


def anything(depth=0):
    kinds = [None, True, -1, 0, 1.5, 2**70, "", "x", "\ud7ff\u0000", "https://127.0.0.1/", "upload://x", "data:;base64,AAAA", [], {}]
    if depth < 3 and random.random() < 0.4:
        return {random.choice(FIELDS): anything(depth + 1) for _ in range(random.randrange(6))}
    if depth < 3 and random.random() < 0.2:
        return [anything(depth + 1) for _ in range(random.randrange(4))]
    return random.choice(kinds)


FIELDS = """taskType taskUUID model inputs referenceImages referenceVideos width height fps steps seed scheduler lora acceleratorOptions fbCache safety mode advancedFeatures
    wanAnimate outputType outputFormat outputQuality ttl apiKey image media operation app input reference_image driving_video image_url video_url prompt size seconds""".split()
TASKS = ["videoInference", "getResponse", "imageUpload", "mediaStorage", "ping", "authentication", "getTaskDetails", "other"]


def fuzz(site, seconds):
    random.seed(1)
    end, count, worst = time.time() + seconds, 0, 0
    while time.time() < end:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
        kind = random.randrange(3)
        if kind == 0:
            tasks = [{**(found if isinstance(found := anything(), dict) else {}), "taskType": random.choice(TASKS), "taskUUID": anything(3)} for _ in range(3)]
            path, body, header = "/v1", json.dumps(tasks).encode(), "application/json"
        elif kind == 1:
            path = random.choice(["/run", "/apps/run", "/v2/video/generations", "/api/v3/wavespeed-ai/wan-2.2/animate", "/api/v3/media/uploads", "/files", "/v1/videos", "/api/v1/jobs"])
            body, header = json.dumps(anything()).encode(), "application/json"
        else:
            path, header = random.choice(["/v1/videos", "/api/v1/jobs"]), "multipart/form-data; boundary=b"
            parts = [b'--b\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
                random.choice(FIELDS).encode(), random.choice([b"", b'; filename="a"']), random.choice([b"", b"x", b"{", b'{"a":1}', b"\xff\xfe", b"1" * 1000])) for _ in range(random.randrange(5))]
            body = b"".join(parts) + random.choice([b"--b--\r\n", b"--b", b"", b"\r\n\r\n"])
        connection.request("POST", path, body, {"authorization": f"Bearer {site.key}", "content-type": header})
        answer = connection.getresponse()
        text = answer.read()
        need(answer.status < 500, f"{path} {body[:500]}: {answer.status} {text[:300]}")
        connection.close()
        count += 1
    return count


def main():
    python = Path(sys.argv[1] if len(sys.argv) > 1 else sys.executable)
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    with Site(allow_private=False) as site:
        site.serve("--no-worker")
        figure("arrays of tasks, bodies and forms with anything in them", f"{fuzz(site, seconds / 3)} requests, none 5xx")
        program = python.parent / "schemathesis"
        if not program.exists():
            print("  schemathesis: passed over, not installed")
            return
        command = [program.absolute(), "run", f"{site.url}/openapi.json", "--header", f"Authorization: Bearer {site.key}", "--checks", "not_a_server_error", "--max-time", str(seconds)]
        usage = subprocess.run([program, "run", "--help"], capture_output=True, text=True).stdout
        if "--max-time" not in usage:
            command = command[:-2]
        # Streams end with their job, of which there is no worker here; and a server without one is not ready.
        command += ["--exclude-path-regex", "events|readyz"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, cwd=site.folder)
            out, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            out, code = (late.stdout or b"").decode(), 0
        need(code == 0, out[-3000:])
        need("server error" not in out.lower(), out[-3000:])
        figure("schemathesis", f"no 5xx within {seconds} s: " + " ".join(out.split())[-200:])


if __name__ == "__main__":
    main()
