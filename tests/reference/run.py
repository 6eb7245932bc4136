"""One run of WanAnimatePipeline from files, with its noise and the tensors on the way to the frames."""

from pathlib import Path

import torch
from diffusers import WanAnimatePipeline
from PIL import Image

Tensors = dict[str, torch.Tensor]


def load(folder: Path) -> WanAnimatePipeline:
    """The checkpoint as stored, computed in f32."""
    pipe = WanAnimatePipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def frames(folder: Path, count: int) -> list[Image.Image]:
    paths = sorted(folder.iterdir())[:count]
    return [Image.open(path).convert("RGB") for path in paths]


class Recorder:
    """Keeps what the pipeline computes for each segment, by wrapping the methods that compute it."""

    METHODS = ("prepare_latents", "prepare_pose_latents", "prepare_prev_segment_cond_latents", "encode_image")

    def __init__(self, pipe: WanAnimatePipeline):
        self.pipe = pipe
        self.methods = {name: getattr(pipe, name) for name in self.METHODS}
        self.calls = {name: [] for name in self.METHODS}
        self.steps: list[list[torch.Tensor]] = []

    def __enter__(self):
        for name, method in self.methods.items():
            setattr(self.pipe, name, self._recorded(name, method))
        return self

    def _recorded(self, name, method):
        def call(*arguments, **options):
            result = method(*arguments, **options)
            self.calls[name].append(result.clone())
            return result

        return call

    def __exit__(self, *_error):
        for name, method in self.methods.items():
            setattr(self.pipe, name, method)

    def step(self, _pipe, index, _timestep, values):
        if index == 0:
            self.steps.append([])
        self.steps[-1].append(values["latents"].clone())
        return {}

    def noise(self) -> Tensors:
        return {f"segment_{index}": latents[0] for index, latents in enumerate(self.calls["prepare_latents"])}

    def trace(self) -> Tensors:
        tensors = {"image_embeds": self.calls["encode_image"][0][0]}
        for index, steps in enumerate(self.steps):
            key = f"segment_{index}"
            tensors[f"{key}.pose_latents"] = self.calls["prepare_pose_latents"][index][0]
            tensors[f"{key}.conditioning"] = self.calls["prepare_prev_segment_cond_latents"][index][0]
            tensors.update({f"{key}.step_{step}": latents[0] for step, latents in enumerate(steps)})
        return tensors


def run(pipe: WanAnimatePipeline, settings: dict, root: Path) -> tuple[Tensors, Tensors]:
    """The noise of each segment, and the expected frames with the tensors on the way. Paths are relative to `root`."""
    count = settings["num_frames"]
    given = [name for name in ("pose", "face", "background", "mask") if settings[name]]
    videos = {name: frames(root / settings[name], count) for name in given}
    keys = ("mode", "prompt", "negative_prompt", "width", "height", "num_inference_steps", "guidance_scale")
    keys += ("segment_frame_length", "prev_segment_conditioning_frames")
    with Recorder(pipe) as recorder:
        output = pipe(
            image=Image.open(root / settings["reference"]).convert("RGB"),
            **{f"{name}_video": video for name, video in videos.items()},
            **{key: settings[key] for key in keys},
            generator=torch.Generator().manual_seed(settings["seed"]),
            callback_on_step_end=recorder.step,
            output_type="np",
        )
    expected = {"frames": torch.from_numpy(output.frames[0]), "timesteps": pipe.scheduler.timesteps.float()}
    return recorder.noise(), {**expected, **recorder.trace()}
