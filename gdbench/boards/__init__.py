"""Pure functions of records: leaderboards, intervals, ranks, and the verdicts of acceptance tests."""
