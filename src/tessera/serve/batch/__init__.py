"""A file of requests answered without a network, in OpenAI's batch form.

Read `requests` (lines in), `answers` (lines out, across interruptions), `runner`, `remote` (another server).
Bodies are read, and limits kept, by the application of the server alone.
"""
