"""Makes examples/demo/: a small untrained checkpoint and drawn inputs for the `animate` and `replace` examples.

    python demo.py [--out ../../examples/demo]

The checkpoint is random: it shows that everything runs, not what the real weights can do. The inputs are 33 frames of
208 x 112: a dancing stick figure in the colours of the official preprocessing, its face, the scene behind it with the
dancer cut out, and the box that is to be drawn anew.
"""

import argparse
import math
import shutil
from pathlib import Path

from PIL import Image, ImageDraw

import checkpoint
import scene
from checkpoint import UNIPC, Spec

WIDTH, HEIGHT, FACE = 208, 112, 64
NUM_FRAMES = 33
SHARP = 4  # images that are drawn smooth are drawn this much larger first

SPEC = Spec(
    seed=5,
    heads=4,
    head_dim=16,
    layers=3,
    ffn_dim=192,
    freq_dim=64,
    motion_size=FACE,
    motion_channels={"64": 8, "32": 12, "16": 16, "8": 24, "4": 32},
    motion_style_dim=32,
    motion_dim=12,
    motion_out_dim=32,
    face_hidden_dim=24,
    face_heads=4,
    text_dim=32,
    text_heads=4,
    text_ffn_dim=64,
    clip_dim=32,
    clip_heads=4,
    clip_layers=4,
    clip_ffn_dim=96,
    clip_size=224,
    clip_patch=28,
    vae_dim=8,
    vae_mult=(1, 2, 4, 4),
    scheduler={**UNIPC, "flow_shift": 5.0},
)

Point = tuple[float, float]

NAMES = "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee l_ankle"
NAMES = (NAMES + " r_eye l_eye r_ear l_ear l_toe r_toe").split()
LIMBS = "1-2 1-5 2-3 3-4 5-6 6-7 1-8 8-9 9-10 1-11 11-12 12-13 1-0 0-14 14-16 0-15 15-17 13-18 10-19"
LIMBS = [tuple(map(int, limb.split("-"))) for limb in LIMBS.split()]
COLOURS = [(255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)]
COLOURS += [(0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)]
COLOURS += [(170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85), (200, 200, 0), (100, 100, 0)]

SKIN, HAIR, SHIRT, TROUSERS, SHOES = (236, 188, 150), (96, 54, 40), (214, 74, 66), (52, 72, 128), (40, 40, 48)
SKY, GRASS, SUN = (132, 190, 226), (104, 158, 84), (250, 226, 120)
TRUNK, LEAVES, HOUSE = (110, 78, 52), (62, 118, 66), (196, 170, 142)


def _step(start: Point, angle: float, length: float) -> Point:
    """The point `length` away, `angle` measured from straight down towards the right of the image."""
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


def dancer(phase: float) -> dict[str, Point]:
    """The 20 body points of a dance, in pixels. `phase` in radians; the dancer's right is the image's left."""
    beat, half = math.sin(phase), math.sin(2 * phase)
    hip = (WIDTH / 2 + 9 * beat, 62 + 2 * half)
    neck = _step(hip, math.pi - 0.12 * beat, 31)
    nose = _step(neck, math.pi - 0.25 * beat, 12)
    points = {"neck": neck, "nose": nose}
    for side, sign in (("r", -1), ("l", 1)):
        raised = 1.1 + 0.9 * sign * beat
        shoulder = (neck[0] + 9 * sign, neck[1] + 2)
        elbow = _step(shoulder, sign * raised, 15)
        pelvis = (hip[0] + 6 * sign, hip[1])
        knee = _step(pelvis, sign * (0.22 + 0.18 * max(0, sign * half)), 21)
        ankle = _step(knee, -sign * 0.28 * max(0, sign * half), 20)
        points[f"{side}_shoulder"], points[f"{side}_elbow"] = shoulder, elbow
        points[f"{side}_wrist"] = _step(elbow, sign * (raised + 0.8 + 0.4 * half), 14)
        points[f"{side}_hip"], points[f"{side}_knee"], points[f"{side}_ankle"] = pelvis, knee, ankle
        points[f"{side}_toe"] = (ankle[0] + 5 * sign, ankle[1] + 3)
        points[f"{side}_eye"] = (nose[0] + 3 * sign, nose[1] - 3)
        points[f"{side}_ear"] = (nose[0] + 7 * sign, nose[1] - 2)
    return points


def pose_frame(points: dict[str, Point]) -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for (start, end), colour in zip(LIMBS, COLOURS):
        dim = tuple(int(0.6 * value) for value in colour)
        draw.line((points[NAMES[start]], points[NAMES[end]]), fill=dim, width=3)
    for name, colour in zip(NAMES, COLOURS):
        x, y = points[name]
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=colour)
    return image


def _disc(draw: ImageDraw.ImageDraw, centre: Point, radius: Point, colour) -> None:
    (x, y), (across, down) = centre, radius
    draw.ellipse((x - across, y - down, x + across, y + down), fill=colour)


def draw_head(draw: ImageDraw.ImageDraw, nose: Point, unit: float, mouth: float, blink: bool) -> None:
    """A head about 20 units high; `mouth` in [0, 1] is how far it is open."""
    x, y = nose
    _disc(draw, (x, y - 2.5 * unit), (8.4 * unit, 8.8 * unit), HAIR)
    _disc(draw, (x, y), (7 * unit, 8.4 * unit), SKIN)
    for sign in (-1, 1):
        _disc(draw, (x + 3 * sign * unit, y - 2 * unit), (1.2 * unit, (0.3 if blink else 1.4) * unit), (30, 30, 40))
    _disc(draw, (x, y + unit), (0.8 * unit, 0.8 * unit), (214, 150, 118))
    _disc(draw, (x, y + 4.5 * unit), ((2.6 - mouth) * unit, (0.5 + 1.6 * mouth) * unit), (150, 40, 50))


def draw_scene(draw: ImageDraw.ImageDraw, unit: float, shift: float) -> None:
    """A meadow that is WIDTH + `shift` units wide or more, seen from `shift` units on."""
    draw.rectangle((0, 0, WIDTH * unit, HEIGHT * unit), fill=SKY)
    _disc(draw, ((170 - shift / 3) * unit, 20 * unit), (11 * unit, 11 * unit), SUN)
    draw.rectangle((0, 78 * unit, WIDTH * unit, HEIGHT * unit), fill=GRASS)
    left = (150 - shift) * unit
    draw.rectangle((left, 52 * unit, left + 46 * unit, 82 * unit), fill=HOUSE)
    roof = [(left - 4 * unit, 52 * unit), (left + 23 * unit, 36 * unit), (left + 50 * unit, 52 * unit)]
    draw.polygon(roof, fill=TRUNK)
    for tree in (34, 228):
        x = (tree - shift) * unit
        draw.rectangle((x - 3 * unit, 56 * unit, x + 3 * unit, 84 * unit), fill=TRUNK)
        _disc(draw, (x, 46 * unit), (17 * unit, 20 * unit), LEAVES)


def reference() -> Image.Image:
    """The character, drawn along the bones of the dance at rest."""
    unit = SHARP
    image = Image.new("RGB", (WIDTH * unit, HEIGHT * unit))
    draw = ImageDraw.Draw(image)
    draw_scene(draw, unit, 0)
    points = {name: (x * unit, y * unit) for name, (x, y) in dancer(0.35).items()}

    def limb(names: str, width: int, colour) -> None:
        path = [points[name] for name in names.split()]
        draw.line(path, fill=colour, width=width * unit)
        for joint in path:
            _disc(draw, joint, (width * unit / 2, width * unit / 2), colour)

    for side in "rl":
        limb(f"{side}_hip {side}_knee {side}_ankle", 8, TROUSERS)
        limb(f"{side}_ankle {side}_toe", 5, SHOES)
        limb(f"{side}_elbow {side}_wrist", 5, SKIN)
        limb(f"{side}_shoulder {side}_elbow", 7, SHIRT)
    corners = ("r_shoulder", "l_shoulder", "l_hip", "r_hip")
    draw.polygon([points[name] for name in corners], fill=SHIRT)
    limb("r_shoulder l_shoulder", 6, SHIRT)
    limb("r_hip l_hip", 6, TROUSERS)
    limb("neck nose", 5, SKIN)
    draw_head(draw, points["nose"], unit, 0.2, False)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def face_frame(index: int, phase: float) -> Image.Image:
    unit = SHARP * 3
    image = Image.new("RGB", (FACE * SHARP, FACE * SHARP), SKY)
    nose = (image.width * (0.5 + 0.06 * math.sin(phase)), image.height * 0.5)
    mouth = 0.5 - 0.5 * math.cos(3 * phase)
    draw_head(ImageDraw.Draw(image), nose, unit, mouth, index % 12 == 6)
    return image.resize((FACE, FACE), Image.Resampling.LANCZOS)


def dancer_box(points: dict[str, Point]) -> tuple[int, int, int, int]:
    """The dilated bounding box, as the official mask is by default."""
    across, down = zip(*points.values())
    return int(min(across)) - 10, int(min(down)) - 14, int(max(across)) + 10, int(max(down)) + 6


def write(out: Path) -> None:
    videos = {name: [] for name in ("pose", "face", "background", "mask")}
    for index in range(NUM_FRAMES):
        phase = math.tau * index / 22
        points = dancer(phase)
        box = dancer_box(points)
        mask = Image.new("RGB", (WIDTH, HEIGHT))
        ImageDraw.Draw(mask).rectangle(box, fill=(255, 255, 255))
        background = Image.new("RGB", (WIDTH, HEIGHT))
        draw = ImageDraw.Draw(background)
        draw_scene(draw, 1, index)
        draw.rectangle(box, fill=(0, 0, 0))
        videos["pose"].append(pose_frame(points))
        videos["face"].append(face_frame(index, phase))
        videos["background"].append(background)
        videos["mask"].append(mask)
    for name, frames in videos.items():
        shutil.rmtree(out / name, ignore_errors=True)
        scene.write(frames, out / name)
    reference().save(out / "reference.png")
    shutil.rmtree(out / "model", ignore_errors=True)
    checkpoint.save(SPEC, out / "model", dtype="f16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent.parent / "examples" / "demo")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
