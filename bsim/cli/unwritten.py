"""What is told where a disk is full, and nobody else knows what it was that could not be written."""

import errno
import os
import sys
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def unwritten(fault: OSError) -> tuple[int | None, str]:
    """Answer exit code and message where a disk is full or fails; None for anything else.

    The verbs name the files they write, so that what is left is the output. What is still to be written of it goes
    nowhere: the interpreter would try again as it ends, and have an exit code of its own.
    """
    if fault.errno not in _FULL:
        return None, ""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2, f"{fault.filename or 'the output'}: {fault.strerror}"
