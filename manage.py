#!/usr/bin/env python3
"""Django's command line for the order service."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from jwtpizza.observability.lines import Lines, refuse

    # Not where it is the default: what a command writes into a pipe, as dumpdata does, is for whoever reads that.
    if os.environ.get("LOG_FORMAT") == "json":
        command = " ".join(sys.argv[1:2])
        sys.stdout, sys.stderr = Lines(sys.stdout, "info", command), Lines(sys.stderr, "error", command)
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        refuse(problem)
        sys.exit(1)
    except OperationalError as problem:
        if "--traceback" in sys.argv:
            raise
        refuse(f"The database of DATABASE_URL refuses: {problem}")
        sys.exit(1)


if __name__ == "__main__":
    main()
