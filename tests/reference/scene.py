"""Small drawn inputs: a character, and pose, face, background and mask frames of a moving figure.

Flat shapes, so that PNG files stay at a few hundred bytes; colours and positions follow from the seed and the frame.
"""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

Size = tuple[int, int]


def _colour(source: random.Random) -> tuple[int, int, int]:
    return tuple(source.randrange(256) for _ in range(3))


def _shapes(size: Size, source: random.Random, count: int) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, _colour(source))
    draw = ImageDraw.Draw(image)
    for index in range(count):
        left, top = source.randrange(width), source.randrange(height)
        box = (left, top, left + source.randrange(2, width), top + source.randrange(2, height))
        (draw.ellipse if index % 2 else draw.rectangle)(box, fill=_colour(source))
    return image


def reference(size: Size, seed: int) -> Image.Image:
    return _shapes(size, random.Random(f"reference {seed}"), 6)


def _sway(frame: int, seed: int) -> float:
    return math.sin(0.55 * frame + seed)


def pose(count: int, size: Size, seed: int) -> list[Image.Image]:
    width, height = size
    frames = []
    for index in range(count):
        source = random.Random(f"pose {seed}")
        image = Image.new("RGB", size)
        draw = ImageDraw.Draw(image)
        sway = _sway(index, seed)
        neck = (width * (0.5 + 0.15 * sway), height * 0.3)
        for limb in range(6):
            angle = math.tau * limb / 6 + 0.7 * sway
            end = (neck[0] + width * 0.3 * math.cos(angle), neck[1] + height * 0.45 * math.sin(angle))
            draw.line((neck, end), fill=_colour(source), width=max(2, height // 16))
        frames.append(image)
    return frames


def face(count: int, side: int, seed: int) -> list[Image.Image]:
    frames = []
    for index in range(count):
        source = random.Random(f"face {seed}")
        image = _shapes((side, side), source, 3)
        draw = ImageDraw.Draw(image)
        sway = _sway(2 * index, seed)
        middle, radius = side / 2 + side * 0.15 * sway, side * 0.3
        draw.ellipse((middle - radius, radius / 2, middle + radius, side - radius / 2), fill=_colour(source))
        mouth = side * (0.1 + 0.08 * sway)
        draw.ellipse((middle - mouth, side * 0.6, middle + mouth, side * 0.6 + mouth), fill=_colour(source))
        frames.append(image)
    return frames


def background(count: int, size: Size, seed: int) -> list[Image.Image]:
    wide = _shapes((2 * size[0], size[1]), random.Random(f"background {seed}"), 8)
    return [wide.crop((index % size[0], 0, index % size[0] + size[0], size[1])) for index in range(count)]


def mask(count: int, size: Size, seed: int) -> list[Image.Image]:
    """White where the character is drawn anew, with one grey patch: masks are not thresholded."""
    width, height = size
    frames = []
    for index in range(count):
        image = Image.new("RGB", size)
        draw = ImageDraw.Draw(image)
        left = width * (0.3 + 0.15 * _sway(index, seed))
        draw.rectangle((left, height * 0.2, left + width * 0.4, height), fill=(255, 255, 255))
        draw.rectangle((0, 0, width // 4, height // 4), fill=(90, 120, 60))
        frames.append(image)
    return frames


def write(frames: list[Image.Image], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        frame.save(folder / f"{index:03}.png")
