"""Tiny random Wan-Animate checkpoints in the diffusers layout.

A checkpoint is built from a `Spec` with the classes that load the real one, so every file name, tensor name and
configuration key is what a user's checkpoint has. Weights are drawn so that the signal keeps its size through the
network: variance 1 / fan-in for matrices, norms around one, and a last VAE layer that fills [-1, 1] without clipping
much. Nothing is zero, so each input (text, image, pose, face, mask, background) moves the result.

    python checkpoint.py OUT [--seed 0] [--dtype f32|bf16|f16] [--max-shard-size 100KB]
"""

import argparse
import io
import math
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import sentencepiece
import torch
from diffusers import (
    AutoencoderKLWan,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanAnimatePipeline,
    WanAnimateTransformer3DModel,
)
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from transformers import (
    CLIPImageProcessorPil as CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}

UNIPC = {"class": "UniPCMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": True}
DPMPP = {"class": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": True}
EULER = {"class": "FlowMatchEulerDiscreteScheduler"}
SCHEDULERS = {
    "UniPCMultistepScheduler": UniPCMultistepScheduler,
    "DPMSolverMultistepScheduler": DPMSolverMultistepScheduler,
    "FlowMatchEulerDiscreteScheduler": FlowMatchEulerDiscreteScheduler,
}

CORPUS = """视频中的人在做动作
一个人在公园里跳舞，挥动双手
色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量
a person dances in the park and waves both hands
the character in the video is moving, the camera stands still
blurry, worst quality, static, watermark, deformed hands
the quick brown fox jumps over the lazy dog; 0 1 2 3 4 5 6 7 8 9
"""

# A small stand-in for the real tokenizer's character map, in hexadecimal: full-width forms, a ligature, odd spaces.
CHARACTER_MAP = {"FF01": "21", "FF0C": "2C", "FF21": "41", "FB01": "66 69", "A0": "20", "3000": "20", "2003": "20"}


@dataclass(frozen=True)
class Spec:
    """Sizes of a tiny checkpoint. Lengths are counts of channels, blocks or pixels."""

    seed: int = 0
    # transformer
    heads: int = 2
    head_dim: int = 12
    layers: int = 2
    ffn_dim: int = 40
    freq_dim: int = 32
    eps: float = 1e-6
    motion_size: int = 16
    motion_channels: int | dict = 8
    motion_style_dim: int = 16
    motion_dim: int = 6
    motion_out_dim: int = 12
    face_hidden_dim: int = 8
    face_heads: int = 2
    inject_every: int = 1
    # text encoder
    text_dim: int = 16
    text_heads: int = 2
    text_head_dim: int = 8
    text_ffn_dim: int = 24
    text_layers: int = 2
    # image encoder
    clip_dim: int = 16
    clip_heads: int = 2
    clip_layers: int = 3
    clip_ffn_dim: int = 32
    clip_size: int = 28
    clip_patch: int = 14
    clip_act: str = "gelu"
    # VAE
    vae_dim: int = 4
    vae_mult: tuple = (1, 2, 2, 2)
    vae_res_blocks: int = 1
    z_dim: int = 16
    # VAE 2.2: `vae_residual`, and patches of 2
    vae_residual: bool = False
    vae_patch: int | None = None
    vae_decoder_dim: int | None = None
    vae_temporal: tuple = (False, True, True)
    scheduler: dict = field(default_factory=lambda: {**UNIPC, "flow_shift": 5.0})


def tokenizer(folder: Path) -> T5Tokenizer:
    """A unigram tokenizer trained on `CORPUS`, with the special tokens of the real one: <pad> 0, </s> 1, <unk> 2."""
    rules = folder / "rules.tsv"
    rules.write_text("".join(f"{source}\t{target}\n" for source, target in CHARACTER_MAP.items()))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.splitlines() * 3),
        model_writer=model,
        vocab_size=220,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        normalization_rule_tsv=str(rules),
        num_threads=1,
        minloglevel=2,
    )
    proto = ModelProto.FromString(model.getvalue())
    proto.normalizer_spec.normalization_rule_tsv = ""  # a path of this machine
    (folder / "spiece.model").write_bytes(proto.SerializeToString(deterministic=True))
    return T5Tokenizer.from_pretrained(folder, extra_ids=0)


def text_encoder(spec: Spec, vocab_size: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=vocab_size,
        d_model=spec.text_dim,
        d_kv=spec.text_head_dim,
        d_ff=spec.text_ffn_dim,
        num_layers=spec.text_layers,
        num_heads=spec.text_heads,
        dropout_rate=0.0,
    )
    return UMT5EncoderModel(config)


def image_encoder(spec: Spec) -> CLIPVisionModel:
    config = CLIPVisionConfig(
        hidden_size=spec.clip_dim,
        intermediate_size=spec.clip_ffn_dim,
        num_hidden_layers=spec.clip_layers,
        num_attention_heads=spec.clip_heads,
        image_size=spec.clip_size,
        patch_size=spec.clip_patch,
        hidden_act=spec.clip_act,
    )
    return CLIPVisionModel(config)


def image_processor(spec: Spec) -> CLIPImageProcessor:
    side = spec.clip_size
    return CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def vae(spec: Spec) -> AutoencoderKLWan:
    generator = torch.Generator().manual_seed(spec.seed)
    statistics = {}
    if spec.z_dim != 16:
        statistics["latents_mean"] = torch.empty(spec.z_dim).uniform_(-1, 1, generator=generator).tolist()
        statistics["latents_std"] = torch.empty(spec.z_dim).uniform_(1, 3, generator=generator).tolist()
    patch = spec.vae_patch or 1
    return AutoencoderKLWan(
        base_dim=spec.vae_dim,
        decoder_base_dim=spec.vae_decoder_dim,
        z_dim=spec.z_dim,
        dim_mult=list(spec.vae_mult),
        num_res_blocks=spec.vae_res_blocks,
        temperal_downsample=list(spec.vae_temporal),
        is_residual=spec.vae_residual,
        in_channels=3 * patch**2,
        out_channels=3 * patch**2,
        patch_size=spec.vae_patch,
        scale_factor_spatial=8 * patch,
        **statistics,
    )


def transformer(spec: Spec) -> WanAnimateTransformer3DModel:
    dim = spec.heads * spec.head_dim
    channels = spec.motion_channels
    if isinstance(channels, int):
        channels = {str(2**k): channels for k in range(2, int(math.log2(spec.motion_size)) + 1)}
    return WanAnimateTransformer3DModel(
        num_attention_heads=spec.heads,
        attention_head_dim=spec.head_dim,
        in_channels=2 * spec.z_dim + 4,
        latent_channels=spec.z_dim,
        out_channels=spec.z_dim,
        text_dim=spec.text_dim,
        freq_dim=spec.freq_dim,
        ffn_dim=spec.ffn_dim,
        num_layers=spec.layers,
        eps=spec.eps,
        image_dim=spec.clip_dim,
        added_kv_proj_dim=dim,
        motion_encoder_channel_sizes=channels,
        motion_encoder_size=spec.motion_size,
        motion_style_dim=spec.motion_style_dim,
        motion_dim=spec.motion_dim,
        motion_encoder_dim=spec.motion_out_dim,
        face_encoder_hidden_dim=spec.face_hidden_dim,
        face_encoder_num_heads=spec.face_heads,
        inject_face_latents_blocks=spec.inject_every,
    )


def scheduler(spec: Spec):
    options = dict(spec.scheduler)
    return SCHEDULERS[options.pop("class")](**options)


# Standard deviations by a part of the parameter's name; the first match wins. The others get 1 / sqrt(fan-in).
UNIT = ("motion_encoder", "shared.weight", "class_embedding", "position_embedding", "pos_embed", "padding_tokens")
GAINS = {
    "SelfAttention.q": 0.4,  # UMT5 does not divide its logits by sqrt(head_dim)
    "decoder.conv_out": 0.55,  # frames that fill [-1, 1] without clipping much
    ".quant_conv": 2.0,  # latents of about unit size once divided by latents_std
    "time_proj": 0.5,
    "text_embedder.linear_2": 3.0,  # most of the 512 text keys are padding: without this the prompt hardly counts
}


def draw(name: str, parameter: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A value for one parameter: biases small, norms around one, matrices at variance 1 / fan-in."""
    noise = torch.randn(parameter.shape, generator=generator)
    if name.endswith(".bias"):
        return 0.1 * noise
    if name.endswith("gamma") or name.endswith(".weight") and noise.ndim == 1:
        return 1 + 0.2 * noise
    if any(key in name for key in UNIT):
        return noise
    if "scale_shift_table" in name or "relative_attention_bias" in name:
        return 0.5 * noise
    gain = next((gain for key, gain in GAINS.items() if key in "." + name), 1.0)
    return gain * noise / math.sqrt(parameter[0].numel())


@torch.no_grad()
def randomize(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Fills `model` in the order of its parameters' names, so that a seed means one checkpoint."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        parameter.copy_(draw(name, parameter, generator))
    return model.eval()


def pipeline(spec: Spec) -> WanAnimatePipeline:
    """The pipeline of `spec` with random weights, in f32 on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        words = tokenizer(Path(folder))
    parts = {
        "text_encoder": text_encoder(spec, len(words)),
        "image_encoder": image_encoder(spec),
        "vae": vae(spec),
        "transformer": transformer(spec),
    }
    for index, model in enumerate(parts.values()):
        randomize(model, 1000 * spec.seed + index)
    return WanAnimatePipeline(
        tokenizer=words, scheduler=scheduler(spec), image_processor=image_processor(spec), **parts
    )


def store_as(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Casts the weights in place, save those that the library itself keeps in f32."""
    kept = getattr(model, "_keep_in_fp32_modules", None) or []
    for name, parameter in model.named_parameters():
        if not any(key in name for key in kept):
            parameter.data = parameter.data.to(dtype)


def save(spec: Spec, folder: Path, dtype: str = "f32", max_shard_size: str = "10GB") -> None:
    """Writes the checkpoint of `spec` to `folder`."""
    save_pipeline(pipeline(spec), folder, dtype, max_shard_size)


def save_pipeline(pipe: DiffusionPipeline, folder: Path, dtype: str = "f32", max_shard_size: str = "10GB") -> None:
    """Writes a checkpoint to `folder`, with the tokenizer in both of its file formats."""
    for model in pipe.components.values():
        if isinstance(model, torch.nn.Module):
            store_as(model, DTYPES[dtype])
    pipe.save_pretrained(folder, safe_serialization=True, max_shard_size=max_shard_size)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer(Path(scratch))
        model = (Path(scratch) / "spiece.model").read_bytes()
    (Path(folder) / "tokenizer" / "spiece.model").write_bytes(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--max-shard-size", default="10GB")
    arguments = parser.parse_args()
    save(replace(Spec(), seed=arguments.seed), arguments.out, arguments.dtype, arguments.max_shard_size)


if __name__ == "__main__":
    main()
