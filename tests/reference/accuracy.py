"""What diffusers' transformers predict in f32 and in bf16, for tests/models/accuracy.rs.

    python accuracy.py MODEL INPUTS OUT

MODEL is a transformer's folder in the layout of diffusers, INPUTS a safetensors file with the arguments of one pass, without
the batch. Writes `f32` and `bf16`, both as f32, to OUT. bf16 is what pipelines run in by default: weights and activations,
but for the modules that diffusers itself keeps in f32.
"""

import json
import sys
from pathlib import Path

import diffusers
import torch
from safetensors.torch import load_file, save_file

TEXT_LEN = 512
ARGUMENTS = (
    "hidden_states",
    "encoder_hidden_states",
    "encoder_hidden_states_image",
    "pose_hidden_states",
    "face_pixel_values",
)


def predict(folder: Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    kind = getattr(diffusers, json.loads((folder / "config.json").read_text())["_class_name"])
    model = kind.from_pretrained(folder, torch_dtype=dtype, local_files_only=True).eval()
    arguments = {name: tensors[name][None].to(dtype) for name in ARGUMENTS if name in tensors}
    text = arguments["encoder_hidden_states"]
    arguments["encoder_hidden_states"] = torch.nn.functional.pad(text, (0, 0, 0, TEXT_LEN - text.shape[1]))
    with torch.no_grad():
        return model(**arguments, timestep=tensors["timestep"], return_dict=False)[0][0].float()


def main() -> None:
    folder, inputs, out = map(Path, sys.argv[1:])
    tensors = load_file(inputs)
    dtypes = {"f32": torch.float32, "bf16": torch.bfloat16}
    save_file({name: predict(folder, tensors, dtype).contiguous() for name, dtype in dtypes.items()}, out)


if __name__ == "__main__":
    main()
