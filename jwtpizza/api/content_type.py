"""What a Content-Type may say; needed before Django is there."""

import re

PARAMETER = re.compile(
    r'\s*charset\s*=\s*"?utf-?(?:8|16|32)(?:le|be)?"?\s*|(?!.*charset)[^*]*', re.IGNORECASE | re.DOTALL
)


def readable(content_type: str) -> bool:
    """Whether a Content-Type leaves the text in Unicode, and has no extended parameters (RFC 2231).

    Django looks any charset up in Python's registry, which keeps each unknown name for good, and fails on some others.
    """
    return all(PARAMETER.fullmatch(parameter) for parameter in content_type.split(";")[1:])
