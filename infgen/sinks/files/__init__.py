"""Picture files: tiles wait on a canvas on disk, with a journal of what is finished, while an encoder reads its rows."""
