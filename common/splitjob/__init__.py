"""The vocabulary that every component shares."""
