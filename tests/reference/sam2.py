"""Tiny SAM 2 and 2.1 models of transformers: what every part of them makes of six frames.

    python sam2.py [--out ../goldens/sam2]

`NAME.json` holds the configuration and the extents of every tensor, `NAME.safetensors` the points and what parts make. Weights and frames
are not stored: both sides make them of their names, by `numbers`.
"""

import argparse
import json
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from transformers import Sam2VideoConfig, Sam2VideoModel
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from transformers.models.sam2_video.configuration_sam2_video import Sam2VideoMaskDecoderConfig, Sam2VideoPromptEncoderConfig
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

SIZE = 128
FRAMES = 6
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


def model(version: str, salt: int) -> Sam2VideoModel:
    hiera = Sam2HieraDetConfig(
        hidden_size=16, num_attention_heads=1, image_size=[SIZE, SIZE], blocks_per_stage=[1, 2, 3, 2], embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8], window_size_per_stage=[8, 4, 6, 3], global_attention_blocks=[4],
        window_positional_embedding_background_size=[7, 7],
    )
    side = SIZE // 4
    vision = Sam2VisionConfig(
        backbone_config=hiera, backbone_channel_list=[128, 64, 32, 16], fpn_hidden_size=128,
        backbone_feature_sizes=[[side, side], [side // 2, side // 2], [side // 4, side // 4]],
    )
    config = Sam2VideoConfig(
        vision_config=vision, image_size=SIZE,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=128, image_size=SIZE),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(hidden_size=128, mlp_dim=64, iou_head_hidden_dim=128, num_attention_heads=4),
        memory_attention_hidden_size=128, memory_attention_feed_forward_hidden_size=64,
        memory_attention_rope_feat_sizes=[side // 4, side // 4], memory_attention_num_layers=2, memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64, mask_downsampler_embed_dim=128, memory_fuser_embed_dim=128, memory_fuser_intermediate_dim=64,
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


def video(made: Sam2VideoModel, frames: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> tuple[dict, list]:
    session = Sam2VideoInferenceSession(video=frames, video_height=SIZE, video_width=SIZE, dtype=torch.float32)
    target = session.obj_id_to_idx(1)
    decided, taps = [], {}

    def watch(_, __, out) -> None:
        masks, ious, tokens, score = out
        decided.append((ious[0, 0].tolist(), float(score)))
        if len(decided) == 1:
            taps.update({"decoded_masks": masks[0, 0].clone(), "decoded_ious": ious[0, 0].clone(), "decoded_score": score[0, 0].clone()})

    made.mask_decoder.register_forward_hook(watch)
    for place, frame in enumerate((0, 3)):
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
    corrected = made._single_frame_forward(
        pixel_values=frame[None], input_points=points[None, None], input_labels=labels[None, None], input_masks=out.pred_masks,
        multimask_output=False,
    )
    return {
        "image_logits": out.pred_masks[0, 0], "image_ious": out.iou_scores[0, 0],
        "corrected_logits": corrected.pred_masks[0, 0], "corrected_ious": corrected.iou_scores[0, 0],
    }


def golden(name: str, version: str, salt: int, folder: Path) -> None:
    made = model(version, salt)
    frames = torch.from_numpy(numbers("frames", [FRAMES, 3, SIZE, SIZE], salt))
    points = torch.from_numpy(numbers("points", [2, 8, 2], salt)).abs() / 1.75 * numpy.sqrt(16) * SIZE
    labels = torch.ones(2, 8, dtype=torch.int32)
    labels[1, 0], labels[1, 1], labels[1, 2] = 2, 3, 0
    box = torch.tensor([20.0, 30.0, 90.5, 110.0])
    taps: dict = {"points": points, "labels": labels.float(), "box": box}
    record(made, taps, {})
    made_of_video, decided = video(made, frames, points, labels)
    taps |= made_of_video | image(made, frames[1], points[0][:2], labels[0][:2], box)
    for ious, score in decided:
        print(name, [round(iou, 3) for iou in ious], round(score, 3))
    if name != "tiny_2_1":
        # The encoder is the same in all.
        taps = {key: value for key, value in taps.items() if not key.startswith(("stage", "level"))}
    stored = made.config.to_dict()
    tensors = {key: list(tensor.shape) for key, tensor in made.state_dict().items()}
    (folder / f"{name}.json").write_text(json.dumps({"salt": salt, "config": stored, "tensors": tensors}, indent=1) + "\n")
    save_file({key: value.contiguous().float() for key, value in taps.items()}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens" / "sam2")
    parser.add_argument("--salt", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, version, salt in (("tiny_2_0", "2.0", 0), ("tiny_2_1", "2.1", 0), ("tiny_absent", "2.1", 1)):
            golden(name, version, arguments.salt + salt, arguments.out)
