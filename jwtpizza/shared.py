"""What processes have to know of one another: those of a machine by a file in memory, those of others by Redis.

Nothing stands in Redis alone that must not be lost: without it, and while it is gone, another machine learns of a
change by its clock, and what is tallied here is counted elsewhere.
"""

import logging
import mmap
import os
import threading
import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import TypeVar

from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import EqualJitterBackoff, NoBackoff
from redis.client import PubSub
from redis.retry import Retry

from jwtpizza.turns import TURNS

log = logging.getLogger("jwtpizza.shared")

Told = TypeVar("Told")

SLOTS = ("menu", "franchises", "chaos")
PREFIX = "jwtpizza:"
CHANNEL = PREFIX + "changed"
# Of each wait of a request, of which the first that is in vain is the last.
TIMEOUT_SECONDS = 0.2
# A Redis that says nothing for so long is asked whether it is there, and given up after as long again.
SILENT_SECONDS = 1.0
BACKOFF = EqualJitterBackoff(cap=5.0, base=0.5)
# From there on the wait is the longest, and 2 to a much higher power is no float.
MOST_TRIES = 8
# Of one name, beyond which it is not for Redis to keep them.
MOST_PARTS = 256

# A hash by name, in which each part has its time and its count. What is over, or older than what the caller has counted
# elsewhere, is worth nothing, and the caller's number counts on; it is deleted only where it gets crowded.
TALLY = """
local part, now, since, start, seconds, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), unpack(ARGV, 4)
local count, kept = tonumber(start), redis.call('HGET', KEYS[1], part)
local function read(value)
  local at, number = string.match(value, '(%S+) (%d+)')
  return tonumber(at), tonumber(number)
end
if kept then
  local at, number = read(kept)
  if at > since and at > now - seconds then count = number end
elseif redis.call('HLEN', KEYS[1]) >= tonumber(most) then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if read(all[i + 1]) <= now - seconds then redis.call('HDEL', KEYS[1], all[i]) end
  end
  if redis.call('HLEN', KEYS[1]) >= tonumber(most) then return false end
end
redis.call('HSET', KEYS[1], part, ARGV[2] .. ' ' .. count + 1)
redis.call('EXPIRE', KEYS[1], seconds)
return count + 1
"""


@cache
def _numbers() -> memoryview:
    """A number for each slot, in a file that all processes of this machine map into their memory."""
    settings.RUN_DIR.mkdir(parents=True, exist_ok=True)
    size = 8 * len(SLOTS)
    descriptor = os.open(settings.RUN_DIR / "generations", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, size)
        return memoryview(mmap.mmap(descriptor, size)).cast("Q")
    finally:
        os.close(descriptor)


def _renew(slot: str) -> None:
    # Any other number will do, and a random one needs no lock between processes.
    _numbers()[SLOTS.index(slot)] = int.from_bytes(os.urandom(8))


class Generation:
    """A number that is another one after each change of what the slot stands for.

    All processes of this machine have the same at once, and those of another machine one of their own, which changes as
    soon as Redis tells it; without Redis it doesn't.
    """

    def __init__(self, slot: str) -> None:
        self._slot, self._place = slot, SLOTS.index(slot)

    def __call__(self) -> int:
        return _numbers()[self._place]

    def renew(self) -> None:
        """For after the commit. Nobody is told that Redis is gone."""
        _renew(self._slot)
        LINK.ask(lambda redis: redis.publish(CHANNEL, self._slot))


class Link:
    """A process's way to Redis. One thread finds out whether it is there; nobody else waits for one that isn't."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._up: bool | None = None

    @property
    def up(self) -> bool:
        """Whether it may be asked: not before `keep` has found it."""
        return bool(self._up)

    def ask(self, question: Callable[[Redis], Told]) -> Told | None:
        """What it says, or None where it can't be asked; each of its waits takes 0.2 s at most."""
        if not self._up:
            return None
        try:
            with TURNS.aside():
                return question(self._redis)
        except RedisError as error:
            self._lost(error)
            return None

    def keep(self) -> None:
        """Hears what other machines tell, for ever."""
        tries = 0
        while True:
            try:
                with PubSub(self._redis.connection_pool) as heard:
                    self._begin(heard)
                    tries = 0
                    while self._up:
                        self._hear(heard)
            except Exception as error:
                self._lost(error)
            tries = min(tries + 1, MOST_TRIES)
            time.sleep(BACKOFF.compute(tries))

    def _begin(self, heard: PubSub) -> None:
        """Raises something unless it takes subscriptions and writes: one that is full, or a replica, is of no use."""
        heard.subscribe(CHANNEL)
        if heard.get_message(timeout=SILENT_SECONDS) is None:
            raise TimeoutError("it does not answer")
        _tally(self._redis, "asked", "", now=time.time(), since=0, start=0, seconds=60)
        with self._lock:
            before, self._up = self._up, True
        if before is False:
            log.warning("Redis is back")

    def _hear(self, heard: PubSub) -> None:
        message = heard.get_message(timeout=SILENT_SECONDS)
        if message is None:
            # redis-py's own health check sends this too, but doesn't look whether anything comes back.
            heard.ping()
            message = heard.get_message(timeout=SILENT_SECONDS)
        if message is None:
            raise TimeoutError("it does not answer")
        if message["type"] == "message" and (slot := message["data"].decode()) in SLOTS:
            _renew(slot)

    def _lost(self, error: Exception) -> None:
        with self._lock:
            before, self._up = self._up, False
        if before is not False:
            log.warning("Redis is gone, and everything goes on without it: %s", error)

    @cached_property
    def _redis(self) -> Redis:
        return Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            # Neither pushes nor a handshake are needed.
            protocol=2,
            driver_info=None,
        )


LINK = Link()


def start_listening() -> None:
    """Has this process ask Redis, and hear what other machines tell, from now on; if there is one (`REDIS_URL`)."""
    if settings.REDIS_URL:
        threading.Thread(target=LINK.keep, name="redis", daemon=True).start()


def tally(name: str, part: str, *, now: float, since: float, start: int, seconds: float) -> int | None:
    """One more of a part of a name: how many there are, never `seconds` apart; or None where it can't be counted.

    `start` is how many the caller has counted elsewhere until `since`: it goes on from there, unless it has counted
    later than that itself. `now` and `since` are seconds since 1970.
    """
    return LINK.ask(lambda redis: _tally(redis, name, part, now=now, since=since, start=start, seconds=seconds))


def _tally(redis: Redis, name: str, part: str, **how: float) -> int | None:
    numbers = [how["now"], how["since"], how["start"], int(how["seconds"]), MOST_PARTS]
    counted: int | None = redis.register_script(TALLY)(keys=[PREFIX + name], args=[part, *numbers])
    return counted


def forget(name: str, *parts: str) -> bool:
    """Nothing is tallied any more of these parts of a name, or of any; False where Redis can't be told so."""
    if not settings.REDIS_URL:
        return True
    key = PREFIX + name
    return LINK.ask(lambda redis: redis.hdel(key, *parts) if parts else redis.delete(key)) is not None
