"""One short script a stage: read parameters and paths, call the library, write outputs."""

import os

# OpenMP threads spin while they wait. On a machine with other work, spinning threads block each other: features ran at
# half the speed, heads at a twentieth. Passive waiting avoids that; it must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
