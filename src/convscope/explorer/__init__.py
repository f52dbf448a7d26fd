"""What the explorer's routes are made of: the subject, its images, recorded passes."""
