"""One short script per stage. It reads parameters and paths, calls the library, and writes outputs."""

import gc
import os
import sys
from types import TracebackType

from deepcovid.errors import INTERRUPTED

# OpenMP threads spin while they wait. On a machine with other work, spinning threads block each other: features ran at
# half the speed, heads at a twentieth. Passive waiting avoids that; it must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    print("interrupted", file=sys.stderr)
    os._exit(INTERRUPTED)


# A stage that is run as a script imports torch for seconds before _run.run. Ctrl-C prints one line from the start. No
# garbage is looked for: what is imported stays, and to look for garbage in it would take a fifth more time.
if sys.argv[0] == "-m":
    sys.excepthook = _hook
    gc.disable()
