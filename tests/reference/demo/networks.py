"""Trains the small networks that find the demo's characters in raw frames, and exports them as ONNX.

    python networks.py OUT NAME [--steps N]    # OUT/NAME.onnx by OUT/persons.npz; NAME: detector, pose, mask

A detector in the form of YOLOv8, a network of 133 points in the form of SimCC and one of masks, so that they are told apart
like any others. Goes on from OUT/NAME.pt where that exists.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import body
import world
import persons
from muon import Average, Both

SEED = 7
BATCH = 32
SIZE = body.SIZE
WIDTH, HEIGHT = 96, 128  # what the network of points is shown
PADDING = 1.25  # room around a person, as its reader gives
SHARP = 3.0  # deviation in half pixels of where a point is said to be
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
STRIDES = (8, 16, 32)


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    norm = nn.BatchNorm2d(outputs)
    norm.num_batches_tracked = None  # averages are of weights alone
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), norm, nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def level(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(conv(inputs, outputs, 2), *[Residual(outputs) for _ in range(blocks)])


class Detector(nn.Module):
    """[1, 5, N]: middle and sides in pixels and a score, for cells of 8, 16 and 32 pixels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 12, 2), conv(12, 24, 2))
        self.levels = nn.ModuleList([level(24, 32, 1), level(32, 48, 1), level(48, 64, 1)])
        self.heads = nn.ModuleList([nn.Conv2d(channels, 5, 1) for channels in (32, 48, 64)])
        cells = [cell_centres(stride) for stride in STRIDES]
        self.register_buffer("centres", torch.cat(cells).T, persistent=False)
        self.register_buffer("strides", torch.cat([torch.full((len(cell),), float(stride)) for cell, stride in zip(cells, STRIDES)]), persistent=False)

    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sides from each cell's middle to left, top, right and bottom [B, 4, N], and logits [B, N]."""
        x, out = self.stem(x), []
        for part, head in zip(self.levels, self.heads):
            x = part(x)
            out.append(head(x).flatten(2))
        out = torch.cat(out, 2)
        return out[:, :4] * self.strides, out[:, 4]

    def forward(self, x: Tensor) -> Tensor:
        sides, logits = self.raw(x)
        low, high = self.centres - sides[:, :2], self.centres + sides[:, 2:]
        return torch.cat([(low + high) / 2, high - low, logits.sigmoid().unsqueeze(1)], 1)

    def loss(self, batch: dict) -> Tensor:
        sides, logits = self.raw(batch["pictures"])
        low, high = batch["boxes"][:, :2, None], batch["boxes"][:, 2:, None]
        middle, inner = (low + high) / 2, (high - low) / 4
        is_there = ((self.centres - middle).abs() < inner).all(1) & batch["is_there"][:, None]
        truth = torch.cat([self.centres - low, high - self.centres], 1)
        off = ((sides - truth).abs().mean(1) / SIZE)[is_there].mean()
        return F.binary_cross_entropy_with_logits(logits, is_there.float()) + 5 * off


def cell_centres(stride: int) -> Tensor:
    steps = torch.arange(SIZE // stride) * stride + stride / 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


class Pose(nn.Module):
    """[1, 133, 2 W] and [1, 133, 2 H]: how sure each point is to be at each half pixel, 1 where as sure as can be taught."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 16, 2), level(16, 32, 2))
        self.middle, self.deep = level(32, 64, 3), level(64, 80, 2)
        self.up = conv(80, 64, kernel=1)
        self.join = nn.Sequential(Residual(64), nn.Conv2d(64, persons.NUM_POINTS, 1))
        places = WIDTH * HEIGHT // 64
        self.mix = nn.Sequential(nn.Linear(places, 128), nn.ReLU(inplace=True))
        self.own = nn.Linear(places, 128)
        self.across, self.down = nn.Linear(128, 2 * WIDTH), nn.Linear(128, 2 * HEIGHT)

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.middle(self.stem(x))
        x = self.join(x + F.interpolate(self.up(self.deep(x)), scale_factor=2.0, mode="nearest")).flatten(2)
        x = self.mix(x) + self.own(x)
        return self.across(x), self.down(x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        most = SHARP * math.sqrt(math.tau)
        return tuple(most * logits.softmax(-1) for logits in self.logits(x))

    def loss(self, batch: dict) -> Tensor:
        total = 0
        for logits, truth in zip(self.logits(batch["pictures"]), (batch["points"] * 2).unbind(-1)):
            bins = torch.arange(logits.shape[-1])
            is_shown = (truth > 0) & (truth < logits.shape[-1] - 1)
            target = (-((bins - truth.unsqueeze(-1)) ** 2) / (2 * SHARP**2)).softmax(-1)
            entropy = -(target * logits.log_softmax(-1)).sum(-1) * weights()
            total = total + entropy[is_shown].mean()
        return total


def weights() -> Tensor:
    """Points that are drawn on their own count more than the many of a face or a hand."""
    weights = torch.full((persons.NUM_POINTS,), 0.5)
    weights[:23], weights[23:91] = 3.0, 0.3
    return weights


class Mask(nn.Module):
    """[1, 1, H, W]: logits of where the person is."""

    def __init__(self):
        super().__init__()
        self.first, self.second = conv(3, 16, 2), level(16, 32, 1)
        self.third, self.deep = level(32, 48, 1), level(48, 64, 1)
        self.ups = nn.ModuleList([conv(64, 48, kernel=1), conv(48, 32, kernel=1), conv(32, 16, kernel=1)])
        self.joins = nn.ModuleList([conv(48, 48), conv(32, 32), conv(16, 16)])
        self.last = nn.ConvTranspose2d(16, 1, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.first(x)]
        for part in (self.second, self.third, self.deep):
            skips.append(part(skips[-1]))
        x = skips.pop()
        for up, join in zip(self.ups, self.joins):
            x = join(skips.pop() + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        return self.last(x)

    def loss(self, batch: dict) -> Tensor:
        return F.binary_cross_entropy_with_logits(self(batch["pictures"])[:, 0], batch["masks"].float())


class Source:
    """Batches of stored frames, moved and scaled at random."""

    def __init__(self, file: Path):
        stored = np.load(file)
        self.pictures, self.points, self.masks = (torch.from_numpy(stored[name]) for name in ("pictures", "points", "masks"))
        self.random = torch.Generator().manual_seed(SEED)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.random)

    def pick(self) -> tuple[Tensor, Tensor, Tensor]:
        chosen = torch.randint(len(self.pictures), (BATCH,), generator=self.random)
        pictures = self.pictures[chosen].permute(0, 3, 1, 2).float() / 255
        # Other lights.
        gain, lift = self.uniform(0.8, 1.2, BATCH, 3, 1, 1), self.uniform(-0.1, 0.1, BATCH, 1, 1, 1)
        return (pictures * gain + lift).clamp(0, 1), self.points[chosen], self.masks[chosen]

    def whole(self) -> dict:
        """Frames as a whole, of the same size: for the detector and the masks."""
        pictures, _, masks = self.pick()
        scale, move = self.uniform(0.75, 1.4, BATCH), self.uniform(-0.2, 0.2, BATCH, 2)
        is_there = self.uniform(0, 1, BATCH) < 0.9
        move[~is_there] += 3  # nothing but the edge's colours
        theta = torch.zeros(BATCH, 2, 3)
        theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale, scale, move
        grid = F.affine_grid(theta, (BATCH, 3, SIZE, SIZE), align_corners=False)
        pictures = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        masks = F.grid_sample(masks[:, None].float(), grid, align_corners=False)[:, 0] > 0.5
        return {"pictures": pictures, "masks": masks, "boxes": boxes(masks), "is_there": masks.flatten(1).sum(1) > 150}

    def around(self) -> dict:
        """A person with room around it, turned a little."""
        pictures, points, _ = self.pick()
        low, high = points.amin(1), points.amax(1)
        sides = (high - low) * self.uniform(0.95, 1.35, BATCH, 2)
        centre = (low + high) / 2 + self.uniform(-0.08, 0.08, BATCH, 2) * (high - low)
        return {"pictures": cut(pictures, centre, sides), "points": shown(points, centre, sides)}


def boxes(masks: Tensor) -> Tensor:
    """[B, 4]: left, top, right, bottom of what is white; of nothing, anything."""
    out = []
    for axis in (1, 2):
        there = masks.any(axis).int()
        out.append((there.argmax(1), there.shape[1] - there.flip(1).argmax(1)))
    return torch.stack([out[0][0], out[1][0], out[0][1], out[1][1]], 1).float()


def window(sides: Tensor) -> Tensor:
    """Width and height in pixels of what is shown of a person [B, 2]."""
    height = torch.maximum(sides[:, 0] * HEIGHT / WIDTH, sides[:, 1]) * PADDING
    return torch.stack([height * WIDTH / HEIGHT, height], 1)


def cut(pictures: Tensor, centre: Tensor, sides: Tensor) -> Tensor:
    size = window(sides)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    places = torch.stack([x / WIDTH, y / HEIGHT], -1)
    places = centre[:, None, None] + (places - 0.5) * size[:, None, None]
    return F.grid_sample(pictures, 2 * places / (SIZE - 1) - 1, align_corners=True)


def shown(points: Tensor, centre: Tensor, sides: Tensor) -> Tensor:
    """Points in pixels of what is shown."""
    return ((points - centre[:, None]) / window(sides)[:, None] + 0.5) * torch.tensor([WIDTH, HEIGHT])


def normalised(pictures: Tensor) -> Tensor:
    return (pictures - MEAN.view(3, 1, 1)) / DEVIATION.view(3, 1, 1)


def batch(name: str, source: Source) -> dict:
    made = source.around() if name == "pose" else source.whole()
    return made if name == "detector" else made | {"pictures": normalised(made["pictures"])}


NETWORKS = {"detector": (Detector, (SIZE, SIZE), 1200), "pose": (Pose, (HEIGHT, WIDTH), 4000), "mask": (Mask, (SIZE, SIZE), 1200)}


def train(name: str, out: Path, steps: int) -> nn.Module:
    torch.manual_seed(SEED)
    model, source = NETWORKS[name][0](), Source(out / "persons.npz")
    optimizer, average = Both(model, steps, 0.02, 2e-3), Average(model, 0.998)
    begun, losses, state_file = time.time(), [], out / f"{name}.pt"
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights, average.steps = state["average"], optimizer.done
    while optimizer.done < steps:
        value = model.loss(batch(name, source))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        losses.append(value.item())
        if optimizer.done % 100 == 0:
            print(f"{name} {optimizer.done}/{steps}: {np.mean(losses):.4f}, {time.time() - begun:.0f} s", flush=True)
            losses = []
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "average": average.weights}, state_file)
    model.load_state_dict(average.weights, strict=False)  # but numbers of batches, which nothing looks at
    return model.eval()


@torch.no_grad()
def evaluate(name: str, model: nn.Module) -> str:
    """On held-out characters, of whom the box is known."""
    found = [persons.frame(world.HELD_OUT + index) for index in range(200)]
    pictures, points, masks = (torch.from_numpy(np.stack(values)) for values in zip(*found))
    pictures = pictures.permute(0, 3, 1, 2).float() / 255
    if name == "pose":
        low, high = points.amin(1), points.amax(1)
        centre, sides = (low + high) / 2, high - low
        rows = model(normalised(cut(pictures, centre, sides)))
        places = torch.stack([row.argmax(-1) / 2 for row in rows], -1)
        off = (places - shown(points, centre, sides)) * (window(sides) / torch.tensor([WIDTH, HEIGHT]))[:, None]
        score = torch.minimum(*[row.amax(-1) for row in rows])
        off = off.norm(dim=-1)
        parts = {"body": slice(0, 23), "face": slice(23, 91), "hands": slice(91, 133)}
        return "; ".join(f"{part} {off[:, of].mean():.2f} px of {SIZE}, {(score[:, of] < 0.5).float().mean():.1%} below 0.5" for part, of in parts.items())
    if name == "mask":
        own = model(normalised(pictures))[:, 0] > 0
        return f"IoU {((own & masks).sum((1, 2)) / (own | masks).sum((1, 2))).mean():.3f}"
    best = model(pictures)
    best = best[torch.arange(len(best)), :, best[:, 4].argmax(1)]
    middle, sides = best[:, :2], best[:, 2:4]
    off = (torch.cat([middle - sides / 2, middle + sides / 2], 1) - boxes(masks)).abs().mean()
    return f"edges {off:.2f} px of {SIZE}, scores from {best[:, 4].min():.2f}"


def export(name: str, model: nn.Module, file: Path) -> None:
    """In opset 13, with weights in f16 that are widened as they are loaded."""
    outputs = ["simcc_x", "simcc_y"] if name == "pose" else ["output"]
    shown = torch.zeros(1, 3, *NETWORKS[name][1])
    torch.onnx.export(model, (shown,), file, input_names=["input"], output_names=outputs, opset_version=13, dynamo=False)
    made = onnx.load(file)
    for tensor in list(made.graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 64:
            half, name = onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name + ".f16"), tensor.name
            made.graph.initializer.remove(tensor)
            made.graph.initializer.append(half)
            made.graph.node.insert(0, onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    onnx.checker.check_model(made)
    onnx.save(made, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    name, out = arguments.name, arguments.out
    model = train(name, out, arguments.steps or NETWORKS[name][2])
    print(f"{name}: {evaluate(name, model)}; {sum(value.numel() for value in model.parameters())} weights", flush=True)
    export(name, model, out / f"{name}.onnx")


if __name__ == "__main__":
    main()
