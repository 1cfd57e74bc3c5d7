"""Files to conversations: what stands in a manifest, and every record of it by number.

Read: `manifest` (settings of a source), `source` (what the rooms above see), `open` (settings to sources),
then `readers/` (containers: lines, arrays, rows, shards), `forms/` (what a record may look like), `faults`
and `media` (what can be wrong), `writing` (records as lines). `files/` finds, fetches and caches.

It must not know tokens, packs, models or what becomes of a faulty record: it names faults, others decide.
"""
