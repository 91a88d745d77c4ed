# SPDX-License-Identifier: Apache-2.0
"""
on-terminal.py [--columns N] [--yes] [--meanwhile LINE] COMMAND...: run it on a terminal, and print what it prints

With --yes each question is answered so. With --meanwhile the shell runs LINE when the first is asked, before its answer.
"""

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

p = argparse.ArgumentParser()
p.add_argument("--columns", type=int)
p.add_argument("--yes", action="store_true")
p.add_argument("--meanwhile")
p.add_argument("command", nargs=argparse.REMAINDER)
args = p.parse_args()
pid, terminal = pty.fork()
if pid == 0:
    if args.columns:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 25, args.columns, 0, 0))
    os.execvp(args.command[0], args.command)
said, answered = b"", 0
while True:
    try:
        some = os.read(terminal, 65536)
    except OSError:
        break
    if not some:
        break
    said += some
    if args.yes and b"Type yes to go on: " in said[answered:]:
        if args.meanwhile and answered == 0:
            subprocess.run(["sh", "-c", args.meanwhile], check=True)
        answered = len(said)
        os.write(terminal, b"yes\n")
sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
