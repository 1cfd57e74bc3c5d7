"""Mutation suites: sound files, records and checkpoints are damaged at random and given to the public doors.

Whatever comes out is an answer or one of the product's own faults, within a GiB and ten seconds, with no file
read outside of the data and no network. `make mutations` runs all examples, the suite a sample of them.
"""
