"""Make XMP packets, embed them in PNG, JPEG, WebP and TIFF files, and find them again.

Placement follows part 3 of the XMP specification: an iTXt chunk in PNG, the "XMP " chunk in WebP, tag 700 in TIFF, and
APP1 segments in JPEG, with an extended packet if one segment is too small. The reader seeks through headers and
decodes nothing.
"""

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from infgen.errors import InputError, LimitError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEYWORD = b"XML:com.adobe.xmp"
_PNG_TEXT = b"Provenance"  # keyword of the readable JSON
_JPEG_MAIN = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x02\x01\x00\x48\x00\x48\x00\x00"  # version 1.2, 72 dots per inch, no thumbnail
_SEGMENT_BYTES = 65_533  # of one JPEG segment, without its marker and its length
_EXTENSION_BYTES = 65_400  # of the extended packet in one segment; leaves room for name, GUID, length and offset
_GUID = re.compile(rb"""HasExtendedXMP(?:>|\s*=\s*["'])([0-9A-F]{32})["'<]""")
_STANDALONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn have no length
_TIFF_HEADS = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_TIFF_XMP = 700
_TIFF_BYTES = frozenset({1, 2, 7})  # types with one byte per value: BYTE, ASCII, UNDEFINED
_MAX_TAGS = 4096
_SCAN_OR_END = frozenset({0xD9, 0xDA})


@dataclass(frozen=True)
class Properties:
    """The content of a packet: the creator tag, and ``values`` by prefixed name.

    ``namespaces`` maps the prefixes. All texts are plain ASCII without XML's special characters. ``text``: readable JSON
    for a text chunk of PNG files, which has no such limits; empty: none.
    """

    creator: str
    namespaces: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


def packet(properties: Properties) -> bytes:
    """Serialise ``properties`` as an XMP packet."""
    spaces = {"xmp": "http://ns.adobe.com/xap/1.0/", **properties.namespaces}
    values = {"xmp:CreatorTool": properties.creator, **properties.values}
    declared = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        f'<rdf:Description rdf:about=""{declared}>\n'
        + "".join(f"<{name}>{value}</{name}>\n" for name, value in values.items())
        + '</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    )
    return text.encode()


def png_chunks(properties: Properties) -> bytes:
    """Return the sRGB, Software, XMP and text chunks of a PNG file, to insert right after the header chunk."""
    chunks = [
        png_chunk(b"sRGB", b"\0"),  # rendering intent: perceptual
        png_chunk(b"tEXt", b"Software\0" + properties.creator.encode("latin-1")),
        png_chunk(b"iTXt", _PNG_KEYWORD + b"\0\0\0\0\0" + packet(properties)),
    ]
    if properties.text:
        chunks.append(png_chunk(b"iTXt", _PNG_TEXT + b"\0\0\0\0\0" + properties.text.encode()))
    return b"".join(chunks)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg_segments(properties: Properties) -> bytes:
    """Return the JFIF and XMP segments of a JPEG file, to insert right after the start marker."""
    whole = packet(properties)
    if len(_JPEG_MAIN) + len(whole) <= _SEGMENT_BYTES:
        return _JFIF + _jpeg_segment(_JPEG_MAIN + whole)
    guid = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper()
    note = Properties(
        properties.creator, {"xmpNote": "http://ns.adobe.com/xmp/note/"}, {"xmpNote:HasExtendedXMP": guid}
    )
    parts = [
        _JPEG_EXTENSION
        + guid.encode()
        + struct.pack(">II", len(whole), start)
        + whole[start : start + _EXTENSION_BYTES]
        for start in range(0, len(whole), _EXTENSION_BYTES)
    ]
    return _JFIF + b"".join(_jpeg_segment(part) for part in [_JPEG_MAIN + packet(note), *parts])


def _jpeg_segment(data: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def kind_of(path: Path) -> str:
    """Return "PNG", "JPEG", "WebP" or "TIFF" by the first bytes of the file ``path``. Raises InputError for others."""
    try:
        with open(path, "rb") as file:
            kind = _kind(file.read(12))
    except OSError as error:
        raise _read_error(path, error) from None
    if kind is None:
        raise _kind_error(path)
    return kind


def _kind(head: bytes) -> str | None:
    if head.startswith(PNG_SIGNATURE):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "WebP"
    return "TIFF" if head[:4] in _TIFF_HEADS else None


def _kind_error(path: Path) -> InputError:
    return InputError(f"{path} is not a PNG, JPEG, WebP or TIFF picture; give one of these")


def _read_error(path: Path, error: OSError) -> InputError:
    return InputError(f"picture {path} cannot be read: {error.strerror}; check the name and its permissions")


def read_packet(path: Path, *, max_bytes: int) -> bytes | None:
    """Read the XMP packet of the PNG, JPEG, WebP or TIFF file ``path``. Returns None if it has none.

    Raises InputError for a missing or damaged file or another kind, LimitError for more than ``max_bytes``.
    """
    try:
        with open(path, "rb") as file:
            return _Reader(file, path, max_bytes).packet()
    except OSError as error:
        raise _read_error(path, error) from None


class _Reader:
    """Walks the chunks of one open, untrusted file. Checks every length before it reads."""

    def __init__(self, file: BinaryIO, path: Path, max_bytes: int) -> None:
        self._file, self._path, self._max_bytes = file, path, max_bytes
        self._size = os.fstat(file.fileno()).st_size

    def packet(self) -> bytes | None:
        head = self._file.read(12)
        match _kind(head):
            case "PNG":
                return self._png()
            case "JPEG":
                return self._jpeg()
            case "WebP":
                return self._webp()
            case "TIFF":
                return self._tiff(*_TIFF_HEADS[head[:4]])
        raise _kind_error(self._path)

    def _take(self, count: int) -> bytes:
        if count > self._max_bytes:
            raise LimitError(
                f"the metadata of {self._path} have {count} bytes; allowed are {self._max_bytes}; use the original file"
            )
        data = self._file.read(count)
        if len(data) < count:
            raise InputError(
                f"picture {self._path} is damaged: it ends in the middle of its header; use the original file"
            )
        return data

    def _png(self) -> bytes | None:
        self._file.seek(len(PNG_SIGNATURE))
        while True:
            length, kind = struct.unpack(">I4s", self._take(8))
            if kind in (b"IDAT", b"IEND"):
                return None
            if kind == b"iTXt":
                text = self._png_text(self._take(length))
                if text is not None:
                    return text
                length = 0
            self._file.seek(length + 4, os.SEEK_CUR)  # skip the checksum; provenance has its own

    def _png_text(self, data: bytes) -> bytes | None:
        keyword, _, rest = data.partition(b"\0")
        if keyword != _PNG_KEYWORD:
            return None
        text = rest[2:].split(b"\0", 2)[-1]  # after language and translated keyword
        if rest[:1] == b"\0":
            return text
        try:
            return zlib.decompressobj().decompress(text, self._max_bytes)
        except zlib.error as error:
            raise InputError(f"the metadata of {self._path} are damaged: {error}; use the original file") from None

    def _jpeg(self) -> bytes | None:
        self._file.seek(2)
        main: bytes | None = None
        extension: list[bytes] = []
        while (marker := self._jpeg_marker()) not in _SCAN_OR_END:
            if marker in _STANDALONE_MARKERS:
                continue
            length = struct.unpack(">H", self._take(2))[0] - 2
            if marker != 0xE1:
                self._file.seek(max(length, 0), os.SEEK_CUR)
                continue
            data = self._take(max(length, 0))
            if data.startswith(_JPEG_MAIN):
                main = data.removeprefix(_JPEG_MAIN)
            if data.startswith(_JPEG_EXTENSION) and len(extension) * _EXTENSION_BYTES < self._max_bytes:
                extension.append(data.removeprefix(_JPEG_EXTENSION))
        guid = _GUID.search(main or b"")
        return self._join(extension, guid[1]) if guid else main

    def _jpeg_marker(self) -> int:
        if self._take(1) != b"\xff":
            raise InputError(f"picture {self._path} is damaged: a JPEG segment has no marker; use the original file")
        while (marker := self._take(1)[0]) == 0xFF:  # fill bytes
            pass
        return marker

    def _join(self, extension: list[bytes], guid: bytes) -> bytes:
        """Join the parts of the extended packet: GUID (32 bytes), full length and offset (4 bytes each), data."""
        parts = sorted(
            (part for part in extension if part.startswith(guid) and len(part) >= 40), key=lambda p: p[36:40]
        )
        whole = b"".join(part[40:] for part in parts)
        if hashlib.md5(whole, usedforsecurity=False).hexdigest().upper().encode() != guid:
            raise InputError(f"the metadata of {self._path} are damaged: parts are missing; use the original file")
        return whole

    def _webp(self) -> bytes | None:
        while self._file.tell() + 8 <= self._size:
            kind, length = struct.unpack("<4sI", self._take(8))
            if kind == b"XMP ":
                return self._take(length)
            self._file.seek(length + length % 2, os.SEEK_CUR)
        return None

    def _tiff(self, order: str, big: bool) -> bytes | None:
        """Read the value of the XMP tag in the first directory."""
        word, counter, entry = ("Q", "Q", "HHQQ") if big else ("I", "H", "HHII")
        self._seek(8 if big else 4)
        self._seek(self._unpack(order + word)[0])
        count = self._unpack(order + counter)[0]
        for _ in range(min(count, _MAX_TAGS)):
            tag, kind, length, offset = self._unpack(order + entry)
            if tag == _TIFF_XMP and kind in _TIFF_BYTES and length > struct.calcsize(word):
                self._seek(offset)
                return self._take(length)
        return None

    def _unpack(self, pattern: str) -> tuple[int, ...]:
        return struct.unpack(pattern, self._take(struct.calcsize(pattern)))

    def _seek(self, offset: int) -> None:
        if offset > self._size:
            raise InputError(f"picture {self._path} is damaged: it ends before its directory; use the original file")
        self._file.seek(offset)
