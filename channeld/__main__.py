"""`python -m channeld`: the command line without its script."""

from channeld.cli.main import main

if __name__ == "__main__":
    main()
