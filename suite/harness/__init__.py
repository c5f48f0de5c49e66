"""Laboratory, harness: one controlled run, from a card to a record. Nothing is imported here."""
