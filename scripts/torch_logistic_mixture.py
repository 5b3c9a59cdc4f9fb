"""The likelihood of colour pixels under mixtures of discretised logistics, and its gradient, by PyTorch in float64: the
numbers in src/kernels/logistic_mixture/tests.rs.

    python scripts/torch_logistic_mixture.py

Two pixels, two components; parameter i of all is ((37 i) mod 41 - 20) / 10. Needs PyTorch; the test holds what 2.15 printed.
"""
import torch
from torch.nn import functional as F


def negative_log_likelihood(parameters, x, k):
    """parameters (batch, 10 k, height, width), x (batch, 3, height, width) in 0..1; summed."""
    groups = parameters.split(k, dim=1)
    red, green, blue = (x[:, c : c + 1] for c in range(3))
    means = (
        groups[1],
        groups[2] + torch.tanh(groups[3]) * red,
        groups[4] + torch.tanh(groups[5]) * red + torch.tanh(groups[6]) * green,
    )
    half, total = 0.5 / 255, 0
    for value, mean, log_scale in zip((red, green, blue), means, groups[7:]):
        inverse = torch.exp(-log_scale.clamp(min=-7.0))
        plus, minus = inverse * (value - mean + half), inverse * (value - mean - half)
        inside = torch.log(torch.sigmoid(plus) - torch.sigmoid(minus) + 1e-7)
        outside = torch.where(value == 0, F.logsigmoid(plus), F.logsigmoid(-minus))
        total = total + torch.where((value == 0) | (value == 1), outside, inside)
    return -torch.logsumexp(total + F.log_softmax(groups[0], dim=1), dim=1).sum()


def main():
    torch.set_default_dtype(torch.float64)
    levels = torch.tensor([[0, 128, 255], [254, 1, 77]])
    x = (levels.float() / 255).double().T.reshape(1, 3, 1, 2)
    rows = torch.tensor([((37 * i) % 41 - 20) / 10 for i in range(40)], dtype=torch.float32).double().reshape(2, 20)
    parameters = rows.T.reshape(1, 20, 1, 2).requires_grad_()
    loss = negative_log_likelihood(parameters, x, 2)
    loss.backward()
    print(torch.__version__, repr(loss.item()))
    for row in parameters.grad[0, :, 0].T.tolist():
        print("[" + ", ".join(f"{g:.9e}" for g in row) + "],")


if __name__ == "__main__":
    main()
