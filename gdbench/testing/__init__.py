"""Contract checks for plugins."""
