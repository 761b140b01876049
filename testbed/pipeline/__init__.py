"""From a request to its record: the order in which the rooms below are used."""
