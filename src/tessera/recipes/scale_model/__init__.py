"""scale model."""
