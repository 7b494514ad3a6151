"""What the site's reference is made of: the public names, their docstrings, an example of each, the files they are in."""
