# SPDX-License-Identifier: Apache-2.0
"""answering.py COMMAND: run a line of the shell on a terminal, answer each question with yes, print what it prints"""

import os
import pty
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv("/bin/bash", ["bash", "-c", sys.argv[1]])
said, answered = b"", 0
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:
        break
    if not some:
        break
    said += some
    if b"Type yes to go on: " in said[answered:]:
        answered = len(said)
        os.write(terminal, b"yes\n")
sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
