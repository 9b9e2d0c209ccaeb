"""Picture files: tiles wait on a work_file on disk, with a journal of what is finished, while an encoder reads its rows."""
