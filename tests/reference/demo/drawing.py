"""Draws the world: a character in a pose, backgrounds, and what Wan2.2-Animate's preprocessing makes of a frame (the
pose drawing, the face crop, the mask)."""

import colorsys
import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from body import SIDES, SIZE, Character, Colour, Point, Pose, colour, on_head

SHARP = 3  # frames are drawn this much larger first
FACE = 32  # side of the face crops, as the motion encoder takes them

LINE = (42, 30, 40)


def background(seed: int) -> Image.Image:
    """Plain, two-toned, striped, dotted or a slope of colours; `SHARP` times the size of a frame."""
    source = random.Random(f"background {seed}")
    side = SIZE * SHARP
    first, second = (colour(source, (0.1, 0.5), (0.55, 1)) for _ in range(2))
    near = tuple(int(0.75 * a + 0.25 * b) for a, b in zip(first, second))
    image = Image.new("RGB", (side, side), first)
    draw = ImageDraw.Draw(image)
    kind = source.choice(["plain", "floor", "stripes", "dots", "slope"])
    if kind == "floor":
        draw.rectangle((0, source.uniform(0.6, 0.85) * side, side, side), fill=second)
    elif kind == "stripes":
        width, start = source.randrange(30, 60), source.randrange(60)
        for left in range(start - 2 * width, side, 2 * width):
            draw.rectangle((left, 0, left + width, side), fill=near)
    elif kind == "dots":
        for _ in range(source.randrange(4, 9)):
            x, y, radius = source.uniform(0, side), source.uniform(0, side), source.uniform(18, 50)
            _disc(draw, (x, y), radius, near)
    elif kind == "slope":
        ramp = Image.linear_gradient("L").resize((side, side))
        image = Image.composite(Image.new("RGB", image.size, second), image, ramp)
    return image


def _disc(draw: ImageDraw.ImageDraw, centre: Point, radius: float, fill, tall: float = 1) -> None:
    (x, y), down = centre, radius * tall
    draw.ellipse((x - radius, y - down, x + radius, y + down), fill=fill)


def paint(who: Character, pose: Pose, canvas: Image.Image) -> None:
    """Draws the character on a canvas of `SHARP` times the size of a frame."""
    draw = ImageDraw.Draw(canvas)
    at = {name: (x * SHARP, y * SHARP) for name, (x, y) in pose.points.items()}

    def limb(names: str, width: float, fill: Colour) -> None:
        path = [at[name] for name in names.split()]
        draw.line(path, fill=fill, width=round(width * SHARP))
        for joint in path:
            _disc(draw, joint, width * SHARP / 2, fill)

    if who.hair_style == "long":
        _tilted(draw, at["head"], pose, who.head, [(-1.1, 0.3), (1.1, 0.3), (1.15, -1.5), (-1.15, -1.5)], who.hair)
    for side, _ in SIDES:
        limb(f"{side}_hip {side}_knee {side}_ankle", who.girth, who.skin if who.skirt else who.trousers)
        limb(f"{side}_ankle {side}_toe", 0.8 * who.girth, who.shoes)
    _trunk(draw, who, at)
    for side, _ in SIDES:
        limb(f"{side}_elbow {side}_wrist", 0.75 * who.girth, who.shirt if who.sleeves else who.skin)
        limb(f"{side}_shoulder {side}_elbow", 0.9 * who.girth, who.shirt)
        _hand(draw, pose.hands[side], who)
    _head(draw, who, pose, at)


def _trunk(draw: ImageDraw.ImageDraw, who: Character, at: dict[str, Point]) -> None:
    corners = [at[name] for name in ("r_shoulder", "l_shoulder", "l_hip", "r_hip")]
    wide = 0.6 * who.girth * SHARP
    if who.skirt:
        (left, low), (right, _) = at["r_hip"], at["l_hip"]
        hem = low + 0.75 * who.thigh * SHARP
        draw.polygon([(left - wide, low - wide), (right + wide, low - wide), (right + 2.4 * wide, hem), (left - 2.4 * wide, hem)], fill=who.trousers)
    draw.polygon(corners, fill=who.shirt)
    draw.line(corners + corners[:2], fill=who.shirt, width=round(2 * wide), joint="curve")


def _hand(draw: ImageDraw.ImageDraw, points: list[Point], who: Character) -> None:
    wrist, *fingers = [(x * SHARP, y * SHARP) for x, y in points]
    for finger in range(5):
        draw.line((wrist, fingers[4 * finger + 3]), fill=who.skin, width=round(0.35 * who.girth * SHARP))
    _disc(draw, fingers[8], 0.38 * who.girth * SHARP, who.skin)


def _tilted(draw: ImageDraw.ImageDraw, centre: Point, pose: Pose, radius: float, places, fill) -> None:
    draw.polygon([on_head(centre, pose.tilt, radius * SHARP, *place) for place in places], fill=fill)


def _head(draw: ImageDraw.ImageDraw, who: Character, pose: Pose, at: dict[str, Point]) -> None:
    centre, radius = at["head"], who.head * SHARP

    def place(across: float, up: float) -> Point:
        return on_head(centre, pose.tilt, radius, across, up)

    _disc(draw, place(0, 0.1), 1.06 * radius, who.hair)
    if who.hair_style == "bun":
        _disc(draw, place(0, 1.15), 0.45 * radius, who.hair)
    shift = 0.3 * pose.turn
    _disc(draw, place(0.4 * shift, -0.1), 0.92 * radius, who.skin)
    fringe = [place(x, y) for x, y in ((-1, 0.35), (-0.7, 0.85), (0, 1.1), (0.7, 0.85), (1, 0.35), (0.3 + shift, 0.5), (-0.3 + shift, 0.5))]
    draw.polygon(fringe, fill=who.hair)
    if who.hair_style == "cap":
        _tilted(draw, centre, pose, who.head, [(-1.05, 0.4), (1.05, 0.4), (0.8, 0.95), (0, 1.2), (-0.8, 0.95)], who.shoes)
    for side, _ in SIDES:
        _disc(draw, at[f"{side}_eye"], 0.15 * radius, LINE, 0.2 + 1.1 * pose.eyes)
    _disc(draw, at["nose"], 0.07 * radius, tuple(int(0.75 * channel) for channel in who.skin))
    _disc(draw, place(shift, -0.5), (0.34 - 0.06 * pose.mouth) * radius, (130, 24, 36), 0.18 + 0.85 * pose.mouth)


def shrink(image: Image.Image) -> Image.Image:
    return image.reduce(SHARP)


def face_crop(who: Character, pose: Pose, canvas: Image.Image) -> Image.Image:
    """The face, by the official rule: the box of its 68 points made wider by sqrt(1.3), three quarters of the growth above."""
    across, down = zip(*(on_head(pose.points["head"], pose.tilt, who.head, x, y) for x, y in ((-0.85, 0.4), (0.85, 0.4), (0, -1), (-0.6, -0.75), (0.6, -0.75))))
    width, height = max(across) - min(across), max(down) - min(down)
    grow = math.sqrt(1.3) - 1
    box = (min(across) - grow * width / 2, min(down) - 3 * grow * height / 4, max(across) + grow * width / 2, max(down) + grow * height / 4)
    box = [int(min(max(edge * SHARP, 0), SIZE * SHARP)) for edge in box]
    return canvas.resize((FACE, FACE), Image.Resampling.BILINEAR, box=box)


def mask_box(canvas: Image.Image, plain: Image.Image, grid: int) -> Image.Image:
    """White where the character is: its silhouette dilated, then cells of its bounding box filled (1: the whole box)."""
    changed = ImageChops.difference(canvas, plain).convert("L").point(lambda value: 255 if value else 0)
    dilated = shrink(changed).point(lambda value: 255 if value else 0).filter(ImageFilter.MaxFilter(5))
    left, top, right, bottom = dilated.getbbox()
    mask = Image.new("L", dilated.size)
    draw = ImageDraw.Draw(mask)
    wide, high = math.ceil((right - left) / grid), math.ceil((bottom - top) / grid)
    for x in range(left, right, wide):
        for y in range(top, bottom, high):
            cell = (x, y, min(x + wide, right), min(y + high, bottom))
            if dilated.crop(cell).getbbox():
                draw.rectangle((cell[0], cell[1], cell[2] - 1, cell[3] - 1), fill=255)
    return mask


NAMES = "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle"
NAMES = (NAMES + " r_eye l_eye r_ear l_ear l_toe r_toe").split()
LIMBS = "2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13 13-14 2-1 1-15 15-17 1-16 16-18 14-19 11-20"
LIMBS = [tuple(NAMES[int(end) - 1] for end in limb.split("-")) for limb in LIMBS.split()]
COLOURS = [(255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)]
COLOURS += [(0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)]
COLOURS += [(170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85), (200, 200, 0), (100, 100, 0)]
FINGERS = [(0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)]


def draw_pose(pose: Pose) -> Image.Image:
    """The official drawing of 20 body points and two hands: flat ellipses along limbs, joints over them, no smoothing."""
    image = Image.new("RGB", (SIZE, SIZE))
    draw = ImageDraw.Draw(image)
    stick = max(SIZE // 200 - 1, 1)
    for (start, end), fill in zip(LIMBS, COLOURS):
        draw.polygon(_ellipse(pose.points[start], pose.points[end], stick), fill=tuple(int(0.6 * value) for value in fill))
    for name, fill in zip(NAMES, COLOURS):
        _disc(draw, tuple(map(int, pose.points[name])), stick, fill)
    for side, _ in SIDES:
        points = [tuple(map(int, point)) for point in pose.hands[side]]
        for edge, (start, end) in enumerate(FINGERS):
            fill = tuple(int(255 * channel) for channel in colorsys.hsv_to_rgb(edge / 20, 1, 1))
            draw.line((points[start], points[end]), fill=fill, width=1)
        for point in points:
            _disc(draw, point, 1, (0, 0, 255))
    return image


def _ellipse(start: Point, end: Point, stick: int) -> list[Point]:
    centre = int((start[0] + end[0]) / 2), int((start[1] + end[1]) / 2)
    half = int(math.dist(start, end) / 2)
    angle = math.radians(int(math.degrees(math.atan2(start[1] - end[1], start[0] - end[0]))))
    cos, sin = math.cos(angle), math.sin(angle)
    turns = [math.radians(degree) for degree in range(0, 360, 6)]
    rim = [(half * math.cos(turn), stick * math.sin(turn)) for turn in turns]
    return [(round(centre[0] + x * cos - y * sin), round(centre[1] + x * sin + y * cos)) for x, y in rim]
