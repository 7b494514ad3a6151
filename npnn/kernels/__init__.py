"""Arrays in, arrays out: every kernel as plain NumPy, to be read, with its compiled twin below it."""
