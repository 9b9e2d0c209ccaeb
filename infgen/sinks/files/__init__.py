"""Picture files: tiles go to a work file on disk, with a journal of finished tiles, while an encoder reads the rows."""
