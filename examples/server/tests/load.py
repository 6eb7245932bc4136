"""Line 9: many clients at once on SQLite, while a job runs."""

import http.client
import json
import threading
import time

from harness import SMALL, Site, figure, memory, need, percentile


class Client:
    """One connection that is kept."""

    def __init__(self, site):
        self.site, self.connection = site, http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)

    def ask(self, method, path, body=None):
        headers = {"authorization": f"Bearer {self.site.key}", "content-type": "application/json"}
        began = time.perf_counter()
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        data = json.loads(answer.read())
        return answer.status, data, (time.perf_counter() - began) * 1000


def crowd(count, work):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


def main():
    with Site() as site:
        server = site.serve("--no-worker")
        worker = site.worker()
        long = {**SMALL, "steps": 12, "max_frames": 33, "segment_frames": 17}
        site.wait(site.submit(**long)["id"])
        alone = site.wait(site.submit(**long)["id"])["inference_ms"]
        job = site.submit(priority=9, **long)
        request = {**site.inputs(), **SMALL}
        times, errors, lock = [], [], threading.Lock()

        def submit(n):
            client = Client(site)
            for _ in range(20):
                status, data, ms = client.ask("POST", "/api/v1/jobs", request)
                with lock:
                    times.append(ms)
                    if status != 202:
                        errors.append((status, data))

        began = time.time()
        crowd(50, submit)
        seconds = time.time() - began
        figure("1,000 submits over 50 connections", f"p50 {percentile(times, 0.5):.0f} ms, p99 {percentile(times, 0.99):.0f} ms, {1000 / seconds:.0f} a second, {len(errors)} errors")
        slow = site.wait(job["id"])["inference_ms"]
        figure("a job meanwhile", f"{slow} ms, alone {alone} ms: {100 * (slow / alone - 1):.0f} % slower")
        polls = []

        def poll(n):
            client = Client(site)
            for turn in range(100):
                due = began + (turn * 10 + n) * 0.002
                time.sleep(max(0, due - time.time()))
                status, _, ms = client.ask("GET", f"/api/v1/jobs/{job['id']}")
                with lock:
                    polls.append(ms)
                    if status != 200:
                        errors.append(status)

        began = time.time() + 0.5
        crowd(10, poll)
        figure("polls", f"{len(polls) / (time.time() - began):.0f} a second, p99 {percentile(polls, 0.99):.0f} ms")
        watched = site.submit(priority=9)
        seen = []

        def listen(n):
            client = Client(site)
            client.connection.request("GET", f"/api/v1/jobs/{watched['id']}/events", headers={"authorization": f"Bearer {site.key}"})
            text = client.connection.getresponse().read().decode()
            last = json.loads([line for line in text.splitlines() if line.startswith("data:")][-1][5:])
            with lock:
                seen.append([moment["state"] for moment in last["history"]])

        crowd(200, listen)
        complete = sum(1 for states in seen if states == ["queued", "preparing", "running", "encoding", "completed"])
        resident = memory(server) / 1e6
        figure("200 listeners", f"{complete} saw every state; the server has {resident:.0f} MB")
        worker.kill()
        need(not errors, f"no errors: {errors[:2]}")
        need(complete == 200, "every listener saw every state")
        missed = [text for text, is_met in [("p99 of submits <= 100 ms", percentile(times, 0.99) <= 100), ("p99 of polls <= 50 ms", percentile(polls, 0.99) <= 50),
                  ("memory <= 150 MB", resident <= 150), ("job <= 15 % slower", slow <= 1.15 * alone)] if not is_met]
        if missed:
            print("  missed:", ", ".join(missed))


if __name__ == "__main__":
    main()
