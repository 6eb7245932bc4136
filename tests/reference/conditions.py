"""What the official preprocessing makes of key points and masks, for tests/preprocess.rs.

    WAN_OFFICIAL=DIR python tests/reference/conditions.py [OUT] [--poses 24] [--clips 5] [--seed 0]

`DIR` is a checkout of https://github.com/Wan-Video/Wan2.2 (the golden: commit 42bf4cf), whose `wan/modules/animate/preprocess` is imported as it
is. Needs numpy 2.4.6 and opencv-python-headless 5.0.0; matplotlib, which the official code takes hues from, is stood in for by `colorsys`.

Pictures are kept as hashes (FNV-1a, 64 bits), pictures that go in are made by a formula.
"""

import argparse
import colorsys
import json
import os
import sys
import types
from pathlib import Path

import cv2
import numpy as np

GOLDEN = Path(__file__).parent.parent / "goldens" / "conditions.json"
SIZES = [(832, 480), (480, 832), (1280, 720), (64, 48), (301, 257), (1920, 1080), (1080, 1920), (2560, 1440), (200, 200), (640, 400), (4096, 2160)]


def official():
    """The official modules, their unneeded imports stood in for."""
    colors = types.SimpleNamespace(hsv_to_rgb=lambda hsv: np.array(colorsys.hsv_to_rgb(*hsv)))
    pyplot = types.ModuleType("matplotlib.pyplot")
    stand_ins = {"matplotlib": dict(colors=colors, pyplot=pyplot), "matplotlib.pyplot": {}, "tqdm": dict(tqdm=lambda x: x), "PIL": dict(Image=None)}
    for name, content in stand_ins.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(content)
    sys.path.insert(0, str(Path(os.environ["WAN_OFFICIAL"]) / "wan/modules/animate/preprocess"))
    import human_visualization
    import pose2d_utils
    import retarget_pose
    import utils

    return human_visualization, pose2d_utils, retarget_pose, utils


def fnv(array):
    value = 0xCBF29CE484222325
    for byte in np.ascontiguousarray(array, np.uint8).tobytes():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def picture(width, height):
    y, x, c = np.mgrid[:height, :width, :3]
    return ((x * 37 + y * 91 + c * 53 + x * y // 7) % 256).astype(np.uint8)


# Shares of a standing person's box, in the order of COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, feet.
BODY = [(50, 8), (54, 6), (46, 6), (58, 8), (42, 8), (66, 20), (34, 20), (74, 36), (26, 36), (78, 52), (22, 52), (60, 52), (40, 52), (60, 74),
        (40, 74), (60, 96), (40, 96), (62, 100), (66, 99), (58, 98), (38, 100), (34, 99), (42, 98)]


def person(rng, width, height, kind):
    """133 points. Kinds: 0 within the picture, 1 partly outside, 2 anywhere, 3 whole pixels, 4 tiny."""
    scale = {1: 1.8, 2: 1.0, 4: 0.05}.get(kind, 0.8)
    w, h = width * scale * rng.uniform(0.3, 1), height * scale * rng.uniform(0.6, 1)
    x, y = rng.uniform(-w / 2 if kind == 1 else 0, width - w / 2), rng.uniform(-h / 2 if kind == 1 else 0, max(height - h, 1))
    points = np.zeros((133, 3))
    points[:23, :2] = np.array(BODY) / 100 * (w, h) + (x, y) + rng.normal(0, 0.03 * h, (23, 2))
    points[23:91, :2] = points[0, :2] + rng.normal(0, 0.02 * h, (68, 2))
    for start, wrist in ((91, 9), (112, 10)):
        points[start:start + 21, :2] = points[wrist, :2] + rng.normal(0, 0.04 * h, (21, 2))
        points[start, :2] = points[wrist, :2] + rng.normal(0, 2, 2)
    if kind == 2:
        points[:, :2] = rng.uniform(-1.5, 2.5, (133, 2)) * (width, height)
    points[:, 2] = np.clip(rng.normal(0.8, 0.25, 133), 0, 1.1)
    points[:, 2] = np.where(rng.random(133) < 0.05, 0.5, points[:, 2])
    return np.column_stack([np.round(points[:, :2], 0 if kind == 3 else 2), np.round(points[:, 2], 2)])


def metas(pose2d, frames, width, height):
    return pose2d.load_pose_metas_from_kp2ds_seq(np.array(frames), width, height)


def pose(modules, rng, index):
    draw, pose2d, _, utils = modules
    width, height = SIZES[index % len(SIZES)]
    points = person(rng, width, height, index % 5)
    meta = metas(pose2d, [points], width, height)[0]
    image = np.zeros((height, width, 3), np.uint8)
    image = draw.draw_aapose_by_meta_new(image, pose2d.AAPoseMeta.from_humanapi_meta(meta))
    face = utils.get_face_bboxes(meta["keypoints_face"][:, :2], scale=1.3, image_shape=(height, width))
    return dict(width=width, height=height, points=points.tolist(), drawing=fnv(image), drawn=int(image.any(-1).sum()), face=face)


def clip(modules, rng, index):
    """Some frames, a reference, perhaps edits of both, and what retargeting makes of it."""
    _, pose2d, retarget, _ = modules
    (width, height), (to_width, to_height) = SIZES[index % 4], SIZES[(index * 3 + 1) % 6]
    first = person(rng, width, height, index % 2)
    frames = [np.round(first + rng.normal(0, 0.02 * height, first.shape) * (1, 1, 0), 2) for _ in range(2)]
    reference = person(rng, to_width, to_height, index % 2)
    if index % 3 == 2:  # no ankles, then no hips
        reference[[15, 16], 2] = 0.3
    if index % 5 == 3:
        reference[[11, 12, 15, 16], 2] = 0.2
    edits = [person(rng, width, height, 0), person(rng, to_width, to_height, 0)] if index % 2 else None
    one = lambda points, w, h: metas(pose2d, [points], w, h)[0]
    edited = (one(edits[0], width, height), one(edits[1], to_width, to_height)) if edits else (None, None)
    made = retarget.get_retarget_pose(one(frames[0], width, height), one(reference, to_width, to_height), metas(pose2d, frames, width, height), *edited)
    hand = lambda points, scores: [[0, 0, 0] if p[0] is None else [float(p[0]), float(p[1]), float(s)] for p, s in zip(points, scores)]
    body = lambda frame: np.column_stack([frame.kps_body, frame.kps_body_p]).round(4).tolist()
    made = [dict(body=body(f), hands=[hand(f.kps_lhand, f.kps_lhand_p), hand(f.kps_rhand, f.kps_rhand_p)]) for f in made]
    out = dict(size=[width, height], frames=[f.tolist() for f in frames], to=[to_width, to_height], reference=reference.tolist(), made=made)
    return out | dict(edits=edits and [points.tolist() for points in edits])


def mask(modules, rng, index):
    """Ellipses (centre, axes) of whole numbers, and what becomes of them."""
    utils = modules[3]
    width, height = [(97, 61), (160, 120), (33, 200)][index % 3]
    ellipses = [[int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(1, width // 3)), int(rng.integers(1, height // 3))] for _ in range(index % 3 + 1)]
    y, x = np.mgrid[:height, :width]
    inside = np.zeros((height, width), np.uint8)
    for cx, cy, a, b in ellipses:
        inside |= ((x - cx) ** 2 * b * b + (y - cy) ** 2 * a * a <= a * a * b * b).astype(np.uint8)
    k, iterations = [(7, 3), (4, 1), (5, 2), (6, 3), (1, 2), (3, 1)][index % 6]
    w_len, h_len = [(1, 1), (3, 2), (10, 20), (2, 7)][index % 4]
    _, dilated = utils.get_mask_body_img(np.zeros((height, width, 3), np.uint8), inside, k=k, iterations=iterations)
    grid = utils.get_aug_mask(dilated.copy(), w_len=w_len, h_len=h_len)
    settings = dict(kernel_size=k, iterations=iterations, w_subdivisions=w_len, h_subdivisions=h_len)
    return dict(size=[width, height], ellipses=ellipses, **settings, dilated=fnv(dilated * 255), grid=fnv(grid * 255))


def canvases(modules):
    """Sizes by area, and pictures brought to them."""
    utils = modules[3]
    out = []
    for width, height, area in [(1920, 1080, 1280 * 720), (854, 480, 1280 * 720), (832, 480, 1280 * 720), (640, 480, 1280 * 720), (1024, 1024, 1280 * 720),
                                (1280, 720, 832 * 480), (1920, 1080, 832 * 480), (512, 512, 832 * 480), (720, 1280, 1024 * 576), (333, 777, 1280 * 720)]:
        resized = utils.resize_by_area(np.zeros((height, width, 3), np.uint8), area, divisor=16)
        out.append([width, height, area, resized.shape[1], resized.shape[0]])
    fitted = []
    for width, height, to_width, to_height in [(100, 60, 48, 32), (96, 64, 48, 32), (97, 61, 48, 48), (30, 50, 64, 64), (144, 96, 48, 32), (61, 200, 96, 80)]:
        how = cv2.INTER_AREA if to_width * to_height < width * height else cv2.INTER_LINEAR
        image = utils.padding_resize(picture(width, height), height=to_height, width=to_width, interpolation=how)
        fitted.append([width, height, to_width, to_height, fnv(image)])
    return dict(sizes=out, fitted=fitted, crop=fnv(cv2.resize(picture(100, 80)[7:70, 11:93], (512, 512))))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", type=Path, default=GOLDEN)
    for name, count in (("--poses", 24), ("--clips", 5), ("--masks", 24), ("--seed", 0)):
        parser.add_argument(name, type=int, default=count)
    args = parser.parse_args()
    modules, rng = official(), np.random.default_rng(args.seed)
    golden = dict(poses=[pose(modules, rng, i) for i in range(args.poses)], clips=[clip(modules, rng, i) for i in range(args.clips)],
                  masks=[mask(modules, rng, i) for i in range(args.masks)], **canvases(modules))
    args.out.write_text(json.dumps(golden, separators=(",", ":")))
    print(args.out, args.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
