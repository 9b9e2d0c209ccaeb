"""From rows to the bytes of a file: one encoder for each format."""
