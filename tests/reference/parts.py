"""Inputs and outputs of every part of the model on a tiny checkpoint, with the tensors in between.

A tensor named after a module, such as `blocks.0.attn1`, is that module's output; `decoder.conv_in#1` its second call.
"""

from pathlib import Path

import torch
from diffusers import DiffusionPipeline, WanAnimatePipeline
from diffusers.pipelines.wan.pipeline_wan_animate import prompt_clean
from safetensors.torch import save_file

import scene

PROMPTS = [
    "视频中的人在做动作",
    "a person dances in the park and waves both hands",
    "",
    " a  person\n\twalks,\u3000slowly\u00a0 ",
    "Ａ ﬁne day！ hello wor1d",
    "schÃ¶n &amp;lt;b&amp;gt; “quoted”",
    "the quick brown fox jumps over the lazy dog; " * 12,
]


class Trace:
    """Records the outputs of the named modules of a model while it runs, of each module's first two calls."""

    def __init__(self, model: torch.nn.Module, names: list[str]):
        self.tensors: dict[str, torch.Tensor] = {}
        modules = dict(model.named_modules())
        self.hooks = [modules[name].register_forward_hook(self._hook(name)) for name in names]

    def _hook(self, name: str):
        calls = 0

        def record(_module, _inputs, output):
            nonlocal calls
            key = f"{name}#{calls}" if calls else name
            calls += 1
            if calls > 2:
                return
            for index, tensor in enumerate(output if isinstance(output, tuple) else [output]):
                if tensor is not None:
                    self.tensors[f"{key}.{index}" if isinstance(output, tuple) else key] = tensor.clone()

        return record

    def __enter__(self):
        return self.tensors

    def __exit__(self, *_error):
        for hook in self.hooks:
            hook.remove()


def write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)


def texts(pipe: WanAnimatePipeline) -> list[dict]:
    """What becomes of a prompt: the cleaned text and its tokens with </s>, before padding to 512."""
    cleaned = [prompt_clean(prompt) for prompt in PROMPTS]
    tokens = [pipe.tokenizer(text, truncation=True, max_length=512).input_ids for text in cleaned]
    return [
        {"prompt": prompt, "cleaned": text, "tokens": ids} for prompt, text, ids in zip(PROMPTS, cleaned, tokens)
    ]


def text_encoder(pipe: WanAnimatePipeline) -> dict[str, torch.Tensor]:
    """`short` is padded (its mask has zeros); `long` has distances beyond the last exact bucket."""
    tensors = {}
    for name, prompt, length in (("short", PROMPTS[0], 24), ("long", PROMPTS[-1], 160)):
        words = pipe.tokenizer(
            prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        output = pipe.text_encoder(words.input_ids, words.attention_mask, output_hidden_states=True)
        tensors[f"{name}.input_ids"] = words.input_ids
        tensors[f"{name}.attention_mask"] = words.attention_mask
        for index, hidden in enumerate(output.hidden_states[:-1]):
            tensors[f"{name}.hidden_states.{index}"] = hidden[0]
        tensors[f"{name}.last_hidden_state"] = output.last_hidden_state[0]
    return tensors


def image_encoder(pipe: WanAnimatePipeline) -> dict[str, torch.Tensor]:
    pixels = pipe.image_processor(images=scene.reference((40, 56), 5), return_tensors="pt").pixel_values
    output = pipe.image_encoder(pixel_values=pixels, output_hidden_states=True)
    tensors = {f"hidden_states.{index}": hidden[0] for index, hidden in enumerate(output.hidden_states)}
    tensors["pixel_values"] = pixels[0]
    tensors["image_embeds"] = output.hidden_states[-2][0]
    return tensors


def vae(pipe: DiffusionPipeline, seed: int = 11, size: scene.Size = (3, 2)) -> dict[str, torch.Tensor]:
    """Encoding of 1, 5 and 9 frames to normalised latents [C, T, H, W], and decoding of 3 latent frames of `size`."""
    model = pipe.vae
    generator = torch.Generator().manual_seed(seed)
    width, height = size
    unit = model.config.scale_factor_spatial
    frames = torch.empty(1, 3, 9, height * unit, width * unit).uniform_(-1, 1, generator=generator)
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1, 1) for values in (model.config.latents_mean, model.config.latents_std)
    )
    tensors = {"frames": frames[0]}
    names = ["encoder.conv_in", "encoder.mid_block", "encoder.norm_out", "encoder.conv_out", "quant_conv"]
    names += [f"encoder.down_blocks.{index}" for index in range(len(model.encoder.down_blocks))]
    names += ["encoder.mid_block.attentions.0"]
    for count in (1, 5, 9):
        with Trace(model, names if count == 9 else []) as trace:
            mode = model.encode(frames[:, :, :count]).latent_dist.mode()
        tensors[f"encode_{count}.latents"] = ((mode - mean) * (1.0 / std))[0]
        tensors.update({f"encode_{count}.{name}": tensor[0] for name, tensor in trace.items()})
    latents = torch.randn(1, model.config.z_dim, 3, height, width, generator=generator)
    names = ["post_quant_conv", "decoder.conv_in", "decoder.mid_block", "decoder.mid_block.attentions.0"]
    names += [f"decoder.up_blocks.{index}" for index in range(len(model.decoder.up_blocks) - 1)]
    with Trace(model, names) as trace:
        decoded = model.decode(latents / (1.0 / std) + mean, return_dict=False)[0]
    tensors["decode.latents"] = latents[0]
    tensors["decode.frames"] = decoded[0]
    tensors.update({f"decode.{name}": tensor[0] for name, tensor in trace.items()})
    return tensors


def transformer(pipe: WanAnimatePipeline, seed: int = 13) -> dict[str, torch.Tensor]:
    """One forward of three latent frames (the reference and two) of 6 x 4, with 5 face frames."""
    model, config = pipe.transformer, pipe.transformer.config
    generator = torch.Generator().manual_seed(seed)
    text, _ = pipe.encode_prompt(PROMPTS[1], do_classifier_free_guidance=False, max_sequence_length=512)
    image = pipe.encode_image(scene.reference((40, 56), 5))
    side = config.motion_encoder_size
    inputs = {
        "hidden_states": torch.randn(1, config.in_channels, 3, 4, 6, generator=generator),
        "timestep": torch.tensor([737]),
        "encoder_hidden_states": text,
        "encoder_hidden_states_image": image,
        "pose_hidden_states": torch.randn(1, config.latent_channels, 2, 4, 6, generator=generator),
        "face_pixel_values": torch.empty(1, 3, 5, side, side).uniform_(-1, 1, generator=generator),
    }
    names = ["patch_embedding", "pose_patch_embedding", "condition_embedder", "motion_encoder", "face_encoder"]
    names += ["condition_embedder.time_embedder", "motion_encoder.conv_in", "motion_encoder.conv_out"]
    names += [f"motion_encoder.res_blocks.{index}" for index in range(len(model.motion_encoder.res_blocks))]
    names += ["motion_encoder.motion_network.4", "blocks.0.attn1", "blocks.0.attn2", "blocks.0.ffn"]
    names += [f"blocks.{index}" for index in range(len(model.blocks))]
    names += [f"face_adapter.{index}" for index in range(len(model.face_adapter))]
    names += ["norm_out", "proj_out"]
    with Trace(model, names) as trace:
        # The embedding is added to in place, so its hook records it before the pose.
        output = model(**inputs, return_dict=False)[0]
    length = int((text[0].abs().sum(-1) > 0).sum())
    tensors = {name: tensor[0] for name, tensor in inputs.items() if name != "timestep"}
    tensors["timestep"] = inputs["timestep"]
    tensors["encoder_hidden_states"] = text[0, :length]  # zeros up to 512 rows
    tensors.update({name: tensor if "motion_encoder" in name else tensor[0] for name, tensor in trace.items()})
    tensors["condition_embedder.2"] = tensors["condition_embedder.2"][: length + 1]  # then that last row again
    tensors["sample"] = output[0]
    inputs["encoder_hidden_states_image"] = None
    tensors["sample_without_image"] = model(**inputs, return_dict=False)[0][0]
    return tensors


def motion_basis(pipe: WanAnimatePipeline) -> dict[str, torch.Tensor]:
    """The Q factor of the motion directions, and of a matrix of the real shape's proportions."""
    weight = pipe.transformer.motion_encoder.motion_synthesis_weight
    wide = torch.randn(64, 20, generator=torch.Generator().manual_seed(17))
    return {
        "weight": weight,
        "q": torch.linalg.qr(weight + 1e-8)[0],
        "wide.weight": wide,
        "wide.q": torch.linalg.qr(wide + 1e-8)[0],
    }


def images(pipe: WanAnimatePipeline) -> dict[str, torch.Tensor]:
    """The resampling of input images to 48 x 32: 8-bit sources and results [H, W, C], before they become floats.

    `reference` is letterboxed, `frame` stretched, `mask` stretched and turned grey; `clip` is already normalised.
    """
    tensors = {}
    for width, height in ((40, 56), (90, 33), (28, 28), (20, 22), (48, 32)):
        image = scene.reference((width, height), width)
        fill = pipe.vae_image_processor.preprocess(image, height=32, width=48, resize_mode="fill")[0]
        frame = pipe.video_processor.preprocess_video([image], height=32, width=48)[0, :, 0]
        mask = pipe.video_processor_for_mask.preprocess_video([image], height=32, width=48)[0, :, 0]
        results = {
            "source": torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, 3),
            "reference": eight_bits(fill / 2 + 0.5),
            "frame": eight_bits(frame / 2 + 0.5),
            "mask": eight_bits(mask),
            "clip": pipe.image_processor(images=image, return_tensors="pt").pixel_values[0],
        }
        tensors.update({f"{width}x{height}.{name}": tensor for name, tensor in results.items()})
    return tensors


def eight_bits(image: torch.Tensor) -> torch.Tensor:
    return (image * 255).round().to(torch.uint8).permute(1, 2, 0)


def noise() -> dict[str, torch.Tensor]:
    """`torch.randn` of the CPU generator: below 16 values it draws in another way, and a ragged end is drawn anew."""
    tensors = {}
    for seed in (0, 42, 2**53 + 1):
        generator = torch.Generator().manual_seed(seed)
        for index, shape in enumerate(((7,), (16,), (1, 16, 3, 4, 6), (37,), (3, 5), (1000,))):
            tensors[f"seed_{seed}.{index}"] = torch.randn(shape, generator=generator, dtype=torch.float32)
    return tensors
