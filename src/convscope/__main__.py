"""`python -m convscope` is the `convscope` command."""

from convscope.cli.app import main

if __name__ == "__main__":
    main()
