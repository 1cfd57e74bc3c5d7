"""Where we run: devices, seeds, worker processes, the base of settings, JSON files, one HTTP client.

Read what you need. Knows nothing of the rest of the package.
"""
