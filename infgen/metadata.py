"""Carry the metadata of a photograph (EXIF, IPTC, XMP, resolution) into a picture that continues it.

The size and orientation in them are corrected. Parts that describe the old pixels or their bytes are dropped:
thumbnails, the maker's private notes, panorama and depth data.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

MAX_BYTES = 2**22  # of each block; a larger one is dropped
_SEGMENT_BYTES = 65_000  # largest part of a block in one segment of a JPEG file
_XMP_TAG, _IPTC_TAG, _IPTC_RESOURCE = 700, 33723, 0x0404
_PNG_XMP, _PNG_IPTC = "XML:com.adobe.xmp", "Raw profile type iptc"
_PHOTOSHOP = b"Photoshop 3.0\0"
# Tags of a TIFF file that describe its bytes, and not the photograph. Its other tags are kept.
_LAYOUT_TAGS = frozenset(
    {*range(254, 267), 273, 277, 278, 279, 284, 288, 289, 290, 291, 292, 293, 297, 301, *range(317, 347)}
    | {347, *range(512, 522), 529, 530, 531, 532, _XMP_TAG, _IPTC_TAG, 34377, 34675, 37724}
)
_MAKER_NOTE = 0x927C  # holds offsets that are wrong in another file
_SIZE_TAGS = (0xA002, 0xA003)  # width and height in px
# XMP of these schemas describes the old pixels or bytes behind the picture.
_OLD_SCHEMAS = b"GPano|GCamera|GDepth|GImage|Camera|xmpNote|hdrgm|HDRGainMap|crs"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_EMPTY_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
)


@dataclass(frozen=True)
class Metadata:
    """Blocks of one photograph as in its file. ``exif``: a TIFF structure. ``dpi``: px per inch, horizontal and vertical."""

    exif: bytes | None = None
    iptc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


NO_METADATA = Metadata()


def read_metadata(image: Image.Image) -> Metadata:
    """Read the metadata of an opened picture. Damaged blocks are left out."""
    try:
        xmp = image.info.get("xmp") or image.info.get(_PNG_XMP)
        exif = image.info.get("exif")
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            exif, xmp = _exif_of_tiff(image), image.tag_v2.get(_XMP_TAG)
        return make_metadata(exif, _read_iptc(image), xmp, image.info.get("dpi"))
    except Exception:  # Pillow raises many kinds for damaged tags
        return NO_METADATA


def make_metadata(exif: Any, iptc: Any, xmp: Any, dpi: Any = None) -> Metadata:
    """Check blocks of any origin, and leave out those of other types or over ``MAX_BYTES``."""
    found = [block.encode() if isinstance(block, str) else block for block in (exif, iptc, xmp)]
    blocks = [block if isinstance(block, bytes) and 0 < len(block) <= MAX_BYTES else None for block in found]
    try:
        across, down = (float(value) for value in dpi)
        resolution = (across, down) if min(across, down) > 0 and max(across, down) < 10**6 else None
    except (TypeError, ValueError, ZeroDivisionError):
        resolution = None
    return Metadata(blocks[0], blocks[1], blocks[2], resolution)


def with_source_type(metadata: Metadata) -> Metadata:
    """Return ``metadata`` with IPTC's digital source type of a photograph that a model continued."""
    mark = (
        f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{_IPTC_EXTENSION}"><Iptc4xmpExt:DigitalSourceType>'
        f"{_COMPOSITE}</Iptc4xmpExt:DigitalSourceType></rdf:Description>"
    ).encode()
    packet = metadata.xmp or _EMPTY_PACKET
    old = rb"<Iptc4xmpExt:DigitalSourceType>[^<]*</Iptc4xmpExt:DigitalSourceType>|\sIptc4xmpExt:DigitalSourceType=\"[^\"]*\""
    packet = re.sub(old, b"", packet.replace(mark, b""))
    start, end, rest = packet.rpartition(b"</rdf:RDF>")
    return replace(metadata, xmp=start + mark + end + rest if end else packet)


def save_options(metadata: Metadata, *, file_format: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return the options of Pillow's ``save`` that write ``metadata`` into a picture of ``size`` (width, height) px.

    ``file_format``: "PNG", "JPEG", "WEBP" or "TIFF". Blocks that the format cannot hold are left out.
    """
    options: dict[str, Any] = {} if metadata.dpi is None or file_format == "WEBP" else {"dpi": metadata.dpi}
    exif = None if metadata.exif is None else corrected_exif(metadata.exif, size)
    xmp = None if metadata.xmp is None else corrected_xmp(metadata.xmp, size)
    iptc = metadata.iptc
    if file_format == "JPEG":
        exif, xmp, iptc = (block if block and len(block) < _SEGMENT_BYTES else None for block in (exif, xmp, iptc))
    if file_format == "TIFF":
        return options | {"exif": _tiff_tags(exif, xmp, iptc)}
    if exif is not None:
        options["exif"] = exif
    if file_format == "PNG":
        return options | {"pnginfo": _png_texts(xmp, iptc)}
    options |= {} if xmp is None else {"xmp": xmp}
    return options | ({"extra": _photoshop_segment(iptc)} if iptc and file_format == "JPEG" else {})


def corrected_exif(block: bytes, size: tuple[int, int]) -> bytes | None:
    """Correct orientation and size in an EXIF block, and drop thumbnail and maker's notes. None: it cannot be read."""
    exif = Image.Exif()
    try:
        exif.load(block)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        details.pop(_MAKER_NOTE, None)
        for tag, length in zip(_SIZE_TAGS, size, strict=True):
            details[tag] = length
        for tag in _LAYOUT_TAGS & set(exif):
            del exif[tag]
        exif[ExifTags.Base.Orientation] = 1
        exif.get_ifd(ExifTags.IFD.IFD1).clear()
        return exif.tobytes()
    except Exception:  # Pillow raises many kinds for damaged blocks
        return None


def corrected_xmp(packet: bytes, size: tuple[int, int]) -> bytes:
    """Correct orientation and size in an XMP packet, and drop thumbnails and data about the old pixels."""
    values = {b"tiff:Orientation": 1, b"tiff:ImageWidth": size[0], b"tiff:ImageLength": size[1]}
    values |= {b"exif:PixelXDimension": size[0], b"exif:PixelYDimension": size[1]}
    for name, value in values.items():
        for pattern in (rb"(\b%s\s*=\s*[\"'])\d{1,9}(?=[\"'])" % name, rb"(<%s>)\s*\d{1,9}\s*(?=<)" % name):
            packet = re.sub(pattern, rb"\g<1>%d" % value, packet)
    packet = re.sub(rb"\s(?:%s):\w{1,64}\s*=\s*(?:\"[^\"]*\"|'[^']*')" % _OLD_SCHEMAS, b"", packet)
    for name in _old_elements(packet):
        packet = re.sub(rb"<%s[\s>].*?</%s>" % (name, name), b"", packet, flags=re.DOTALL)
    return packet


def _old_elements(packet: bytes) -> Iterable[bytes]:
    names = re.findall(rb"<((?:xmp:Thumbnails|Container:Directory|(?:%s):\w{1,64}))[\s>]" % _OLD_SCHEMAS, packet)
    return sorted(set(names))


def _exif_of_tiff(image: TiffImagePlugin.TiffImageFile) -> bytes | None:
    exif, found = Image.Exif(), image.getexif()
    parts = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
    for tag, value in found.items():
        if tag not in _LAYOUT_TAGS and tag not in parts:
            exif[tag] = value
    for part in parts:
        if inner := dict(found.get_ifd(part)):
            exif[part] = inner
    return exif.tobytes() if len(exif) else None


def _read_iptc(image: Image.Image) -> bytes | None:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_IPTC_TAG)
        return value if isinstance(value, bytes) else None
    if isinstance(text := image.info.get(_PNG_IPTC), str):  # lines with the name, the length, and hexadecimal digits
        return bytes.fromhex("".join(text.split()[2:]))
    resources = image.info.get("photoshop")
    found = resources.get(_IPTC_RESOURCE) if isinstance(resources, dict) else None
    return found if isinstance(found, bytes) else None


def _png_texts(xmp: bytes | None, iptc: bytes | None) -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    if xmp is not None:
        texts.add_itxt(_PNG_XMP, xmp.decode(errors="replace"))
    if iptc is not None:  # as ImageMagick and ExifTool write it
        digits = iptc.hex()
        lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        texts.add_text(_PNG_IPTC, f"\niptc\n{len(iptc):8}\n{lines}\n", zip=True)
    return texts


def _tiff_tags(exif: bytes | None, xmp: bytes | None, iptc: bytes | None) -> Image.Exif:
    tags = Image.Exif()
    if exif is not None:
        tags.load(exif)
    for tag, block in ((_XMP_TAG, xmp), (_IPTC_TAG, iptc)):
        if block is not None:
            tags[tag] = block
    return tags


def _photoshop_segment(iptc: bytes) -> bytes:
    """Return a JPEG segment with the IPTC record as Photoshop's resource 0x0404."""
    padded = iptc + bytes(len(iptc) % 2)
    data = _PHOTOSHOP + b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc)) + padded
    return b"\xff\xed" + struct.pack(">H", len(data) + 2) + data
