"""Line 9: many clients at once on SQLite, while a job runs."""

import http.client
import json
import selectors
import socket
import threading
import time

from harness import SMALL, Site, figure, memory, need, percentile, target


class Line:
    """One connection that is kept, with one request at a time on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left, self.began, self.taken = 0, 0.0, b""

    def ask(self, request):
        self.taken, self.began = b"", time.perf_counter()
        self.socket.sendall(request)

    def is_answered(self):
        """Takes what there is; whether that is all."""
        self.taken += self.socket.recv(1 << 16)
        head, found, body = self.taken.partition(b"\r\n\r\n")
        if not found:
            return False
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        return len(body) >= length


def drive(port, lines, requests, rate=None):
    """Requests over so many connections; each next one as soon as a connection is free, at most `rate` a second. Answers with their milliseconds. One thread
    that does next to nothing, so that what is measured is the server."""
    free, busy, answers, chosen = [Line(port) for _ in range(lines)], 0, [], selectors.DefaultSelector()
    for line in free:
        chosen.register(line.socket, selectors.EVENT_READ, line)
    began, sent = time.perf_counter(), 0
    while sent < len(requests) or busy:
        while free and sent < len(requests) and (rate is None or time.perf_counter() - began >= sent / rate):
            free[-1].ask(requests[sent])
            free.pop()
            sent, busy = sent + 1, busy + 1
        for key, _ in chosen.select(0.001 if rate else 1):
            line = key.data
            if line.is_answered():
                answers.append((int(line.taken[9:12]), (time.perf_counter() - line.began) * 1000, line.taken))
                free.append(line)
                busy -= 1
    return answers, time.perf_counter() - began


def message(site, method, path, body=b""):
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {site.key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def listen(site, id):
    """All that a client is told of a job."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("GET", f"/api/v1/jobs/{id}/events", headers={"authorization": f"Bearer {site.key}"})
    text = connection.getresponse().read().decode()
    return json.loads([line for line in text.splitlines() if line.startswith("data:")][-1][5:])


def crowd(count, work):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


def processor(process):
    """Seconds of the processor that it has had."""
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def tell(name, answers, seconds, used):
    times = [ms for _, ms, _ in answers]
    shares = ", ".join(f"p{share} {percentile(times, share / 100):.0f}" for share in (50, 90, 99))
    figure(name, f"{shares}, worst {max(times):.0f} ms, {len(times) / seconds:.0f} a second; {1000 * used / len(times):.2f} ms of the processor each")
    return percentile(times, 0.99)


def main():
    with Site() as site:
        server = site.serve("--no-worker")
        worker = site.worker()
        long = {**SMALL, "steps": 12, "max_frames": 33, "segment_frames": 17}
        site.wait(site.submit(**long)["id"])
        alone = site.wait(site.submit(**long)["id"])["inference_ms"]
        job = site.submit(priority=9, **long)
        submit = message(site, "POST", "/api/v1/jobs", json.dumps({**site.inputs(), **SMALL}).encode())
        used = processor(server)
        submits, seconds = drive(site.port, 50, [submit] * 1000)
        errors = [text for status, _, text in submits if status != 202]
        submitted = tell("1,000 submits over 50 connections", submits, seconds, processor(server) - used)
        slow = site.wait(job["id"])["inference_ms"]
        figure("a job meanwhile", f"{slow} ms, alone {alone} ms: {100 * (slow / alone - 1):.0f} % slower")
        used = processor(server)
        polls, seconds = drive(site.port, 10, [message(site, "GET", f"/api/v1/jobs/{job['id']}")] * 1000, 500)
        errors += [text for status, _, text in polls if status != 200]
        polled = tell("polls", polls, seconds, processor(server) - used)
        watched = site.submit(priority=9)
        seen, lock = [], threading.Lock()

        def watch(n):
            last = listen(site, watched["id"])
            with lock:
                seen.append([moment["state"] for moment in last["history"]])

        crowd(200, watch)
        complete = sum(1 for states in seen if states == ["queued", "preparing", "running", "encoding", "completed"])
        resident = memory(server) / 1e6
        figure("200 listeners", f"{complete} saw every state; the server has {resident:.0f} MB")
        worker.kill()
        need(not errors, f"no errors: {errors[:2]}")
        need(complete == 200, "every listener saw every state")
        target(submitted, 100, "p99 of submits in ms")
        target(polled, 50, "p99 of polls in ms")
        target(slow / alone, 1.15, "a job beside it, as long as alone times")
        need(resident <= 150, "memory <= 150 MB")


if __name__ == "__main__":
    main()
