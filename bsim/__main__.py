"""`python -m bsim` is `bsim`."""

from bsim.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
