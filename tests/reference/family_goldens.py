"""Makes tests/goldens/family/: tiny checkpoints of text- and image-to-video, inputs and outputs of parts, whole runs.

    python family_goldens.py [--out ../goldens/family]

Files are as goldens.py writes them; paths in `run.json` are relative to tests/goldens/family. `expected.safetensors`
also has `experts`, by step 0 for `transformer` and 1 for `transformer_2`, and `segment_0.condition`, which is what
prepare_latents returns beside the noise.

What WanPipeline (from text) and WanImageToVideoPipeline (from an image) do, as these runs show it:
- Size: height and width that are no multiples of 16 are an error; then both are cut down to a multiple of the VAE's
  scale_factor_spatial times the patch, which is 32 with VAE 2.2. A number of frames F that is not 4n + 1 becomes F //
  4 * 4 + 1, so 7 gives 5, but 8 gives 9. T = (F - 1) // 4 + 1 latent frames; all F frames are returned.
- Text: as in Animate: cleaned, 512 tokens, embeddings beyond the mask are zero, and these zero rows are attended to.
  A missing negative prompt is "", whatever the official configurations say.
- Noise: one torch.randn([1, C, T, H, W]) in f32, C the transformer's in_channels (from text) or the VAE's z_dim (from
  an image). Nothing else draws.
- Experts: `transformer` while timestep >= boundary_ratio * num_train_timesteps, `transformer_2` below; UniPC and
  DPM++ cut timesteps to integers before. Without boundary_ratio `transformer` makes all steps. The scheduler's
  history crosses the switch.
- Guidance: on where guidance_scale > 1, for both experts alike: a guidance_scale_2 of 1 still costs two passes, and
  one above 1 beside a guidance_scale of 1 does nothing. unconditional + scale * (conditional - unconditional), the
  scale being guidance_scale for the first and guidance_scale_2 for the second expert. A guidance_scale_2 left out is
  guidance_scale; without boundary_ratio it is an error.
- Images: stretched to the size with 8-bit Lanczos, then x / 255 * 2 - 1. They must be RGB; nothing converts them.
- Condition (not ti2v): the first image, zeros (mid-grey), and the last image as frame F - 1 where there is one, all
  encoded as one video; (mode - mean) * (1 / std). The mask has a 1 for each frame that is an image; its first frame
  is repeated four times, then the F + 3 frames are folded by four into channels, [4, T, H, W]: a last image sets
  channel 3 of the last latent frame alone. The model sees [latents, mask, condition] along channels, in both passes
  of guidance.
- CLIP: used where the transformer's image_dim is set. It sees the original images through image_processor; its last
  hidden state but one is the context. With a last image both come as a batch [2, L, D], seen as one of 2 L tokens and
  added to the position embedding, so the transformer must have pos_embed_seq_len = 2 L; one that has it cannot do
  without the last image, and one that has not cannot do with it.
- ti2v (expand_timesteps): one timestep a token. From text all are equal. From an image, which is encoded alone as one
  frame, there is no mask and no condition in channels: before each pass latent frame 0 is replaced by the image's
  latents, and the tokens of that frame (taken at every second latent pixel, whatever the patch) get timestep 0. The
  scheduler steps the latents as if nothing had been replaced; after the last step latent frame 0 is replaced once
  more. A last image is ignored.
- Latents to frames: latents / (1 / std) + mean, decoded, clamped to [-1, 1], x / 2 + 0.5.
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging

import checkpoint
import family
import parts
import scene
from family import KINDS

# VAE 2.2 in widths that are no multiples of four, with means and copies over other counts than the real ones have.
ODD_SIZES = {"z_dim": 6, "vae_dim": 3, "vae_decoder_dim": 5, "vae_mult": (1, 4, 2, 1)}
ODD_VAE = replace(KINDS["ti2v"], seed=25, vae_temporal=(True, False, True), **ODD_SIZES)

DEFAULTS = {
    "checkpoint": "t2v",
    "num_frames": 9,
    "num_inference_steps": 4,
    "guidance_scale": 3.0,
    "guidance_scale_2": 2.0,
    "prompt": "a person dances in the park and waves both hands",
    "negative_prompt": "blurry, worst quality",
    "seed": 42,
    "width": 48,
    "height": 32,
    "image": None,
    "last_image": None,
}
FROM_IMAGE = {"image": "inputs/image.png"}
BOTH_IMAGES = {**FROM_IMAGE, "last_image": "inputs/last_image.png"}
TI2V = {"checkpoint": "ti2v", "guidance_scale_2": None, "width": 64}

RUNS = {
    "t2v": {},
    "t2v_unguided": {"num_frames": 5, "guidance_scale": 1.0, "guidance_scale_2": 4.0, "negative_prompt": None},
    "i2v": {"checkpoint": "i2v", **FROM_IMAGE, "seed": 7},
    "i2v_last": {"checkpoint": "i2v", **BOTH_IMAGES, "guidance_scale_2": None, "num_inference_steps": 3},
    "i2v_clip": {"checkpoint": "i2v_clip", **FROM_IMAGE, "guidance_scale_2": None, "num_frames": 5},
    "flf_clip": {"checkpoint": "flf_clip", **BOTH_IMAGES, "guidance_scale_2": None, "num_frames": 5},
    "ti2v": {**TI2V, "num_frames": 5, "seed": 3},
    "ti2v_image": {**TI2V, **FROM_IMAGE, "seed": 5},
}


def write_inputs(folder: Path) -> None:
    folder.mkdir(parents=True)
    scene.reference((40, 56), 20).save(folder / "image.png")
    scene.reference((61, 30), 21).save(folder / "last_image.png")


def transformer(pipe: DiffusionPipeline, seed: int = 19) -> dict[str, torch.Tensor]:
    """One forward of three latent frames of 6 x 4; in ti2v the tokens of the first have timestep 0."""
    model, config = pipe.transformer, pipe.transformer.config
    generator = torch.Generator().manual_seed(seed)
    text, _ = pipe.encode_prompt(parts.PROMPTS[1], do_classifier_free_guidance=False, max_sequence_length=512)
    timestep = torch.tensor([737.0])
    if pipe.config.expand_timesteps:
        timestep = torch.cat([torch.zeros(1, 6), torch.full((1, 12), 737.0)], 1)
    inputs = {
        "hidden_states": torch.randn(1, config.in_channels, 3, 4, 6, generator=generator),
        "timestep": timestep,
        "encoder_hidden_states": text,
    }
    if config.image_dim is not None:
        images = 2 if config.pos_embed_seq_len else 1
        inputs["encoder_hidden_states_image"] = pipe.encode_image([scene.reference((40, 56), 5)] * images)
    names = ["patch_embedding", "condition_embedder", "blocks.0.attn1", "blocks.0.attn2", "blocks.0.ffn"]
    names += [f"blocks.{index}" for index in range(len(model.blocks))]
    with parts.Trace(model, names) as trace:
        output = model(**inputs, return_dict=False)[0]
    length = int((text[0].abs().sum(-1) > 0).sum())
    tensors = {name: tensor.squeeze(0) for name, tensor in {**inputs, **trace}.items()}
    tensors["timestep"] = timestep.flatten()
    tensors["encoder_hidden_states"] = text[0, :length]  # zeros up to 512 rows
    tensors["condition_embedder.2"] = tensors["condition_embedder.2"][: length + 1]  # then that last row again
    return {**tensors, "sample": output[0]}


def write_run(settings: dict, root: Path, out: Path) -> None:
    pipe = family.load(root / settings["checkpoint"], with_image=settings["image"] is not None)
    noise, expected = family.run(pipe, settings, root)
    parts.write(noise, out / "noise.safetensors")
    parts.write(expected, out / "expected.safetensors")
    (out / "run.json").write_text(json.dumps(settings, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "goldens" / "family")
    out = parser.parse_args().out
    logging.set_verbosity_error()
    torch.set_num_threads(1)  # sums do not depend on how many cores there are
    torch.set_grad_enabled(False)
    shutil.rmtree(out, ignore_errors=True)
    write_inputs(out / "inputs")
    pipes = {name: family.pipeline(spec) for name, spec in KINDS.items()}
    for name, pipe in pipes.items():
        checkpoint.save_pipeline(pipe, out / name)
        parts.write(transformer(pipe), out / "parts" / f"{name}_transformer.safetensors")
    odd = family.pipeline(ODD_VAE)
    odd.vae.save_pretrained(out / "odd" / "vae")
    for name, pipe in (("ti2v", pipes["ti2v"]), ("odd", odd)):
        parts.write(parts.vae(pipe, size=(2, 1)), out / "parts" / f"{name}_vae.safetensors")
    for name, changes in RUNS.items():
        write_run({**DEFAULTS, **changes}, out, out / "runs" / name)
        print(name)


if __name__ == "__main__":
    main()
