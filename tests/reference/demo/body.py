"""The characters of the drawn world and how they move: random bodies, looks and motions, and the key points of a frame.

Lengths are in pixels of a picture of `SIZE` x `SIZE`; angles in radians, measured from straight down towards the
picture's right. A character's right side is the picture's left. Everything follows from seeds.
"""

import colorsys
import math
import random
from dataclasses import dataclass

SIZE = 96
TEMPO = 0.6  # how fast all motions are

Point = tuple[float, float]
Colour = tuple[int, int, int]

SIDES = (("r", -1), ("l", 1))


def colour(source: random.Random, saturation: Point, value: Point) -> Colour:
    rgb = colorsys.hsv_to_rgb(source.random(), source.uniform(*saturation), source.uniform(*value))
    return tuple(int(255 * channel) for channel in rgb)


@dataclass(frozen=True)
class Character:
    """Proportions and looks."""

    head: float  # radius
    torso: float
    shoulders: float  # half of the breadth, as hips
    hips: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    girth: float  # thickness of limbs
    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    hair_style: str
    sleeves: bool
    skirt: bool


def character(seed: int) -> Character:
    source = random.Random(f"character {seed}")
    build = source.uniform(0.9, 1.1)
    return Character(
        head=source.uniform(12, 14.5),
        torso=source.uniform(19, 23) * build,
        shoulders=source.uniform(7.5, 10),
        hips=source.uniform(4.5, 6),
        upper_arm=source.uniform(10, 12.5) * build,
        forearm=source.uniform(9.5, 12) * build,
        thigh=source.uniform(10, 12.5) * build,
        shin=source.uniform(10, 12.5) * build,
        girth=source.uniform(5, 7),
        skin=_skin(source),
        hair=colour(source, (0.3, 0.9), (0.1, 0.8)),
        shirt=colour(source, (0.5, 1), (0.5, 1)),
        trousers=colour(source, (0.3, 1), (0.2, 0.9)),
        shoes=colour(source, (0, 0.8), (0.1, 0.9)),
        hair_style=source.choice(["short", "long", "bun", "cap"]),
        sleeves=source.random() < 0.6,
        skirt=source.random() < 0.3,
    )


def _skin(source: random.Random) -> Colour:
    dark, tone = (122, 78, 54), source.uniform(0, 1)
    return tuple(int(low + tone * (high - low)) for low, high in zip(dark, (250, 214, 184)))


class Wave:
    """A smooth random signal of the frame number: `mean` and two sines of periods in frames."""

    def __init__(self, source: random.Random, mean: float, reach: float, period: Point = (16, 36)):
        self.mean = mean
        self.sines = [
            (reach * share, math.tau / source.uniform(*period) / speed, source.uniform(0, math.tau))
            for share, speed in ((0.7, 1), (0.3, 0.6))
        ]

    def __call__(self, frame: float) -> float:
        return self.mean + sum(reach * math.sin(rate * frame + phase) for reach, rate, phase in self.sines)


# How far each part goes by kind of motion: whole body, arms, legs, head's turn, mouth.
KINDS = {
    "dance": (1.0, 1.0, 1.0, 0.6, 0.7),
    "wave": (0.4, 1.1, 0.3, 0.5, 0.8),
    "walk": (1.2, 0.7, 1.2, 0.3, 0.4),
    "turn": (0.7, 0.7, 0.5, 1.3, 0.6),
    "talk": (0.4, 0.6, 0.3, 0.9, 1.3),
}


class Motion:
    """A smooth motion of the whole body, the hands and the face."""

    def __init__(self, seed: int):
        source = random.Random(f"motion {seed}")
        self.kind = source.choice(sorted(KINDS))
        body, arms, legs, turn, mouth = KINDS[self.kind]
        self.across = Wave(source, source.uniform(-5, 5), 9 * body, (24, 48))
        self.bounce = Wave(source, 0, 2.5 * body, (12, 24))
        self.lean = Wave(source, source.uniform(-0.1, 0.1), 0.22 * body)
        self.tilt = Wave(source, 0, 0.28 * body)
        self.turn = Wave(source, source.uniform(-0.2, 0.2), 0.6 * turn)
        self.arm = {side: Wave(source, source.uniform(0.6, 2.1), 0.9 * arms) for side in "rl"}
        self.elbow = {side: Wave(source, source.uniform(0, 0.8), 0.8 * arms) for side in "rl"}
        self.leg = {side: Wave(source, source.uniform(0.1, 0.3), 0.35 * legs) for side in "rl"}
        self.knee = {side: Wave(source, -0.2, 0.4 * legs) for side in "rl"}
        self.fingers = {side: Wave(source, 0.7, 0.5) for side in "rl"}
        self.mouth = Wave(source, 0.45, 0.7 * mouth, (9, 18))
        self.blink = source.randrange(14, 30)
        self.first_blink = source.randrange(self.blink)


def _limit(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _step(start: Point, angle: float, length: float) -> Point:
    return start[0] + length * math.sin(angle), start[1] + length * math.cos(angle)


@dataclass
class Pose:
    """One frame: key points by name, 21 points of each hand, and the state of the face."""

    points: dict[str, Point]
    hands: dict[str, list[Point]]
    turn: float  # of the head, -1 to 1
    tilt: float
    mouth: float  # 0 closed to 1 open
    eyes: float  # 0 closed to 1 open


def pose(who: Character, motion: Motion, frame: float) -> Pose:
    frame *= TEMPO
    lean, turn = motion.lean(frame), _limit(motion.turn(frame), -1, 1)
    hip = (SIZE / 2 + motion.across(frame), SIZE - 6 - who.thigh - who.shin + 1.5 + motion.bounce(frame))
    neck = _step(hip, math.pi + lean, who.torso)
    tilt = lean + motion.tilt(frame)
    centre = _step(neck, math.pi + tilt, 0.95 * who.head)
    points = {"neck": neck, "head": centre} | _head(centre, tilt, turn, who.head)
    hands = {}
    for side, sign in SIDES:
        shoulder = _step(neck, lean + sign * 1.35, who.shoulders * (1 - 0.25 * abs(turn)))
        arm = _limit(motion.arm[side](frame), 0.05, 2.7)
        elbow = _step(shoulder, sign * arm + lean, who.upper_arm)
        forearm = sign * (arm + _limit(motion.elbow[side](frame), -0.2, 1.6)) + lean
        wrist = _step(elbow, forearm, who.forearm)
        pelvis = (hip[0] + sign * who.hips, hip[1])
        leg = _limit(motion.leg[side](frame), -0.15, 0.8)
        knee = _step(pelvis, sign * leg, who.thigh)
        shin = sign * (leg + _limit(motion.knee[side](frame), -0.9, 0.05))
        ankle = _step(knee, shin, who.shin)
        points |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}
        points |= {f"{side}_hip": pelvis, f"{side}_knee": knee, f"{side}_ankle": ankle}
        points[f"{side}_toe"] = (ankle[0] + 4.5 * sign, ankle[1] + 2.5)
        hands[side] = _hand(wrist, forearm, sign, _limit(motion.fingers[side](frame), 0.2, 1.2), 0.27 * who.head)
    eyes = 0.1 if (frame + motion.first_blink) % motion.blink < 2 else 1.0
    return Pose(points, hands, turn, tilt, _limit(motion.mouth(frame), 0, 1), eyes)


def on_head(centre: Point, tilt: float, radius: float, across: float, up: float) -> Point:
    """A place on the head, in radii from its centre, that tilts with it."""
    right, rise = across * radius, up * radius
    return (
        centre[0] + right * math.cos(tilt) - rise * math.sin(tilt),
        centre[1] - right * math.sin(tilt) - rise * math.cos(tilt),
    )


def _head(centre: Point, tilt: float, turn: float, radius: float) -> dict[str, Point]:
    shift = 0.3 * turn
    places = {"nose": (shift * 1.2, -0.15)}
    for side, sign in SIDES:
        places[f"{side}_eye"] = (shift + 0.38 * sign, 0.12)
        places[f"{side}_ear"] = (0.95 * sign - 0.3 * shift, 0.0)
    return {name: on_head(centre, tilt, radius, *place) for name, place in places.items()}


def _hand(wrist: Point, angle: float, sign: int, spread: float, unit: float) -> list[Point]:
    """The wrist, then four points of each finger from the thumb on."""
    points = [wrist]
    for finger in range(5):
        along = angle - sign * spread * (finger - 2) * 0.45
        length = unit * (1.2 if finger == 0 else 1.6)
        points += [_step(wrist, along, length * joint / 2.4) for joint in (1.2, 1.9, 2.5, 3)]
    return points
