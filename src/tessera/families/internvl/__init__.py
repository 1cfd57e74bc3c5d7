"""internvl."""
