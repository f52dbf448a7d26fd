"""Layer 7: the command line. One file per command: parse, call, print."""
