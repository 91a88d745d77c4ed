# SPDX-License-Identifier: Apache-2.0
"""notified.py SOCKET COMMAND...: the command tells a service manager that it is ready, that it lives and
that it stops.
"""

import os
import signal
import socket
import subprocess
import sys
import time


def main(path, command):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(path)
    server.settimeout(10)
    env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="300000")
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
        seen, begin = [], time.monotonic()
        while seen.count("WATCHDOG=1") < 3 or "READY=1" not in seen:
            seen += server.recv(4096).decode().split("\n")
        took = time.monotonic() - begin
        process.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in seen:
            seen += server.recv(4096).decode().split("\n")
        status = process.wait(10)
    print(f"status {status}, {took:.2f} s, {seen}")
    return 0 if status == 0 and any(line.startswith("STATUS=") for line in seen) and took < 5 else 1


sys.exit(main(sys.argv[1], sys.argv[2:]))
