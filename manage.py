#!/usr/bin/env python3
"""Django's command line for the order service."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jwtpizza.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))
    except OperationalError as problem:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database of DATABASE_URL refuses: {problem}")


if __name__ == "__main__":
    main()
