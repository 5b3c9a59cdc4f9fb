"""Makes assets/letters: the letters of the pictures, from a TrueType file. Needs Pillow.

    python scripts/make_letters.py DejaVuSans.ttf assets/letters

Each size is a grey picture of cells in rows of 32, a character a cell, in the order of letters.tsv, which has the code point of each and
its advance at both sizes. A cell is as high as a line and as wide as its widest letter; the pen stands at its left edge. No letter
leaves its advance, so that letters never touch: those that would are moved or get a wider one. 16 levels are enough to the eye.
"""

import sys
from pathlib import Path

from PIL import Image, ImageFont

SIZES = {"text": 17, "title": 22}
COLUMNS = 32
RANGES = [
    (0x20, 0x7E),  # ASCII
    (0xA1, 0xAC), (0xAE, 0x17F),  # Latin-1 without the soft hyphen, Latin Extended-A
    (0x192, 0x192), (0x1A0, 0x1A1), (0x1AF, 0x1B0), (0x1CD, 0x1DC), (0x1E6, 0x1E7), (0x1FA, 0x1FF), (0x218, 0x21B), (0x259, 0x259),
    (0x370, 0x377), (0x37A, 0x37E), (0x384, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3D6),  # Greek
    (0x1E02, 0x1E03), (0x1E0C, 0x1E0D), (0x1E24, 0x1E25), (0x1E62, 0x1E63), (0x1E6C, 0x1E6D), (0x1E80, 0x1E85), (0x1E92, 0x1E93),
    (0x1EA0, 0x1EF9),  # Vietnamese
    (0x2010, 0x2015), (0x2018, 0x201E), (0x2020, 0x2022), (0x2026, 0x2026), (0x2030, 0x2030), (0x2032, 0x2033), (0x2039, 0x203A),
    (0x2070, 0x2071), (0x2074, 0x208E), (0x20AC, 0x20AC), (0x2116, 0x2116), (0x2122, 0x2122), (0x2190, 0x2195), (0x2202, 0x2202),
    (0x2206, 0x2206), (0x2208, 0x2208), (0x220F, 0x2212), (0x2215, 0x2215), (0x2219, 0x221A), (0x221E, 0x221E), (0x222B, 0x222B),
    (0x2248, 0x2248), (0x2260, 0x2261), (0x2264, 0x2265), (0x25CB, 0x25CB), (0x25CF, 0x25CF), (0x2640, 0x2640), (0x2642, 0x2642),
]


def letter(font, character):
    """Its coverage, the place of its left upper corner below the top of the line, and its advance."""
    mask, (left, top) = font.getmask2(character, mode="L")
    advance = round(font.getlength(character))
    cover = Image.new("L", mask.size)
    cover.im.paste(mask, (0, 0, *mask.size)) if mask.size[0] else None
    box = cover.getbbox()
    if box is None:
        return None, 0, advance
    cover, left, top = cover.crop(box), left + box[0], top + box[1]
    left = max(left, 0)
    return (cover, left), top, max(advance, left + cover.width + (left == 0))


def main():
    path, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    fonts = {name: ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC) for name, size in SIZES.items()}
    none = bytes(fonts["text"].getmask("\uffff"))
    characters = [chr(code) for first, last in RANGES for code in range(first, last + 1)]
    characters = [c for c in characters if c == "\uffff" or bytes(fonts["text"].getmask(c)) != none]
    advances = {}
    for name, font in fonts.items():
        ascent, descent = font.getmetrics()
        letters = [letter(font, character) for character in characters]
        top = min(top for ink, top, _ in letters if ink)
        bottom = max(top + ink[0].height for ink, top, _ in letters if ink)
        height, width = bottom - top, max(advance for *_, advance in letters)
        capital = letters[characters.index("H")]
        print(f"{name}: cells of {width} x {height}, capitals from {capital[1] - top} on, {capital[0][0].height} high; the font's line {ascent} + {descent}")
        rows = -(-len(letters) // COLUMNS)
        picture = Image.new("L", (COLUMNS * width, rows * height))
        for index, (ink, at, _) in enumerate(letters):
            if ink:
                picture.paste(ink[0], (index % COLUMNS * width + ink[1], index // COLUMNS * height + at - top))
        advances[name] = [advance for *_, advance in letters]
        levels = picture.point(lambda value: round(value / 17))
        levels.putpalette([17 * level for level in range(16) for _ in range(3)])
        levels.convert("L").save(folder / f"{name}.png", optimize=True)
    lines = [f"{ord(c):04X}\t{text}\t{title}" for c, text, title in zip(characters, advances["text"], advances["title"])]
    (folder / "letters.tsv").write_text("\n".join(lines) + "\n")
    print(len(characters), "characters")


if __name__ == "__main__":
    main()
