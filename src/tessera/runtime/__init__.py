"""Where we run: devices, seeds, worker processes, the base of settings, JSON files, one HTTP client.

Every file stands alone; read what you need. Knows nothing of the rest of the package.
"""
