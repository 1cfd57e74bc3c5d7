"""Pages about data: one HTML file each with nothing outside it, light or dark as the reader's system asks."""
