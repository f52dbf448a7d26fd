"""Layer 0: errors, files, frozen values and devices. It knows no images, networks or runs."""
