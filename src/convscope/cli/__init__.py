"""The command line: one file for each command that parses, calls and prints."""
