"""How many images of other kinds `diva predict` marks as unlike the training images: needs Pillow, numpy and scikit-learn.

    python scripts/unlike_figures.py MNIST FOLDER [DIVA]

MNIST is the folder of the four IDX files, DIVA the program. Makes folders of PNG files in FOLDER: handwritten digits upright, turned
by 30 and by 60 degrees (three domains, 3,000 images, from the training files), and by 90 degrees, which is held out; trains
`diva train` on them; predicts images of other kinds, 1,000 each, and prints the share of each that is marked. Fresh digits are from the
files for test, turned like the training images.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

MANY = 1000


def idx(path, head):
    return np.frombuffer(path.read_bytes()[head:], np.uint8)


def digits(mnist, which):
    return idx(mnist / f"{which}-images-idx3-ubyte", 16).reshape(-1, 28, 28), idx(mnist / f"{which}-labels-idx1-ubyte", 8)


def turned(image, angle):
    return Image.fromarray(image).rotate(angle, resample=Image.Resampling.BILINEAR)


def printed(text, random):
    """A letter or a digit in the size and place of a handwritten one."""
    picture = Image.new("L", (56, 56), 0)
    font = ImageFont.load_default(2 * int(random.integers(20, 25)))
    ImageDraw.Draw(picture).text((28, 28), text, fill=255, font=font, anchor="mm", stroke_width=1)
    return picture.rotate(random.uniform(-10, 10), resample=Image.Resampling.BICUBIC).resize((28, 28), Image.Resampling.LANCZOS)


def of_another_source(image):
    """A digit of scikit-learn's (8 x 8 pixels, 17 levels) in the size of MNIST's."""
    small = Image.fromarray((image * 255 / 16).astype(np.uint8)).resize((20, 20), Image.Resampling.BICUBIC)
    picture = Image.new("L", (28, 28), 0)
    picture.paste(small, (4, 4))
    return picture


def kinds(mnist, random):
    """Names and pictures of the kinds."""
    images, _ = digits(mnist, "t10k")
    some = images[random.permutation(len(images))[:MANY]]
    angles = [0, 30, 60] * MANY
    yield "fresh digits", [turned(image, angle) for image, angle in zip(some, angles)]
    yield "digits turned by 90 degrees (the unseen domain)", [turned(image, 90) for image in some]
    yield "upside-down digits", [turned(image, 180) for image in some]
    yield "printed digits", [printed(str(i % 10), random) for i in range(MANY)]
    yield "printed letters", [printed("ABCDEFGHJKLMNPQRSTUVWXYZ"[i % 24], random) for i in range(MANY)]
    yield "handwritten digits of another source", [of_another_source(image) for image in load_digits().images[:MANY]]
    yield "dark on bright", [turned(255 - image, 0) for image in some]
    yield "noise", [Image.fromarray(random.integers(0, 256, (28, 28), np.uint8)) for _ in range(MANY)]


def main():
    mnist, folder = Path(sys.argv[1]), Path(sys.argv[2])
    diva = sys.argv[3] if len(sys.argv) > 3 else "target/release/diva"
    random = np.random.default_rng(5)
    images, labels = digits(mnist, "train")
    for domain, angle in enumerate((0, 30, 60, 90)):
        for digit in range(10):
            path = folder / "digits" / f"{angle:02}" / str(digit)
            path.mkdir(parents=True, exist_ok=True)
            for number in np.flatnonzero(labels == digit)[100 * domain : 100 * (domain + 1)]:
                turned(images[number], angle).save(path / f"{number:05}.png")
    run = folder / "run"
    subprocess.run([diva, "train", folder / "digits", "--out", run], check=True)
    for name, pictures in kinds(mnist, random):
        path = folder / name.split(" (")[0].replace(" ", "-")
        path.mkdir(exist_ok=True)
        for number, picture in enumerate(pictures):
            picture.save(path / f"{number:04}.png")
        found = subprocess.run([diva, "predict", run, path, "--json"], check=True, stdout=subprocess.PIPE)
        marks = [prediction["unlike_training"] for prediction in json.loads(found.stdout)["predictions"]]
        print(f"| {name} | {100 * np.mean(marks):.1f} % |", flush=True)


if __name__ == "__main__":
    main()
