"""What commands share: networks by name, tables, progress bars and warnings."""
