"""What happened to a connection while nothing was heard of its server."""

import os
import select
import socket

# A host that went without a word, as one does that lost its power, is given up after 8 s, and not after a quarter of an
# hour: by the names of libpq, seconds and milliseconds. However long a statement takes, a host that lives answers this.
SILENCE = {"keepalives_idle": 5, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 8000}
# Linux has all of them.
OPTIONS = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")


def give_up_silence(descriptor: int) -> None:
    """As `SILENCE` says, for a driver that knows no such options; nothing to a socket that is not TCP."""
    with socket.socket(fileno=os.dup(descriptor)) as connected:
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in zip(OPTIONS, SILENCE.values(), strict=True):
                if hasattr(socket, name):
                    connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def has_news(descriptor: int) -> bool:
    """Whether the server has said something on that socket, which costs no question.

    To a connection that asks nothing a server says little but goodbye: only where there is something is it asked
    whether it still works. A server that went without a word is found out by the next statement, as by a question.
    """
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))
