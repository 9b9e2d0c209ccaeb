"""Detect the kind of a picture file by its first bytes, independent of its name."""

SNIFF_BYTES = 64  # first bytes of a file that ``sniff`` needs
# Kind -> Pillow's names of its formats. Other formats of Pillow are left out: some run programs, such as PostScript.
READABLE: dict[str, tuple[str, ...]] = {
    "JPEG": ("JPEG", "MPO"),
    "PNG": ("PNG",),
    "WebP": ("WEBP",),
    "TIFF": ("TIFF",),
    "AVIF": ("AVIF",),
    "HEIC": ("HEIF",),
    "GIF": ("GIF",),
    "BMP": ("BMP",),
    "JPEG 2000": ("JPEG2000",),
    "PPM": ("PPM",),
}
KINDS_TEXT = ", ".join(list(READABLE)[:-1]) + " and " + list(READABLE)[-1]
# Usual extensions of photographs. Files with other extensions are opened to detect their kind.
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
_HEADS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
    (b"IIRO", "camera raw"),
    (b"IIU\0", "camera raw"),
)
_BRANDS: dict[bytes, str] = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    b"crx ": "camera raw",
    b"qt  ": "video",
    **dict.fromkeys((b"isom", b"mp41", b"mp42", b"M4V ", b"iso2", b"avc1", b"3gp4", b"3gp5"), "video"),
}
_ANY_BRAND = frozenset({b"mif1", b"msf1"})  # also of AVIF files, which then list their own brand further on


def sniff(head: bytes) -> str | None:
    """Return the kind of a file with the first bytes ``head``; None if it is no known kind of picture.

    Kinds that are not in ``READABLE`` are named for messages: "camera raw", "JPEG XL", "Photoshop", "PDF", "video" ...
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    if head.startswith(b"II*\0") and head[8:10] == b"CR":
        return "camera raw"
    if head.startswith(b"BM") and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b"\n", b"\r", b" ", b"\t") and head[3:4].strip():
        return "PPM"
    return next((kind for start, kind in _HEADS if head.startswith(start)), None)


_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def _sniff_brands(head: bytes) -> str | None:
    """Distinguish the files of the ISO base media format by their brands."""
    major = head[8:12]
    if major in _ANY_BRAND:
        listed = [head[i : i + 4] for i in range(16, min(len(head), int.from_bytes(head[:4], "big")), 4)]
        return next((kind for brand in listed if (kind := _BRANDS.get(brand)) == "AVIF"), "HEIC")
    return _BRANDS.get(major)
