"""Three data sets as labs have them, to try `diva train PATH` on: needs Pillow and numpy.

    python scripts/make_own_images.py FOLDER

makes FOLDER/sites (JPEG of several sizes: 3 sites x 2 classes x patients, unequal), FOLDER/sources (28x28 grey PNG: 3 sources of ten
digits) and FOLDER/shapes.csv (a list of one flat folder: 5 classes, 4 domains, groups). Every run makes the same files. In each
the domain is in plain sight (tint, stroke, background) and the class is not tied to it.
"""

import csv
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont


def noisy(picture, random, spread):
    """The picture with normal noise, in levels."""
    levels = np.asarray(picture, dtype=np.float64)
    return Image.fromarray(np.clip(levels + random.normal(0, spread, levels.shape), 0, 255).astype(np.uint8))


def cell(random, side, tint, patient, is_ill):
    """A cell on the slide of a site; ill ones hold one to three dark rings."""
    picture = Image.new("RGB", (side, side), tuple(tint))
    draw = ImageDraw.Draw(picture)
    centre = side / 2 + random.uniform(-0.06, 0.06, 2) * side
    radius = side * (0.30 + 0.05 * patient[0] + random.uniform(-0.03, 0.03))
    body = [int(value) for value in np.clip(np.array(tint) * (0.72 + 0.05 * patient[1]), 0, 255)]
    draw.ellipse([*(centre - radius), *(centre + radius)], fill=tuple(body))
    for _ in range(random.integers(0, 3)):  # dust, which both classes have
        at = random.uniform(0, side, 2)
        draw.ellipse([*(at - side / 60), *(at + side / 60)], fill=(90, 90, 90))
    for _ in range(random.integers(1, 4) if is_ill else 0):
        angle, away = random.uniform(0, 2 * math.pi), random.uniform(0, 0.6) * radius
        at = centre + away * np.array([math.cos(angle), math.sin(angle)])
        size = side * random.uniform(0.05, 0.08)
        draw.ellipse([*(at - size), *(at + size)], outline=(60, 30, 110), width=max(2, side // 30))
    return noisy(picture.filter(ImageFilter.GaussianBlur(side / 100)), random, 4)


def sites(folder, random):
    """SITE/CLASS/PATIENT/picture.jpg, 690 in all; a patient has cells of both classes, in shares of its own."""
    tints = {"Accra": (214, 190, 205), "Berlin": (190, 205, 225), "Chennai": (228, 214, 170)}
    for (site, tint), patients in zip(tints.items(), (9, 7, 5)):
        for number in range(patients):
            patient, share = random.uniform(-1, 1, 2), random.uniform(0.2, 0.7)
            for picture in range(random.integers(20, 46)):
                is_ill = random.random() < share
                path = folder / site / ("ill" if is_ill else "healthy") / f"patient {number + 1}"
                path.mkdir(parents=True, exist_ok=True)
                side = int(random.integers(80, 161))
                found = cell(random, side, np.array(tint), patient, is_ill)
                found.save(path / f"{picture:03}.jpg", quality=int(random.integers(80, 96)))


def digit(random, number, source):
    """A digit as one of three sources has it: printed, bold and turned, or outlined in noise."""
    size = int(random.integers(19, 24))
    picture = Image.new("L", (56, 56), 0)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(2 * size)
    stroke = (0, 2, 1)[source]
    draw.text((28, 28), str(number), fill=255, font=font, anchor="mm", stroke_width=stroke)
    turn = random.uniform(-1, 1) * (5, 20, 10)[source]
    shift = tuple(int(value) for value in random.integers(-4, 5, 2))
    picture = picture.rotate(turn, resample=Image.Resampling.BICUBIC, translate=shift)
    if source == 2:
        picture = picture.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(1))
    picture = picture.resize((28, 28), Image.Resampling.LANCZOS)
    return noisy(picture, random, (2, 6, 15)[source])


def sources(folder, random):
    """SOURCE/DIGIT/picture.png, 900 in all."""
    for source, name in enumerate(("forms", "labels", "meters")):
        for number in range(10):
            path = folder / name / str(number)
            path.mkdir(parents=True, exist_ok=True)
            for picture in range(30):
                digit(random, number, source).save(path / f"{picture:02}.png")


SHAPES = ("circle", "cross", "ring", "square", "triangle")


def shape(random, name, background):
    """A shape of any colour on the background of a domain: plain, stripes, noise or a gradient."""
    side = 72
    rows, columns = np.mgrid[0:side, 0:side] / side
    plain = np.full((side, side), 0.5)
    grey = (plain, 0.5 + 0.25 * np.sin(40 * (rows + columns)), random.uniform(0.2, 0.8, (side, side)), rows)[background]
    colour = random.uniform(0.6, 1.0, 3)
    picture = Image.fromarray((255 * grey[..., None] * colour).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    fill = tuple(int(value) for value in random.integers(0, 256, 3))
    centre, radius = side / 2 + random.uniform(-8, 8, 2), random.uniform(16, 24)
    box = [*(centre - radius), *(centre + radius)]
    if name == "circle":
        draw.ellipse(box, fill=fill)
    elif name == "ring":
        draw.ellipse(box, outline=fill, width=6)
    elif name == "square":
        draw.rectangle(box, fill=fill)
    elif name == "cross":
        for along in ([radius, 5], [5, radius]):
            draw.rectangle([*(centre - along), *(centre + along)], fill=fill)
    else:
        draw.regular_polygon((*centre, radius), 3, rotation=int(random.integers(-20, 21)), fill=fill)
    return noisy(picture, random, 3)


def shapes(folder, random):
    """FOLDER/shapes/picture.png, 800 in all, and FOLDER/shapes.csv beside, in no order; two pictures in a row are of a group."""
    (folder / "shapes").mkdir(parents=True, exist_ok=True)
    rows = []
    for domain, background in enumerate(("plain", "striped", "noisy", "shaded")):
        for picture in range(200):
            name = SHAPES[int(random.integers(len(SHAPES)))]
            file = f"shapes/{domain}{picture:03}.png"
            shape(random, name, domain).save(folder / file)
            rows.append((file, name, background, f"{background} {picture // 2}"))
    with open(folder / "shapes.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("file", "class", "domain", "group"))
        writer.writerows(rows[index] for index in random.permutation(len(rows)))


def main():
    folder = Path(sys.argv[1])
    for make, seed in ((sites, 1), (sources, 2), (shapes, 3)):
        make(folder if make is shapes else folder / make.__name__, np.random.default_rng(seed))


if __name__ == "__main__":
    main()
