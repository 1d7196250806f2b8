"""One short script a stage: read parameters and paths, call the library, write outputs."""

import os

# Before torch is loaded: its threads then wait for each other asleep. Awake, which is the default, two threads on a
# machine that has other work take turns at waiting; features came at half the rate, heads at a twentieth.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
