"""Debian's Redis Sentinels of one test's own, in clear or over TLS."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from tests.support.checkers import checker
from tests.support.redis_server import RedisServer
from tests.support.tls import Authority

_COUNT: Final = 3


class Sentinels:
    """Three, which watch one primary as `main` and agree after half a second.

    Over TLS all of them, and what they watch, are known by the name `localhost`.
    """

    def __init__(self, folder: Path, primary: RedisServer, authority: Authority | None = None) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self._authority = authority
        self.ports: list[int] = []
        for number in range(_COUNT):
            server = RedisServer(folder, authority)
            lines = [
                *(" ".join(option) for option in server.listening),
                f"sentinel resolve-hostnames {'no' if authority is None else 'yes'}",
                f"sentinel announce-hostnames {'no' if authority is None else 'yes'}",
                f"sentinel monitor main {primary.host} {primary.port} 2",
                "sentinel down-after-milliseconds main 500",
                "sentinel failover-timeout main 2000",
            ]
            (folder / f"{number}.conf").write_text("\n".join(lines))
            conf = str(folder / f"{number}.conf")
            command = [str(checker("redis-server")), conf, "--sentinel", "--dir", str(folder)]
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            )
            self.ports.append(server.port)
            while not server.answers():
                time.sleep(0.01)

    async def know_each_other(self) -> bool:
        """Whether each sees the other two and the replica."""
        for port in self.ports:
            async with self._redis(port) as redis:
                state: Any = await redis.sentinel_master("main")
            if state["num-other-sentinels"] != _COUNT - 1 or state["num-slaves"] != 1:
                return False
        return True

    def kill(self, number: int) -> None:
        """`kill -9`, and wait for its end."""
        self._processes[number].kill()
        self._processes[number].wait()

    def url(self, service: str = "main") -> str:
        """By way of all three, to the second database of the service; over TLS with the right authority."""
        if self._authority is None:
            scheme, host, query = "redis+sentinel", "127.0.0.1", ""
        else:
            scheme, host = "rediss+sentinel", "localhost"
            query = f"?ssl_ca_certs={self._authority.certificate}"
        hosts = ",".join(f"{host}:{port}" for port in self.ports)
        return f"{scheme}://{hosts}/{service}/2{query}"

    def _redis(self, port: int) -> Redis:
        if self._authority is None:
            return Redis(port=port)
        return Redis(host="localhost", port=port, ssl=True, ssl_ca_certs=str(self._authority.certificate))


@contextmanager
def sentinels(folder: Path, primary: RedisServer, authority: Authority | None = None) -> Iterator[Sentinels]:
    """Started, and ended with the block."""
    started = Sentinels(folder, primary, authority)
    try:
        yield started
    finally:
        for number in range(_COUNT):
            started.kill(number)
