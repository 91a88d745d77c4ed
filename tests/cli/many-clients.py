# SPDX-License-Identifier: Apache-2.0
"""many-clients.py PORT PID KB: a thousand silent connections do no harm, and 64 clients get their answers.

10000 requests over 64 connections while scans are asked for all the time. Fails on any answer but 200,
when the slowest hundredth takes more than half a second (a busy machine; the measured figure is printed),
or when the memory of the process grows by more than 8 MB.
"""

import http.client
import os
import signal
import socket
import sys
import threading
import time

CLIENTS, REQUESTS = 64, 10000


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


def client(port, times, errors):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for number in range(REQUESTS // CLIENTS):
        begin = time.monotonic()
        try:
            connection.request("GET", ("/health", "/metrics", "/api/v1/health/metadata")[number % 3])
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                errors.append(response.status)
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
            return
        times.append(time.monotonic() - begin)


def main(port, pid, limit):
    print("silent connections:", silent(port))
    if not answers(port):
        print("no answer afterwards")
        return 1
    before = memory(pid)
    times, errors = [], []
    threads = [threading.Thread(target=client, args=(port, times, errors)) for _ in range(CLIENTS)]
    for one in threads:
        one.start()
    while any(one.is_alive() for one in threads):
        os.kill(pid, signal.SIGHUP)
        time.sleep(0.02)
    times.sort()
    slowest = times[len(times) * 99 // 100]
    grown = memory(pid) - before
    print(f"{len(times)} requests, p99 {slowest * 1000:.1f} ms, {grown} kB more, {len(errors)} errors")
    for error in errors[:5]:
        print(error)
    return 0 if not errors and slowest < 0.5 and grown < limit else 1


sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
