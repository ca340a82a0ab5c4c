"""Prints at import, which must not spoil the output of a command."""

print("loading, please wait")
