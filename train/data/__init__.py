"""Training data: photographs in folders, archives and remote storage, and the views and patches cut from them."""

from infgen.train.data.archives import Picture, SkippedFile
from infgen.train.data.photo_set import Batch, PhotoSet
from infgen.train.data.pyramid import PhotoPyramid
from infgen.train.data.sources import Source, open_source

__all__ = ["Batch", "PhotoPyramid", "PhotoSet", "Picture", "SkippedFile", "Source", "open_source"]
