"""One implicit image: its geometry, its random fields, its coordinates, and the document that fixes it."""
