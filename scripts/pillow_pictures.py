"""What Pillow makes of pictures: the table in src/data/pictures/resize.rs and the files of tests/fixtures/pictures.

    python scripts/pillow_pictures.py resize             prints the table
    python scripts/pillow_pictures.py pictures FOLDER    writes small PNG and JPEG files of every kind to the folder, and
                                                         beside each NAME a NAME.upright.png: what Pillow reads, put
                                                         upright, in RGB

Needs Pillow; table and files were made with Pillow 12.0.0. (13.0.0 makes the same files, but resizes pictures that
become much lower columns first, by which some values differ by one level.)
"""
import hashlib
import pathlib
import sys

from PIL import Image, ImageOps

SIZES = [
    ((50, 50), (64, 64)),
    ((148, 142), (64, 64)),
    ((131, 178), (64, 64)),
    ((37, 53), (64, 64)),
    ((37, 53), (16, 128)),
    ((64, 64), (64, 64)),
    ((64, 20), (64, 48)),
    ((20, 64), (48, 64)),
    ((1, 1), (16, 16)),
    ((1, 300), (32, 32)),
    ((385, 7), (28, 28)),
    ((13, 11), (5, 3)),
    ((3, 2), (1, 1)),
    ((97, 101), (96, 100)),
]


def picture(height, width, channels):
    state, values = 1, bytearray()
    for y in range(height):
        for x in range(width):
            for channel in range(channels):
                state = (state * 1664525 + 1013904223) % 2**32
                step = 200 if (x // 5 + y // 3) % 2 == 0 else 0
                values.append([state >> 24, step, (x * 7 + y * 3 + channel * 50) % 256][(x + y + channel) % 3])
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), bytes(values))


def resize():
    for source, size in SIZES:
        for channels in (1, 3):
            made = picture(*source, channels).resize((size[1], size[0]), Image.BILINEAR)
            digest = hashlib.sha256(made.tobytes()).hexdigest()
            print(f'        ({list(source)}, {channels}, {list(size)}, "{digest}"),')


def smooth(width, height):
    """A picture that JPEG keeps well, its four corners told apart."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            image.putpixel((x, y), (40 + 180 * x // width, 30 + 200 * y // height, 200 - 150 * (x + y) // (width + height)))
    return image


def pictures(folder):
    colour = smooth(40, 24)
    grey = colour.convert("L")
    alpha = colour.convert("RGBA")
    alpha.putalpha(grey)
    palette = colour.quantize(16)
    exif = Image.Exif()

    def turned(orientation):
        exif[0x0112] = orientation
        return exif.tobytes()

    other = smooth(40, 24).transpose(Image.Transpose.ROTATE_180)
    cases = {
        "grey.jpg": (grey, {}),
        "colour.jpg": (colour, {"quality": 90, "subsampling": 0}),
        "colour-420.jpg": (colour, {"quality": 90, "subsampling": 2}),
        "colour-422.jpg": (colour, {"quality": 90, "subsampling": 1}),
        "progressive.jpg": (colour, {"quality": 90, "progressive": True}),
        "restarts.jpg": (colour, {"quality": 90, "restart_marker_blocks": 2}),
        "cmyk.jpg": (colour.convert("CMYK"), {"quality": 95}),
        "rgb.jpg": (colour, {"quality": 90, "keep_rgb": True}),
        "turned-6.jpg": (colour, {"quality": 90, "exif": turned(6)}),
        "turned-7.jpg": (grey, {"quality": 90, "exif": turned(7)}),
        "grey.png": (grey, {}),
        "colour.png": (colour, {}),
        "alpha.png": (alpha, {}),
        "grey-alpha.png": (alpha.convert("LA"), {}),
        "palette.png": (palette, {}),
        "palette-clear.png": (palette, {"transparency": 3}),
        "bilevel.png": (grey.convert("1"), {}),
        "turned-5.png": (colour, {"exif": turned(5)}),
        "animated.png": (colour, {"save_all": True, "append_images": [other, colour]}),
        "animated-behind.png": (colour, {"save_all": True, "append_images": [other, other], "default_image": True}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, options) in cases.items():
        image.save(folder / name, **options)
    # The same inks said to be stored as YCCK: Pillow cannot write that, but reads it.
    cmyk = (folder / "cmyk.jpg").read_bytes()
    transform = cmyk.index(b"Adobe") + 11
    (folder / "ycck.jpg").write_bytes(cmyk[:transform] + b"\x02" + cmyk[transform + 1 :])
    for name in [*cases, "ycck.jpg"]:
        with Image.open(folder / name) as read:
            ImageOps.exif_transpose(read).convert("RGB").save(folder / f"{name}.upright.png", optimize=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["resize"]:
        resize()
    elif len(sys.argv) == 3 and sys.argv[1] == "pictures":
        pictures(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
