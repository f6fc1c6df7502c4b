"""A redis-server of one test's own, to be killed, restarted empty, stopped and resumed.

Not the server that tests share (`tests.support.servers`): what is done here would break their neighbours.
"""

import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.support.checkers import checker
from tests.support.tls import Authority

_START_S: Final = 10.0


class RedisServer:
    """One process on a free port, which it keeps through restarts. Nothing is written to disk.

    With an `authority` it speaks TLS alone, to its replicas, too, and is known by the name `localhost`.
    """

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        self._directory = directory
        self._authority = authority
        self.host = "127.0.0.1" if authority is None else "localhost"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        if self._authority is None:
            return f"redis://127.0.0.1:{self.port}/0"
        return f"rediss://localhost:{self.port}/0?ssl_ca_certs={self._authority.certificate}"

    @property
    def listening(self) -> list[tuple[str, str]]:
        """Options of Redis, and of Sentinel, that say where it listens and how it speaks."""
        if self._authority is None:
            return [("bind", "127.0.0.1"), ("port", str(self.port))]
        return [
            ("bind", "127.0.0.1"),
            ("port", "0"),
            ("tls-port", str(self.port)),
            ("tls-cert-file", str(self._authority.server_certificate)),
            ("tls-key-file", str(self._authority.server_key)),
            ("tls-ca-cert-file", str(self._authority.certificate)),
            ("tls-auth-clients", "no"),
            ("tls-replication", "yes"),
        ]

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        options = [*self.listening, ("save", ""), ("appendonly", "no"), ("replica-announce-ip", self.host)]
        command = [
            str(checker("redis-server")),
            *(part for name, value in options for part in (f"--{name}", value)),
        ]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._directory)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while not self.answers():
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """`kill -9`, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: it accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "redis-server is not running"
        self._process.send_signal(number)

    def answers(self) -> bool:
        """Whether something there speaks Redis."""
        try:
            opened = socket.create_connection(("127.0.0.1", self.port), timeout=1)
            with opened, self._secured(opened) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def _secured(self, opened: socket.socket) -> socket.socket:
        if self._authority is None:
            return opened
        context = ssl.create_default_context(cafile=self._authority.certificate)
        return context.wrap_socket(opened, server_hostname=self.host)
