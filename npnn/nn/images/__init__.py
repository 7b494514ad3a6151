"""Images: other sizes, rearranged pixels, and windows as columns."""
