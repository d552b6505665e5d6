"""One run is one folder: written, read back, compared and reported here. Needs no torch."""
