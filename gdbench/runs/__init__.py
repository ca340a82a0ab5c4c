"""The straight line from a request to a record: planning, pipeline, measuring, the store, suites, bench and worker."""
