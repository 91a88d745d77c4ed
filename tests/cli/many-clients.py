# SPDX-License-Identifier: Apache-2.0
"""many-clients.py PORT PID KB [MS]: a thousand silent connections do no harm, and 64 clients get their answers.

10000 requests over 64 connections that are kept, each sent when the answer to the one before is there, while
scans are asked for all the time. Fails on any answer but 200, when the slowest hundredth takes more than MS
(500: a busy machine; the measured figure is printed), or when the memory of the process grows by more than KB.
All connections are served by one thread, which takes its own time between an answer and the next: a client of
many threads would measure how they wait for each other.
"""

import http.client
import os
import selectors
import signal
import socket
import sys
import time

CLIENTS, REQUESTS = 64, 10000
PATHS = ("/health", "/metrics", "/api/v1/health/metadata")


def silent(port):
    held = []
    for _ in range(1000):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), timeout=0.05))
        except OSError:
            break
    count = len(held)
    for one in held:
        one.close()
    return count


def answers(port):
    for _ in range(200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    return False


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Client:
    """One connection, with at most one request on its way."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0
        self.ask()

    def ask(self):
        self.answer = b""
        self.begin = time.monotonic()
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % PATHS[self.sent % len(PATHS)].encode())
        self.sent += 1

    def take(self):
        """How long the answer took and its status, once all of it is there."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the connection was ended")
        self.answer += piece
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        if len(body) < length:
            return None
        return time.monotonic() - self.begin, int(head.split()[1])


def measure(port, pid):
    times, errors = [], []
    waiting = selectors.DefaultSelector()
    for _ in range(CLIENTS):
        client = Client(port)
        waiting.register(client.socket, selectors.EVENT_READ, client)
    asked, next_scan = CLIENTS, 0.0
    while len(times) + len(errors) < REQUESTS:
        if time.monotonic() >= next_scan:
            os.kill(pid, signal.SIGHUP)
            next_scan = time.monotonic() + 0.02
        ready = waiting.select(20)
        if not ready:
            errors.append("no answer for 20 seconds")
            break
        for key, _ in ready:
            done = key.data.take()
            if not done:
                continue
            times.append(done[0])
            if done[1] != 200:
                errors.append(done[1])
            if asked < REQUESTS:
                asked += 1
                key.data.ask()
    return sorted(times), errors


def main(port, pid, limit, slowest_ms):
    print("silent connections:", silent(port))
    if not answers(port):
        print("no answer afterwards")
        return 1
    before = memory(pid)
    begin = time.monotonic()
    times, errors = measure(port, pid)
    taken = time.monotonic() - begin
    middle, slowest = (times[len(times) * i // 100] * 1000 for i in (50, 99))
    grown = memory(pid) - before
    print(
        f"{len(times)} requests in {taken:.1f} s, median {middle:.1f} ms, p99 {slowest:.1f} ms, "
        f"slowest {times[-1] * 1000:.1f} ms, {grown} kB more, {len(errors)} errors"
    )
    for error in errors[:5]:
        print(error)
    return 0 if not errors and slowest < slowest_ms and grown < limit else 1


sys.exit(main(*(int(word) for word in (sys.argv[1:] + ["500"])[:4])))
