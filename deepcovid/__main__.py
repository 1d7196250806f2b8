"""`python -m deepcovid`: the command `deepcovid`."""

import sys

from deepcovid.commands import main

sys.exit(main())
