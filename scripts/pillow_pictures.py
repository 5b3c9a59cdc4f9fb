"""What Pillow makes of pictures: the table in src/data/pictures/resize.rs and the files of tests/fixtures/pictures.

    python scripts/pillow_pictures.py resize             prints the table
    python scripts/pillow_pictures.py pictures FOLDER    writes small PNG and JPEG files of every kind to the folder, and
                                                         beside each NAME a NAME.upright.png: what Pillow reads, put
                                                         upright, in RGB
    python scripts/pillow_pictures.py jpeg FOLDER        writes small JPEG files of every kind of sampling, scans and colours
                                                         to the folder (tests/fixtures/jpeg), and prints the table in
                                                         src/data/pictures/jpeg/tests.rs: the SHA-256 of the colours that
                                                         Pillow reads from each

Needs Pillow, and for `jpeg` also cjpeg of libjpeg-turbo (2.1.5 here); table and files were made with Pillow 12.0.0. (13.0.0 makes the same files, but resizes pictures that
become much lower columns first, by which some values differ by one level.)
"""
import hashlib
import io
import pathlib
import subprocess
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


# Scans of cjpeg's -scans: each component by itself, and a progressive order that no program writes by itself.
SEPARATE = "0; 1; 2;"
PAIR = "0, 2; 1;"
ODD = """
2: 0-0, 0, 0; 0: 0-0, 0, 1; 1: 0-0, 0, 0; 0: 6-63, 0, 2; 0: 1-5, 0, 2; 1: 1-63, 0, 1; 2: 1-63, 0, 0; 0: 1-63, 2, 1;
1: 1-63, 1, 0; 0: 1-63, 1, 0; 0: 0-0, 1, 0;
"""


def cjpeg(image, sampling, *options, scans=None):
    """A JPEG file with these sampling factors, those of columns first."""
    command = ["cjpeg", "-quality", "60", "-optimize", "-sample", sampling, *options]
    if scans:
        pathlib.Path("scans.txt").write_text(scans)
        command += ["-scans", "scans.txt"]
    source = io.BytesIO()
    image.save(source, "ppm")
    made = subprocess.run(command, input=source.getvalue(), stdout=subprocess.PIPE, check=True).stdout
    pathlib.Path("scans.txt").unlink(missing_ok=True)
    return made


def jpeg(folder):
    image = picture(27, 37, 3)
    finer, mixed = "1x1,2x2,2x2", "2x2,1x2,2x1"
    inks = io.BytesIO()
    image.convert("CMYK").save(inks, "jpeg", quality=60, subsampling=2, progressive=True)
    plain = cjpeg(image, "1x1")
    jfif = plain[2:20]
    assert jfif[:4] == b"\xff\xe0\x00\x10"
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
    start = plain.index(b"\xff\xc0\x00\x11")
    scan = plain.index(b"\xff\xda\x00\x0c")
    letters = bytearray(plain)
    for i, letter in enumerate(b"RGB"):
        letters[start + 10 + 3 * i] = letters[scan + 5 + 2 * i] = letter
    cases = {sampling.replace(",", "+"): cjpeg(image, sampling) for sampling in [
        "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "3x1", "1x2,2x1,1x1", "4x1,2x1,1x1", finer, mixed,
    ]}
    cases |= {
        "2x2-separate": cjpeg(image, "2x2", scans=SEPARATE),
        "2x2-pair": cjpeg(image, "2x2", scans=PAIR),
        "2x2-separate-restarts": cjpeg(image, "2x2", "-restart", "3B", scans=SEPARATE),
        "4x2+2x1+1x2-separate": cjpeg(image, "4x2,2x1,1x2", scans=SEPARATE),
        "1x1+2x2+2x2-separate": cjpeg(image, finer, scans=SEPARATE),
        "2x2-restarts": cjpeg(image, "2x2", "-restart", "1B"),
        "4x1-progressive": cjpeg(image, "4x1", "-progressive"),
        "2x2-progressive-restarts": cjpeg(image, "2x2", "-progressive", "-restart", "2B"),
        "2x2+1x2+2x1-odd": cjpeg(image, mixed, scans=ODD),
        "grey-2x2": cjpeg(image.convert("L"), "2x2"),
        "narrow-2x2": cjpeg(picture(9, 3, 3), "2x2"),
        "thin-2x1": cjpeg(picture(1, 5, 3), "2x1"),
        "cmyk-2x2-progressive": inks.getvalue(),
        "luma-unsaid": plain[:2] + plain[20:],
        "luma-jfif-adobe-0": plain[:20] + adobe + b"\0" + plain[20:],
        "luma-adobe-1": plain[:2] + adobe + b"\1" + plain[20:],
        "rgb-adobe-0": plain[:2] + adobe + b"\0" + plain[20:],
        "rgb-letters": bytes(letters[:2] + letters[20:]),
        "luma-letters-jfif": bytes(letters),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in cases.items():
        (folder / f"{name}.jpg").write_bytes(file)
        pixels = Image.open(io.BytesIO(file)).convert("RGB").tobytes()
        print(f'    ("{name}", "{hashlib.sha256(pixels).hexdigest()}"),')


if __name__ == "__main__":
    if sys.argv[1:] == ["resize"]:
        resize()
    elif len(sys.argv) == 3 and sys.argv[1] == "pictures":
        pictures(pathlib.Path(sys.argv[2]))
    elif len(sys.argv) == 3 and sys.argv[1] == "jpeg":
        jpeg(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)
