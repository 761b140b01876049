"""Effects: a module for each thing that the testbed talks to."""
