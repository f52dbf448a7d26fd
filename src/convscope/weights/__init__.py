"""Read weights files without executing their content, and map them to a network."""
