"""Layer 6: results as files and pictures that people open."""
