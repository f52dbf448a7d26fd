"""The ledger: how one activation is computed, term by term."""
