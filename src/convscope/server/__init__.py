"""The explorer's server: parse requests, call the explorer, encode the answers."""
