"""`python -m heedful`: the command line where its script is not on the path."""

from heedful.cli.main import main

if __name__ == "__main__":
    main()
