"""Server processes that another process can find, recognise and stop."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_EXECVE_SECONDS = 2.0
_KILL_SECONDS = 5.0
# The shell exits at once, so init adopts and reaps the server: nothing of it hangs on us.
_DETACH = '"$@" >"$0" 2>&1 </dev/null & echo $!'


@dataclass(slots=True)
class Server:
    """One server process, known by a pid file in its directory.

    A pid file may be stale, and its number may belong to somebody else by now. A process
    counts as ours only if its command line names our directory, and it is signalled through
    a descriptor that was opened before that check, so the number cannot change hands between.
    """

    name: str
    directory: Path
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        """What the server wrote since it was started."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Process id, if it runs."""
        descriptor = self._open()
        if descriptor is None:
            return None
        os.close(descriptor)
        return self._recorded()

    def spawn(self, command: Sequence[str], *, die_with_parent: bool) -> None:
        """Start it in its own session: Ctrl-C at our terminal is not meant for it.

        With `die_with_parent` the kernel kills it when the calling *thread* ends, whatever
        ends it; so call this from a thread that lives as long as the server should.
        """
        if die_with_parent:
            with self.log.open("wb") as log:
                self._child = subprocess.Popen(  # noqa: S603 - a binary we looked up
                    command,
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=end_with_parent(),  # noqa: PLW1509 - one system call, no locks
                )
            pid = self._child.pid
        else:
            shell = subprocess.run(  # noqa: S603 - a binary we looked up
                ["/bin/sh", "-c", _DETACH, str(self.log), *command],
                cwd=self.directory,
                stdout=subprocess.PIPE,
                start_new_session=True,
                check=True,
            )
            pid = int(shell.stdout)
        self._pid_file.write_text(f"{pid}\n")

    def stop(self, patience: float) -> bool:
        """Ask it to end, insist after `patience` seconds; False if it did not run."""
        return self._end(patience, signal.SIGTERM, signal.SIGKILL)

    def kill(self) -> bool:
        """`kill -9`, without a chance to tidy up; False if it did not run."""
        return self._end(_KILL_SECONDS, signal.SIGKILL)

    def _end(self, patience: float, *signals: signal.Signals) -> bool:
        descriptor = self._open()
        try:
            if descriptor is None:
                return False
            for number in signals:
                signal.pidfd_send_signal(descriptor, number)
                if _ended(descriptor, patience):
                    break
            return True
        finally:
            if descriptor is not None:
                os.close(descriptor)
            if self._child is not None:
                self._child.wait()
                self._child = None
            self._pid_file.unlink(missing_ok=True)

    def log_tail(self, lines: int = 15) -> str:
        """Last lines of the log, for an error message."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    @property
    def _pid_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    def _recorded(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _open(self) -> int | None:
        """Open a descriptor of the running process, if it is ours."""
        pid = self._recorded()
        if pid is None:
            return None
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        if f"{self.directory}/".encode() not in _command_line(pid):
            os.close(descriptor)
            return None
        return descriptor


def _command_line(pid: int) -> bytes:
    """Command line of a process; empty when it has ended, whoever has yet to collect it."""
    process = Path(f"/proc/{pid}")
    deadline = time.monotonic() + _EXECVE_SECONDS
    try:
        # For an instant of its execve a living process shows an empty one too.
        while not (line := (process / "cmdline").read_bytes()):
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            if state in "ZX" or time.monotonic() > deadline:
                return b""
            time.sleep(0.001)
    except OSError:
        return b""
    return line


def _ended(descriptor: int, patience: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def end_with_parent() -> Callable[[], None]:
    """A `preexec_fn`: the kernel kills the child when the thread that starts it ends."""
    prctl = ctypes.CDLL(None).prctl  # loaded here: the child may not take the loader's lock
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return arrange
