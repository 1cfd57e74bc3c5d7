"""Several processes, from outside: `ranks` joins them and adds up, `heartbeat` tells who is lost.

Models and objectives know nothing of it.
"""
