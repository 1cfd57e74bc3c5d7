"""Between the network and the requests: bodies, keys, hosts, slow clients, counts, the end.

Read `body`, `layers` (what surrounds every endpoint), `meters`, `protocol` and `server` (uvicorn with limits
and a graceful end). It must not know what requests ask for.
"""
