"""`python -m vislab` is `vislab`."""

import sys

from vislab.cli.main import main

sys.exit(main())
