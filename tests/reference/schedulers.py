"""Goldens of diffusers' flow-matching schedulers: `python schedulers.py ../goldens/schedulers.safetensors`
(diffusers 0.42.1, torch 2.9.1, scipy, safetensors).

Each case runs a scheduler with a closed-form model of eight values, `velocity = M x + c timestep / 1000`, all in f64. Two runs a case:
`plain` as diffusers computes (coefficients in f32), and `exact` with its levels widened to f64, which shows the formulas without rounding.
"""

import json
import sys
from unittest import mock

import diffusers
import numpy as np
import torch
from safetensors.torch import save_file

SIZE = 8
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
generator = torch.Generator().manual_seed(5)
MATRIX = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64) * 0.3
OFFSET = torch.randn(SIZE, generator=generator, dtype=torch.float64)
START = torch.randn(SIZE, generator=generator, dtype=torch.float64)
NOISE = torch.randn(64, SIZE, generator=generator, dtype=torch.float64)


def case(name, steps, scheduler="UniPCMultistepScheduler", official=None, given=None, **config):
    """`official`: unshifted levels of the official code; `given`: arguments of set_timesteps beside the steps."""
    if "Multistep" in scheduler or "Singlestep" in scheduler:
        config = FLOW | config
    return dict(name=name, steps=steps, scheduler=scheduler, official=official, given=given or {}, config=config)


def uni_pc():
    for steps in (1, 2, 3, 5, 14, 20):
        yield case(f"unipc/shift5/{steps}", steps, flow_shift=5.0)
    yield case("unipc/shift1/50", 50)
    yield case("unipc/shift12/40", 40, flow_shift=12.0)
    # diffusers' bh1 is not a number on a last level of 0.
    yield case("unipc/bh1/8", 8, flow_shift=3.0, solver_type="bh1", final_sigmas_type="sigma_min")
    yield case("unipc/heun_means_bh2/6", 6, flow_shift=3.0, solver_type="heun")
    for kind, final in (("bh1", "sigma_min"), ("bh2", "zero")):
        for order in (1, 3):
            settings = dict(flow_shift=5.0, solver_type=kind, solver_order=order, final_sigmas_type=final)
            yield case(f"unipc/{kind}/order{order}/12", 12, **settings)
    yield case("unipc/no_corrector/9", 9, flow_shift=5.0, disable_corrector=[0, 1, 5])
    yield case("unipc/sigma_min/7", 7, flow_shift=5.0, final_sigmas_type="sigma_min")
    yield case("unipc/sigma_min_full_order/7", 7, flow_shift=5.0, final_sigmas_type="sigma_min", lower_order_final=False)
    yield case("unipc/terminal/7", 7, flow_shift=5.0, shift_terminal=0.1)
    yield case("unipc/trained500/6", 6, flow_shift=2.0, num_train_timesteps=500)
    yield case("unipc/karras/8", 8, flow_shift=5.0, use_karras_sigmas=True)
    yield case("unipc/karras_scaled/5", 5, use_karras_sigmas=True, beta_schedule="scaled_linear", beta_start=0.00085)
    yield case("unipc/karras_range/5", 5, use_karras_sigmas=True, sigma_min=0.05, sigma_max=30.0, solver_order=3)
    yield case("unipc/given/4", 4, given={"sigmas": [1.0, 0.9375, 0.8, 0.5]})


def dpm_solver():
    def dpm(name, steps, **config):
        return case(f"dpm/{name}/{steps}", steps, "DPMSolverMultistepScheduler", **config)

    for steps in (1, 2, 3, 5, 14, 15, 20):
        yield dpm("shift5", steps, flow_shift=5.0)
    yield dpm("shift1", 50)
    yield dpm("heun", 10, flow_shift=3.0, solver_type="heun")
    yield dpm("order1", 6, flow_shift=3.0, solver_order=1)
    yield dpm("order3", 10, flow_shift=3.0, solver_order=3)
    yield dpm("order3", 18, flow_shift=5.0, solver_order=3)
    yield dpm("full_order", 8, flow_shift=5.0, lower_order_final=False)
    yield dpm("euler_at_final", 18, flow_shift=5.0, euler_at_final=True)
    yield dpm("sigma_min", 8, flow_shift=5.0, final_sigmas_type="sigma_min")
    yield dpm("sde", 8, flow_shift=5.0, algorithm_type="sde-dpmsolver++")
    yield dpm("sde_heun", 16, flow_shift=3.0, algorithm_type="sde-dpmsolver++", solver_type="heun")


def dpm_single():
    for steps in (1, 2, 3, 6, 9):
        yield case(f"dpm_single/shift5/{steps}", steps, "DPMSolverSinglestepScheduler", flow_shift=5.0)
    yield case("dpm_single/heun/9", 9, "DPMSolverSinglestepScheduler", flow_shift=3.0, solver_type="heun")


def euler():
    def flow(name, steps, **config):
        return case(f"euler/{name}/{steps}", steps, "FlowMatchEulerDiscreteScheduler", **config)

    for steps in (1, 2, 5, 30):
        yield flow("shift5", steps, shift=5.0)
    yield flow("shift1", 10)
    yield flow("terminal", 6, shift=3.0, shift_terminal=0.1)
    yield flow("stochastic", 6, shift=3.0, stochastic_sampling=True)
    for spacing in ("karras", "exponential", "beta"):
        yield flow(spacing, 9, shift=3.0, **{f"use_{spacing}_sigmas": True})
        yield flow(spacing, 1, shift=3.0, **{f"use_{spacing}_sigmas": True})
    yield flow("given_sigmas", 4, given={"sigmas": [1.0, 0.9375, 0.8, 0.5]})
    yield flow("given_timesteps", 4, given={"timesteps": [1000.0, 750.0, 500.0, 250.0]})


def others():
    for steps in (1, 2, 7):
        yield case(f"heun/{steps}", steps, "FlowMatchHeunDiscreteScheduler", shift=5.0)
        yield case(f"lcm/{steps}", steps, "FlowMatchLCMScheduler", shift=5.0)
        yield case(f"euler_a/{steps}", steps, "LTXEulerAncestralRFScheduler", shift=5.0)
    yield case("lcm/beta/6", 6, "FlowMatchLCMScheduler", shift=5.0, use_beta_sigmas=True)
    yield case("euler_a/eta/6", 6, "LTXEulerAncestralRFScheduler", shift=2.0, eta=0.5)
    for steps in (1, 2, 5, 14, 18):
        for order in (1, 2, 3):
            settings = dict(flow_shift=5.0, solver_order=order)
            yield case(f"deis/{order}/{steps}", steps, "DEISMultistepScheduler", **settings)
    yield case("deis/full_order/8", 8, "DEISMultistepScheduler", flow_shift=3.0, lower_order_final=False)


def official():
    """The official classes have the same steps as diffusers', on other levels."""
    for steps in (1, 2, 5, 20):
        ramp = np.linspace(1, 0, steps + 1)[:steps]
        yield case(f"official/dpm++/{steps}", steps, "DPMSolverMultistepScheduler", official=ramp)
        ramp = np.linspace(float(np.float32(1 - 1 / 1000)), 0, steps + 1)[:-1]
        yield case(f"official/unipc/{steps}", steps, official=ramp)


def set_official(scheduler, ramp, shift=5.0):
    sigmas = shift * ramp / (1 + (shift - 1) * ramp)
    scheduler.set_timesteps(len(ramp))
    scheduler.timesteps = torch.from_numpy(sigmas * 1000).to(torch.int64)
    scheduler.sigmas = torch.from_numpy(np.append(sigmas, 0).astype(np.float32))


def prepared(entry):
    scheduler = getattr(diffusers, entry["scheduler"]).from_config(entry["config"])
    if entry["official"] is not None:
        set_official(scheduler, entry["official"])
    else:
        scheduler.set_timesteps(entry["steps"], **{key: np.array(values) for key, values in entry["given"].items()})
    return scheduler


def run(scheduler):
    scheduler.set_begin_index(0)
    sample, trajectory = START.reshape(1, SIZE, 1), []
    module = sys.modules[type(scheduler).__module__]
    for i, timestep in enumerate(scheduler.timesteps):
        velocity = MATRIX @ sample + OFFSET[:, None] * (timestep.double() / 1000)
        with mock.patch.object(module, "randn_tensor", lambda *_, **__: NOISE[i].reshape(1, SIZE, 1), create=True):
            sample = scheduler.step(velocity, timestep, sample, return_dict=False)[0]
        trajectory.append(sample.flatten())
    return torch.stack(trajectory).double()


def main(path):
    tensors = {"matrix": MATRIX, "offset": OFFSET, "start": START, "noise": NOISE}
    metadata = {}
    for cases in (uni_pc, dpm_solver, dpm_single, euler, others, official):
        for entry in cases():
            name, scheduler = entry["name"], prepared(entry)
            metadata[name] = json.dumps({"_class_name": entry["scheduler"], **entry["config"], "given": entry["given"]})
            tensors[f"{name}|timesteps"] = scheduler.timesteps.double()
            tensors[f"{name}|sigmas"] = scheduler.sigmas.double()
            tensors[f"{name}|plain"] = run(scheduler)
            scheduler = prepared(entry)
            scheduler.sigmas = scheduler.sigmas.double()
            with mock.patch.object(torch, "float32", torch.float64):
                tensors[f"{name}|exact"] = run(scheduler)
            assert tensors[f"{name}|exact"].isfinite().all(), name
    save_file(tensors, path, metadata)


main(sys.argv[1])
