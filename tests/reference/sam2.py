"""Tiny SAM 2 and 2.1 models of transformers: what every part of them makes of six frames.

    python sam2.py [--out ../goldens/sam2]
    python sam2.py --random COUNT --out FOLDER

`NAME.json` holds the configuration, the prompted frames and the extents of every tensor, `NAME.safetensors` the points and what parts make. Weights
and frames are not stored: both sides make them of their names, by `numbers`. With `--random`, models of other sizes and videos of other lengths.
"""

import argparse
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoMaskDecoderConfig, Sam2VideoPromptEncoderConfig
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

WIDE = ("pos_embed", "pos_embed_window", "positional_embedding", "frames")


def numbers(name: str, shape: list[int], salt: int) -> numpy.ndarray:
    """Uniform numbers told by a name alone: splitmix64 from its FNV hash on."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64((seed + salt) % 2**64) + numpy.arange(1, numpy.prod(shape) + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    unit = (z >> numpy.uint64(40)).astype(numpy.float64) / 2**23 - 1
    if name.split(".")[-1] in WIDE:
        scale, shift = 1.0, 0.0
    elif len(shape) < 2:
        scale, shift = 0.3, 1.0 if "layer_norm" in name and name.endswith("weight") else 0.0
    else:
        scale, shift = 1.75 / numpy.sqrt(numpy.float64(numpy.prod(shape[1:]))), 0.0
    return (unit * scale + shift).astype(numpy.float32).reshape(shape)


@dataclass
class Sizes:
    """Of a model, and of the video that it is shown."""

    size: int = 128
    embed: int = 16
    blocks: list[int] = field(default_factory=lambda: [1, 2, 3, 2])
    heads: int = 1
    windows: list[int] = field(default_factory=lambda: [8, 4, 6, 3])
    whole: list[int] = field(default_factory=lambda: [4])
    background: list[int] = field(default_factory=lambda: [7, 7])
    hidden: int = 128
    decoder_heads: int = 4
    layers: int = 2
    inner: int = 64
    frames: int = 6
    prompted: list[int] = field(default_factory=lambda: [0, 3])
    points: int = 8

    @staticmethod
    def other(rng: random.Random) -> "Sizes":
        size = rng.choice([64, 96, 128, 160, 192, 256])
        blocks = [rng.randint(1, 3) for _ in range(4)]
        # Not those that halve height and width, which transformers cannot run.
        inner = [block for block in range(sum(blocks)) if block not in (blocks[0], sum(blocks[:2]), sum(blocks[:3]))]
        first = rng.choice([window for window in (2, 4, 8) if size // 4 % window == 0])
        frames = rng.choice([1, 2, 3, 5, 8, 18, 20])
        return Sizes(
            size=size, embed=rng.choice([16, 24, 32]), blocks=blocks, heads=rng.choice([1, 2]),
            windows=[first, rng.choice([2, 4, 6]), rng.choice([2, 4, 6, 10, 14]), rng.choice([2, 3, 5, 7])],
            whole=rng.sample(inner, min(len(inner), rng.randint(0, 3))), background=rng.choice([[7, 7], [14, 14], [5, 5]]),
            hidden=rng.choice([128, 192, 256]), decoder_heads=rng.choice([1, 2, 4, 8]), layers=rng.randint(1, 3),
            inner=rng.choice([48, 64, 100]), frames=frames, prompted=sorted(rng.sample(range(frames), min(frames, rng.choice([1, 1, 2, 3])))),
            points=rng.choice([1, 2, 4, 8]),
        )


def model(version: str, salt: int, sizes: Sizes) -> Sam2VideoModel:
    dims = [sizes.embed << stage for stage in range(4)]
    hiera = Sam2HieraDetConfig(
        hidden_size=sizes.embed, num_attention_heads=sizes.heads, image_size=[sizes.size] * 2, blocks_per_stage=sizes.blocks,
        embed_dim_per_stage=dims, num_attention_heads_per_stage=[sizes.heads << stage for stage in range(4)],
        window_size_per_stage=sizes.windows, global_attention_blocks=sizes.whole, window_positional_embedding_background_size=sizes.background,
    )
    side, hidden = sizes.size // 4, sizes.hidden
    vision = Sam2VisionConfig(
        backbone_config=hiera, backbone_channel_list=dims[::-1], fpn_hidden_size=hidden,
        backbone_feature_sizes=[[side, side], [side // 2, side // 2], [side // 4, side // 4]],
    )
    config = Sam2VideoConfig(
        vision_config=vision, image_size=sizes.size,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=hidden, image_size=sizes.size),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=hidden, mlp_dim=sizes.inner, iou_head_hidden_dim=hidden, num_attention_heads=sizes.decoder_heads
        ),
        memory_attention_hidden_size=hidden, memory_attention_feed_forward_hidden_size=sizes.inner,
        memory_attention_rope_feat_sizes=[side // 4, side // 4], memory_attention_num_layers=sizes.layers, memory_encoder_hidden_size=hidden,
        memory_encoder_output_channels=64, mask_downsampler_embed_dim=hidden, memory_fuser_embed_dim=hidden,
        memory_fuser_intermediate_dim=sizes.inner,
        enable_temporal_pos_encoding_for_object_pointers=version == "2.1", enable_occlusion_spatial_embedding=version == "2.1",
    )
    made = Sam2VideoModel(config).eval()
    for name, tensor in made.state_dict().items():
        # Both places hold the same numbers.
        source = name.replace("shared_image_embedding", "prompt_encoder.shared_embedding")
        tensor.copy_(torch.from_numpy(numbers(source, list(tensor.shape), salt)))
    return made


def record(made: Sam2VideoModel, taps: dict, calls: dict) -> None:
    """Keeps what parts make: of the first call, or of the one that is named."""

    def keep(name: str, part: torch.nn.Module, choose) -> None:
        def hook(_, __, out) -> None:
            calls[name] = calls.get(name, 0) + 1
            if calls[name] == 1:
                taps.update({key: value.detach().clone().float().contiguous() for key, value in choose(out).items()})

        part.register_forward_hook(hook)

    keep("hiera", made.vision_encoder.backbone, lambda out: {f"stage.{i}": x[0] for i, x in enumerate(out.intermediate_hidden_states)})
    keep("neck", made.vision_encoder, lambda out: {f"level.{i}": x[0].permute(1, 2, 0) for i, x in enumerate(out.fpn_hidden_states)})
    keep("prompt", made.prompt_encoder, lambda out: {"sparse": out[0][0, 0]})
    keep("memory", made.memory_encoder, lambda out: {"memory": out[0][0].flatten(1).T, "memory_positions": out[1][0].flatten(1).T})
    keep("attention", made.memory_attention, lambda out: {"attended": out[:, 0].reshape(-1, out.shape[-1])})


def video(made: Sam2VideoModel, sizes: Sizes, frames: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> tuple[dict, list]:
    session = Sam2VideoInferenceSession(video=frames, video_height=sizes.size, video_width=sizes.size, dtype=torch.float32)
    target = session.obj_id_to_idx(1)
    decided, taps = [], {}

    def watch(_, __, out) -> None:
        masks, ious, tokens, score = out
        decided.append((ious[0, 0].tolist(), float(score)))
        if len(decided) == 1:
            best = ious[0, 0].argmax()
            taps.update({"decoded_masks": masks[0, 0, best].clone(), "decoded_ious": ious[0, 0, best].clone(), "decoded_score": score[0, 0].clone()})

    made.mask_decoder.register_forward_hook(watch)
    for place, frame in enumerate(sizes.prompted):
        session.add_point_inputs(target, frame, {"point_coords": points[place][None, None], "point_labels": labels[place][None, None]})
        session.obj_with_new_inputs = [1]
        made(session, frame_idx=frame)
    outs = list(made.propagate_in_video_iterator(session, start_frame_idx=0))
    taps["logits"] = torch.stack([out.pred_masks[0, 0] for out in outs])
    taps["scores"] = torch.stack([out.object_score_logits.reshape(()) for out in outs])
    return taps, decided


def image(made: Sam2VideoModel, frame: torch.Tensor, points: torch.Tensor, labels: torch.Tensor, box: torch.Tensor) -> dict:
    out = made._single_frame_forward(
        pixel_values=frame[None], input_points=points[None, None], input_labels=labels[None, None], input_boxes=box[None, None],
        multimask_output=False,
    )
    # As the original has it where it corrects a mask of a video.
    earlier = out.pred_masks.clamp(-32, 32)
    corrected = made._single_frame_forward(
        pixel_values=frame[None], input_points=points[None, None], input_labels=labels[None, None], input_masks=earlier,
        multimask_output=len(points) < 2,
    )
    return {
        "image_logits": out.pred_masks[0, 0], "image_ious": out.iou_scores[0, 0],
        "corrected_logits": corrected.pred_masks[0, 0], "corrected_ious": corrected.iou_scores[0, 0].max().reshape(1),
    }


def golden(name: str, version: str, salt: int, sizes: Sizes, folder: Path) -> None:
    made = model(version, salt, sizes)
    side, prompts = sizes.size, len(sizes.prompted)
    frames = torch.from_numpy(numbers("frames", [sizes.frames, 3, side, side], salt))
    points = torch.from_numpy(numbers("points", [prompts, sizes.points, 2], salt)).abs() / 1.75 * numpy.sqrt(16) * side
    labels = torch.ones(prompts, sizes.points, dtype=torch.int32)
    if prompts > 1 and sizes.points > 2:
        labels[-1, 0], labels[-1, 1], labels[-1, 2] = 2, 3, 0
    box = torch.tensor([20.0, 30.0, 90.5, 110.0]) * side / 128
    taps: dict = {"points": points, "labels": labels.float(), "box": box}
    record(made, taps, {})
    made_of_video, decided = video(made, sizes, frames, points, labels)
    taps |= made_of_video | image(made, frames[min(1, sizes.frames - 1)], points[0][:2], labels[0][:2], box)
    for ious, score in decided:
        print(name, [round(iou, 3) for iou in ious], round(score, 3))
    if name in ("tiny_2_0", "tiny_absent"):
        # The encoder is the same in all.
        taps = {key: value for key, value in taps.items() if not key.startswith(("stage", "level"))}
    stored = made.config.to_dict()
    tensors = {key: list(tensor.shape) for key, tensor in made.state_dict().items()}
    (folder / f"{name}.json").write_text(json.dumps({"salt": salt, "prompted": sizes.prompted, "config": stored, "tensors": tensors}, indent=1) + "\n")
    save_file({key: value.contiguous().float() for key, value in taps.items()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens" / "sam2")
    parser.add_argument("--salt", type=int, default=3)
    parser.add_argument("--random", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with torch.no_grad():
        if arguments.random == 0:
            for name, version, salt in (("tiny_2_0", "2.0", 0), ("tiny_2_1", "2.1", 0), ("tiny_absent", "2.1", 1)):
                golden(name, version, arguments.salt + salt, Sizes(), arguments.out)
        for salt in range(arguments.salt, arguments.salt + arguments.random):
            rng = random.Random(salt)
            sizes = Sizes.other(rng)
            print(sizes)
            golden(f"random_{salt}", rng.choice(["2.0", "2.1"]), salt, sizes, arguments.out)
