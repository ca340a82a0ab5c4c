"""Pages from records and their stored strips: an index, a page for each generator and one for each run."""
