# SPDX-License-Identifier: Apache-2.0
"""job-control.py VSCTL STORE CASE: a guarded command at a real terminal, under a shell with job control.

What is expected is what timeout(1) and any program that the shell itself starts would do there: the command is in the
foreground, keys reach it, it stops and goes on as one job with its guard, and the shell has its terminal back at the end.
Prints what the terminal showed when that is not so.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = 60
PROMPT = "ready> "


class Terminal:
    def __init__(self, vsctl, store):
        environment = dict(os.environ, PS1=PROMPT, TERM="dumb", V=vsctl, S=store, HISTFILE="/dev/null")
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        self.shown = ""
        self.at = 0
        self.size(24, 80)
        self.expect(re.escape(PROMPT))
        # One line, and the words in it are not the words that are waited for.
        self.run("bind 'set enable-bracketed-paste off' 2>/dev/null; stty -echo")

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Wait until it is shown behind what was waited for last; the match."""
        until = time.monotonic() + PATIENCE
        while True:
            found = re.compile(pattern).search(self.shown, self.at)
            if found:
                self.at = found.end()
                return found
            ready, _, _ = select.select([self.fd], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise AssertionError(f"never shown: {pattern!r}")
            self.shown += os.read(self.fd, 65536).decode(errors="replace").replace("\r\n", "\n")

    def run(self, line):
        self.send(line + "\n")
        self.expect(re.escape(PROMPT))

    def guard(self, script, options="", after=""):
        """Start a guarded script for a shell; the prompt is not waited for."""
        quoted = script.replace("'", "'\\''")
        self.send(f"\"$V\" guard {options} \"$S\" -- bash -c '{quoted}'{after}\n")

    def status(self):
        """The status of what the shell ran last, once its prompt is there."""
        self.expect(re.escape(PROMPT))
        self.send("echo status=$?=\n")
        found = int(self.expect(r"status=(\d+)=").group(1))
        self.expect(re.escape(PROMPT))
        return found

    def want(self, status):
        found = self.status()
        assert found == status, f"status {found}, not {status}"

    def lines_are_sane(self):
        """The terminal is as the shell left it: keys make signals, lines are edited."""
        self.send("stty -a\n")
        self.expect(r"[^-]isig[ \n]")
        self.expect(re.escape(PROMPT))


FOREGROUND = 'echo "$(ps -o tpgid= -p $$ | tr -d " ") $(ps -o pgid= -p $$ | tr -d " ")"'


def foreground(t):
    """The command has the foreground, a terminal for its input, and a group of its own."""
    t.guard(f"tty -s && {FOREGROUND}; ps -o pgid= -p $PPID")
    found = t.expect(r"(\d+) (\d+)\n *(\d+)\n")
    assert found.group(1) == found.group(2) != found.group(3), found.group(0)
    t.want(0)


def reads_lines(t):
    t.guard("echo ask; read a; read b; echo got=$a,$b=")
    t.expect("ask")
    t.send("one\ntwo\n")
    t.expect("got=one,two=")
    t.want(0)


def end_of_input(t):
    t.guard("echo ask; cat >/dev/null; echo ended")
    t.expect("ask")
    t.send("\x04")
    t.expect("ended")
    t.want(0)


def interrupt(t):
    """^C ends the command, and what it did is judged: it failed."""
    t.guard("echo begun; sleep 300")
    t.expect("begun")
    t.send("\x03")
    t.expect("unchanged")
    t.want(130)
    t.guard('echo begun; rm "$VSCTL_STORE"/ab5aa970/*.gob; echo gone; sleep 300')
    t.expect("gone")
    t.send("\x03")
    t.expect("rolled back")
    t.want(10)
    t.lines_are_sane()


def interrupt_that_is_caught(t):
    # A shell that is about to start one long command may swallow the signal, with what it has just forked.
    t.guard("trap 'echo caught; exit 7' INT; echo begun; while :; do sleep 0.1; done")
    t.expect("begun")
    t.send("\x03")
    t.expect("caught")
    t.want(7)


def stop_and_go_on(t):
    """^Z stops command and guard as one job; fg goes on where it was, and the terminal is the command's again."""
    t.guard(f"echo begun; read line; echo got=$line=; {FOREGROUND}; exit 5", "--keep-on-failure")
    t.expect("begun")
    for _ in range(3):
        t.send("\x1a")
        t.expect("Stopped")
        t.expect(re.escape(PROMPT))
        t.run("ps -o stat= -C sleep; jobs")
        t.send("fg\n")
        time.sleep(0.3)
    t.send("word\n")
    t.expect("got=word=")
    found = t.expect(r"(\d+) (\d+)\n")
    assert found.group(1) == found.group(2), found.group(0)
    t.want(5)


def stop_in_the_background(t):
    """^Z and bg: the command goes on without the terminal, and its guard ends when it does."""
    t.guard("echo begun; sleep 2; echo over")
    t.expect("begun")
    t.send("\x1a")
    t.expect("Stopped")
    t.expect(re.escape(PROMPT))
    t.run("bg")
    t.expect("over")
    t.send("wait %1; echo waited=$?=\n")
    t.expect("waited=0=")


def fg_when_stopped(t):
    t.expect(re.escape(PROMPT))
    for _ in range(200):
        t.send("jobs\n")
        if "Stopped" in t.expect(r"(Stopped|Running)").group(0):
            break
        t.expect(re.escape(PROMPT))
        time.sleep(0.2)
    else:
        raise AssertionError("it was never stopped")
    t.expect(re.escape(PROMPT))
    t.send("fg\n")


def reads_in_the_background(t):
    """A job in the background that reads is stopped by the terminal (SIGTTIN), and reads after fg."""
    t.guard("read line; echo got=$line=", after=" &")
    fg_when_stopped(t)
    time.sleep(0.5)
    t.send("word\n")
    t.expect("got=word=")
    t.want(0)


def writes_in_the_background(t):
    """With `stty tostop` a job in the background that writes is stopped (SIGTTOU), and writes after fg."""
    t.run("stty tostop")
    t.guard("echo wri''tten >/dev/tty", "--quiet", after=" &")
    fg_when_stopped(t)
    t.expect("\nwritten")
    t.want(0)


def whole_in_the_background(t):
    """A guard in the background leaves the terminal alone, from beginning to end."""
    t.guard("sleep 1; echo done-in-background", after=" &")
    t.expect(re.escape(PROMPT))
    t.send("read -t 30 line; echo shell-got=$line=\n")
    time.sleep(0.3)
    t.send("mine\n")
    t.expect("shell-got=mine=")
    t.send("wait %1; echo waited=$?=\n")
    t.expect("waited=0=")


def window_size(t):
    """What a window's new size is the command is told, and it can ask for it."""
    t.guard("trap 'stty size; exit 3' WINCH; echo begun; while :; do sleep 0.1; done", "--keep-on-failure")
    t.expect("begun")
    t.size(33, 99)
    t.expect("33 99")
    t.want(3)


def modes_after_a_crash(t):
    """A command that dies with the terminal in raw mode does not leave it so."""
    t.guard("stty raw -echo; kill -KILL $$")
    t.expect("unchanged")
    t.want(137)
    t.lines_are_sane()


def pipeline(t):
    """As the last part of a pipeline: ^C ends it all, and the shell has its terminal back."""
    t.send("yes | \"$V\" guard --quiet \"$S\" -- bash -c 'read line; echo got=$line=; sleep 300'\n")
    t.expect("got=y=")
    t.send("\x03")
    t.want(130)
    t.lines_are_sane()


def hang_up(t):
    """The terminal goes: command and guard end, and nothing of them is left."""
    t.guard('echo pid=$$=; rm "$VSCTL_STORE"/ab5aa970/*.gob; echo gone; sleep 300')
    pid = int(t.expect(r"pid=(\d+)=").group(1))
    t.expect("gone")
    os.close(t.fd)
    for _ in range(PATIENCE * 10):
        if not os.path.exists(f"/proc/{pid}") and not os.path.exists(os.environ["STORE_RECORD"]):
            return
        time.sleep(0.1)
    raise AssertionError("the command, or the record of its guard, is still there")


CASES = (foreground, reads_lines, end_of_input, interrupt, interrupt_that_is_caught, stop_and_go_on,
         stop_in_the_background, reads_in_the_background, writes_in_the_background, whole_in_the_background, window_size,
         modes_after_a_crash, pipeline, hang_up)


def main(vsctl, store, name):
    case = next(one for one in CASES if one.__name__ == name)
    terminal = Terminal(vsctl, store)
    try:
        case(terminal)
    except (AssertionError, OSError) as error:
        print(error)
        print(terminal.shown)
        return 1
    return 0


if len(sys.argv) == 2 and sys.argv[1] == "--list":
    print("\n".join(one.__name__ for one in CASES))
else:
    sys.exit(main(*sys.argv[1:4]))
