"""What commands are made of: the network that is named, tables, progress, warnings."""
