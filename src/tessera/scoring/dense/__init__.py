"""Classes of pixels in figures. Pure: counts in, figures out."""
