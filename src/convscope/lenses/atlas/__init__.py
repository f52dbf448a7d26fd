"""Atlas: the images that excite each channel most, and what in them did."""
