"""What Pillow makes of the embedded digits: the table in the test of src/data/rotate.rs.

    python scripts/check_rotation.py [IMAGES.idx3-ubyte[.gz]]

Prints, for each angle, the SHA-256 of all images of the file (by default the 1,000 embedded training digits)
rotated by Pillow's `Image.rotate(angle)`, one after the other, one byte a pixel. Needs Pillow; the table was
made with Pillow 13.0.0.
"""
import gzip
import hashlib
import pathlib
import struct
import sys

from PIL import Image

ANGLES = [0, 15, 30, 45, 60, 75, -17.3, 90, 180, 270, 359.5, 123.456, 725.5, 89.9999]


def main():
    default = pathlib.Path(__file__).parent.parent / "assets" / "digits-train-images.idx3-ubyte.gz"
    content = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    magic, count, rows, columns = struct.unpack(">4I", content[:16])
    assert magic == 2051, magic
    size = rows * columns
    images = [
        Image.frombytes("L", (columns, rows), content[16 + i * size : 16 + (i + 1) * size]) for i in range(count)
    ]
    for angle in ANGLES:
        digest = hashlib.sha256()
        for image in images:
            digest.update(image.rotate(angle).tobytes())
        print(f'({float(angle)!r}, "{digest.hexdigest()}"),')


if __name__ == "__main__":
    main()
