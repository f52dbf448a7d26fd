"""Atlas: the images that activate each channel most, and their projections to the pixels."""
