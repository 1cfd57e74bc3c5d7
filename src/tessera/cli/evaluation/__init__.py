"""`tessera evaluate`: on benchmarks, on drawn tasks; what was measured listed, explained and compared."""
