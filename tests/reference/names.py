"""Writes tests/goldens/names: the tensors of small official models, by name and shape, and what diffusers and transformers make of them.

    python tests/reference/names.py WAN2.2 DIFFUSERS

The arguments are clones of Wan-Video/Wan2.2, whose classes are built here, and of huggingface/diffusers, whose conversion script is run.
Each line of a golden: official name, its shape, then name and shape of each tensor that it becomes. Needs torch 2.9.1, diffusers 0.42.1.
"""

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from unittest import mock

import torch

FOLDER = Path(__file__).parent.parent / "goldens" / "names"


def official(clone):
    """The modules of the official code, without what they import for other purposes than building models."""
    for name in ["einops", "torchvision", "torchvision.transforms", "wan.distributed.sequence_parallel", "wan.distributed.util"]:
        sys.modules[name] = mock.MagicMock()
    for name in ["wan", "wan.modules", "wan.modules.animate", "wan.distributed"]:
        package = types.ModuleType(name)
        package.__path__ = [str(Path(clone, *name.split(".")))]
        sys.modules[name] = package
    torch.cuda.current_device = lambda: 0  # asked for when a class is defined
    return {name: importlib.import_module(f"wan.modules.{name}") for name in ["animate.model_animate", "animate.clip", "t5", "vae2_1", "vae2_2"]}


def conversion(clone):
    path = Path(clone, "scripts", "convert_wan_to_diffusers.py")
    spec = importlib.util.spec_from_file_location("conversion", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tagged(model):
    """A state dict whose every element says which tensor it comes from."""
    return {name: torch.full(value.shape, float(i)) for i, (name, value) in enumerate(model.state_dict().items())}


def write(name, before, after):
    names = list(before)
    becomes = {name: [] for name in names}
    for new, value in after.items():
        becomes[names[int(value.flatten()[0])]] += [new, list(value.shape)]
    lines = [[old, list(before[old].shape), *becomes[old]] for old in names]
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    (FOLDER / name).write_text(f"[\n{text}\n]\n")


def transformer(modules, convert):
    model = modules["animate.model_animate"].WanAnimateModel(
        patch_size=(1, 2, 2), dim=16, in_dim=36, ffn_dim=24, freq_dim=8, text_dim=12, out_dim=16, num_heads=2, num_layers=11, use_context_parallel=False
    )
    before = tagged(model)
    _, renames, special = convert.get_transformer_config("Wan2.2-Animate-14B")
    after = {}
    for key, value in before.items():
        new = key
        for old_part, new_part in renames.items():
            new = new.replace(old_part, new_part)
        after[new] = value
    for key in list(after):
        for part, handler in special.items():
            if part in key:
                handler(key, after)
    write("animate.json", before, after)


def autoencoder(convert, function, model, name):
    """Runs a conversion that reads a checkpoint and loads a model, on our tensors, and sees what it would load."""
    before, loaded = tagged(model), {}
    vae = mock.MagicMock()
    vae.load_state_dict = lambda state, **_: loaded.update(state)
    with mock.patch.multiple(convert, hf_hub_download=mock.MagicMock(), AutoencoderKLWan=lambda **_: vae), mock.patch("torch.load", lambda *_, **__: before):
        getattr(convert, function)()
    write(name, before, loaded)


def text_encoder(modules):
    """transformers' names by what each tensor does; there is no conversion script."""
    model = modules["t5"].T5Encoder(vocab=9, dim=8, dim_attn=8, dim_ffn=12, num_heads=2, num_layers=2, num_buckets=4, shared_pos=False, dropout=0)
    before, after = tagged(model), {}
    table = {
        "norm1.weight": "layer.0.layer_norm.weight", "attn.q.weight": "layer.0.SelfAttention.q.weight", "attn.k.weight": "layer.0.SelfAttention.k.weight",
        "attn.v.weight": "layer.0.SelfAttention.v.weight", "attn.o.weight": "layer.0.SelfAttention.o.weight", "norm2.weight": "layer.1.layer_norm.weight",
        "pos_embedding.embedding.weight": "layer.0.SelfAttention.relative_attention_bias.weight", "ffn.gate.0.weight": "layer.1.DenseReluDense.wi_0.weight",
        "ffn.fc1.weight": "layer.1.DenseReluDense.wi_1.weight", "ffn.fc2.weight": "layer.1.DenseReluDense.wo.weight",
    }
    outer = {"token_embedding.weight": "shared.weight", "norm.weight": "encoder.final_layer_norm.weight"}
    for name, value in before.items():
        _, number, *rest = name.split(".", 2)
        after[outer[name] if name in outer else f"encoder.block.{number}.{table[rest[0]]}"] = value
    write("umt5.json", before, after)


def image_encoder(modules):
    model = modules["animate.clip"].XLMRobertaCLIP(
        embed_dim=8, image_size=28, vision_dim=8, vision_heads=2, vision_layers=2, vocab_size=9, max_text_len=6, text_dim=8, text_heads=2, text_layers=1
    )
    before, after = tagged(model), {}
    outer = {"patch_embedding": "embeddings.patch_embedding", "pre_norm": "pre_layrnorm", "post_norm": "post_layernorm"}
    inner = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.out_proj", "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2"}
    for name, value in before.items():
        kind, _, rest = name.partition(".")
        module, _, parameter = rest.rpartition(".")
        if kind != "visual" or rest == "head":
            continue
        if rest == "cls_embedding":
            after["embeddings.class_embedding"] = value.flatten()
        elif rest == "pos_embedding":
            after["embeddings.position_embedding.weight"] = value[0]
        elif module in outer:
            after[f"{outer[module]}.{parameter}"] = value
        else:
            _, number, layer = module.split(".", 2)
            new = f"encoder.layers.{number}"
            if layer == "attn.to_qkv":
                for letter, part in zip("qkv", value.chunk(3)):
                    after[f"{new}.self_attn.{letter}_proj.{parameter}"] = part
            else:
                after[f"{new}.{inner[layer]}.{parameter}"] = value
    write("clip.json", before, after)


def main():
    convert, modules = conversion(sys.argv[2]), official(sys.argv[1])
    transformer(modules, convert)
    small = dict(dim=4, z_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True], dropout=0.0)
    autoencoder(convert, "convert_vae", modules["vae2_1"].WanVAE_(**small), "vae_2_1.json")
    autoencoder(convert, "convert_vae_22", modules["vae2_2"].WanVAE_(**small, dec_dim=4), "vae_2_2.json")
    text_encoder(modules)
    image_encoder(modules)


if __name__ == "__main__":
    main()
