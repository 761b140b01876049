"""pytest on a kernel under test: items, fixtures, verdicts."""
