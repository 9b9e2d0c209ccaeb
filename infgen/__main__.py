"""``python -m infgen``."""

from infgen.cli.main import main

if __name__ == "__main__":
    main()
