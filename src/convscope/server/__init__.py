"""The explorer's server: parse, call, encode; it computes nothing of its own."""
