"""What happened to a connection while it lay in a pool."""

import select


def has_news(socket: int) -> bool:
    """Whether the server has said something on that socket (its file descriptor), which costs no question.

    To a connection that asks nothing a server says little but goodbye: only where there is something is it asked
    whether it still works. A server that went without a word is found out by the next statement, as by a question.
    """
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return bool(waiting.poll(0))
