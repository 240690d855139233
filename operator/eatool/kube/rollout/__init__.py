"""EventSourcingRollouts: what is declared moves kinds from phase to phase, and says how it goes."""
