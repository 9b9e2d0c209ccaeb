"""Define one implicit image: the world document, its random fields, coordinates, layout, anchors and edits."""
