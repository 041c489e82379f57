"""State channels on EVM chains that carry payments and option trades."""
