"""Muon: momentum whose matrices are made orthogonal, https://kellerjordan.github.io/posts/muon/. What is no matrix, or
is embedded or read out, is left to AdamW."""

import torch


def orthogonal(gradients: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """Newton-Schulz rounds that bring all singular values of matrices [N, rows, columns] near 1."""
    x = (gradients / (gradients.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(rounds):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.mT if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes: dict[torch.Size, list] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.flatten(1).shape, []).append(parameter)
            for (rows, columns), parameters in shapes.items():
                updates = orthogonal(torch.stack([self._direction(parameter, group["momentum"]) for parameter in parameters]))
                for parameter, update in zip(parameters, updates * max(1, rows / columns) ** 0.5):
                    parameter.add_(update.view_as(parameter), alpha=-group["lr"])

    def _direction(self, parameter: torch.Tensor, momentum: float) -> torch.Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["momentum"], momentum).flatten(1)


class Both:
    """Muon for the matrices of `model`, AdamW for the rest, with one warm-up and cosine for their learning rates."""

    def __init__(self, model: torch.nn.Module, steps: int, muon: float, adam: float, plain: tuple[str, ...] = (), floor: float = 0.02):
        matrices, others = [], []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                is_matrix = parameter.flatten(1).shape[1] > 1 if parameter.ndim > 1 else False
                (matrices if is_matrix and not any(key in name for key in plain) else others).append(parameter)
        self.parts = [Muon(matrices, lr=muon), torch.optim.AdamW(others, lr=adam, betas=(0.9, 0.98), weight_decay=0.0)]
        self.rates, self.steps, self.floor, self.done = (muon, adam), steps, floor, 0

    def step(self) -> None:
        warm = min(1, (self.done + 1) / min(100, self.steps / 10))
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * self.done / self.steps)).item())
        for part, rate in zip(self.parts, self.rates):
            for group in part.param_groups:
                group["lr"] = rate * warm * (self.floor + (1 - self.floor) * cosine)
            part.step()
            part.zero_grad(set_to_none=True)
        self.done += 1

    def state_dict(self) -> dict:
        return {"parts": [part.state_dict() for part in self.parts], "done": self.done}

    def load_state_dict(self, state: dict) -> None:
        for part, saved in zip(self.parts, state["parts"]):
            part.load_state_dict(saved)
        self.done = state["done"]


class Average:
    """An exponential moving average of a model's weights."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.decay, self.steps = decay, 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        for name, value in model.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)
