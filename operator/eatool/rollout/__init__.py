"""The migration of one kind at a time from a mutable table to the event log, and back."""
