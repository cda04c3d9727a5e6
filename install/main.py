"""The commands behind `install/run` and `install/test`, which check first that this interpreter will do."""

import sys

from steps import run, test
from steps.progress import Failed

COMMANDS = {"run": run.main, "test": test.main}

try:
    sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
except Failed as failure:
    print(f"\nfailed: {failure}", file=sys.stderr)
    sys.exit(1)
except KeyboardInterrupt:
    print("\nstopped; run it again to go on from here", file=sys.stderr)
    sys.exit(130)
