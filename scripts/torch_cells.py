"""The model of cells in PyTorch, in double precision: what `cargo test` holds its losses and gradients against.

    python scripts/torch_cells.py [--out tests/fixtures/cells]

Needs torch and safetensors; the committed files were made with torch 2.15.0. Each folder holds `weights` (before the step),
`batch` (images, labels, the noise of the reparameterisation) and the answers `supervised` and `unlabelled` (the loss, every
term of it as a sum over the batch, every gradient as `grad.NAME`, the batch-norm statistics after the step as
`after.NAME`), for narrow networks with every layer in place: `colour` of 16 x 32 pixels and `grey` of 16 x 16.

In double precision, and rounded once, because in single precision the published expression for the probability of a level,
sigmoid(plus) - sigmoid(minus) + 1e-7, is a difference of two numbers close to 1: its gradients are wrong by up to a hundredth.
"""
import argparse
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributions import Normal
from torch.nn import functional as F

DOMAINS, CLASSES, LATENT, BATCH, COMPONENTS = 3, 2, 7, 4, 10
ALPHA_D, ALPHA_Y, PRIOR_Y = 1000.0, 750.0, (0.12, 0.88)
# Images and seeds: seeds with no activation within 1e-5 of the rectifier's kink, so that rounding sends no gradient another way.
VARIANTS = {"colour": ((16, 32, 3), 51), "grey": ((16, 16, 1), 10)}
ENCODER_CHANNELS, DECODER_CHANNELS = (4, 8), (8, 4)


MARGINS = []


def act(x):
    """The leaky rectifier; notes how near to its kink it was."""
    MARGINS.append(x.detach().abs().min().item())
    return F.leaky_relu(x)


def standard_deviation(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.Softplus())


class ConditionalPrior(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(labels, LATENT, bias=False), nn.BatchNorm1d(LATENT))
        self.fc21, self.fc22 = nn.Sequential(nn.Linear(LATENT, LATENT)), standard_deviation(LATENT, LATENT)

    def forward(self, one_hot):
        h = act(self.fc1(one_hot))
        return Normal(self.fc21(h), self.fc22(h) + 1e-7)


class AuxiliaryClassifier(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.fc1 = nn.Linear(LATENT, labels)

    def forward(self, z):
        return self.fc1(act(z))


class Residual(nn.Module):
    def __init__(self, n_in, n_out, conv, stride):
        super().__init__()
        extra = {"output_padding": 1} if stride == 2 and conv is nn.ConvTranspose2d else {}
        self.conv1 = conv(n_in, n_out, 3, stride=stride, padding=1, bias=False, **extra)
        self.conv2 = conv(n_out, n_out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out)
        self.resizes = stride == 2
        if self.resizes:
            self.conv_residual = conv(n_in, n_out, 1, stride=2, bias=False, **extra)
            self.bn_residual = nn.BatchNorm2d(n_out)

    def forward(self, x):
        x = act(x)
        h = self.bn2(self.conv2(act(self.bn1(self.conv1(x)))))
        return 0.1 * h + (self.bn_residual(self.conv_residual(x)) if self.resizes else x)


class Encoder(nn.Module):
    def __init__(self, height, width, channels):
        super().__init__()
        a, b = ENCODER_CHANNELS
        self.conv1, self.bn1 = nn.Conv2d(channels, a, 3, padding=1, bias=False), nn.BatchNorm2d(a)
        blocks = [(a, a, 2), (a, a, 1), (a, b, 2), (b, b, 1), (b, b, 2), (b, b, 1), (b, b, 2)]
        for i, (n_in, n_out, stride) in enumerate(blocks, 1):
            setattr(self, f"rn{i}", Residual(n_in, n_out, nn.Conv2d, stride))
        features = b * (height // 16) * (width // 16)
        self.fc11, self.fc12 = nn.Sequential(nn.Linear(features, LATENT)), standard_deviation(features, LATENT)

    def forward(self, x):
        h = self.bn1(self.conv1(x))
        for i in range(1, 8):
            h = getattr(self, f"rn{i}")(h)
        h = act(h).flatten(1)
        return Normal(self.fc11(h), self.fc12(h) + 1e-7)


class Decoder(nn.Module):
    def __init__(self, height, width, channels):
        super().__init__()
        a, b = DECODER_CHANNELS
        self.small = (a, height // 16, width // 16)
        features = a * (height // 16) * (width // 16)
        self.fc1 = nn.Sequential(nn.Linear(3 * LATENT, features, bias=False), nn.BatchNorm1d(features))
        blocks = [(a, a, 1), (a, a, 2), (a, a, 1), (a, b, 2), (b, b, 1), (b, b, 2), (b, b, 1), (b, b, 2)]
        for i, (n_in, n_out, stride) in enumerate(blocks, 1):
            setattr(self, f"rn{i}", Residual(n_in, n_out, nn.ConvTranspose2d, stride))
        self.conv1 = nn.Conv2d(b, 100, 3, padding=1)
        self.conv2 = nn.Conv2d(100, (10 if channels == 3 else 3) * COMPONENTS, 1)

    def forward(self, z):
        h = self.fc1(z).view(-1, *self.small)
        for i in range(1, 9):
            h = getattr(self, f"rn{i}")(h)
        return self.conv2(self.conv1(act(h)))


def negative_log_likelihood(parameters, x):
    """A mixture of discretised logistics: in colour, groups of components for the logits, the means of red and green,
    green<-red, the mean of blue, blue<-red, blue<-green, and three log-scales; in grey, logits, means, log-scales."""
    g = parameters.split(COMPONENTS, dim=1)
    if x.shape[1] == 1:
        channels = [(x, g[1], g[2])]
    else:
        red, green, blue = (x[:, c:c + 1] for c in range(3))
        channels = [(red, g[1], g[7]), (green, g[2] + torch.tanh(g[3]) * red, g[8]),
                    (blue, g[4] + torch.tanh(g[5]) * red + torch.tanh(g[6]) * green, g[9])]
    half, total = 0.5 / 255, 0
    for value, mean, log_scale in channels:
        inverse = torch.exp(-log_scale.clamp(min=-7.0))
        plus, minus = inverse * (value - mean + half), inverse * (value - mean - half)
        inside = torch.log(torch.sigmoid(plus) - torch.sigmoid(minus) + 1e-7)
        outside = torch.where(value == 0, F.logsigmoid(plus), F.logsigmoid(-minus))
        total = total + torch.where((value == 0) | (value == 1), outside, inside)
    return -torch.logsumexp(total + F.log_softmax(g[0], dim=1), dim=1).sum()


class Diva(nn.Module):
    def __init__(self, image):
        super().__init__()
        self.px, self.pzd, self.pzy = Decoder(*image), ConditionalPrior(DOMAINS), ConditionalPrior(CLASSES)
        self.qzd, self.qzx, self.qzy = Encoder(*image), Encoder(*image), Encoder(*image)
        self.qd, self.qy = AuxiliaryClassifier(DOMAINS), AuxiliaryClassifier(CLASSES)

    def loss(self, b, labelled):
        q = [self.qzd(b["x"]), self.qzx(b["x"]), self.qzy(b["x"])]
        zd, zx, zy = z = [p.mean + p.stddev * b[e] for p, e in zip(q, ("eps_d", "eps_x", "eps_y"))]
        log_q = [p.log_prob(s).sum(1) for p, s in zip(q, z)]
        one_hot = lambda label, labels: F.one_hot(label, labels).to(b["x"].dtype)
        t = {"reconstruction": negative_log_likelihood(self.px(torch.cat(z, 1)), b["x"]),
             "kl_d": (log_q[0] - self.pzd(one_hot(b["d"], DOMAINS)).log_prob(zd).sum(1)).sum(),
             "kl_x": (log_q[1] - Normal(0.0, 1.0).log_prob(zx).sum(1)).sum(),
             "ce_d": F.cross_entropy(self.qd(zd), b["d"], reduction="sum")}
        if labelled:
            t["kl_y"] = (log_q[2] - self.pzy(one_hot(b["y"], CLASSES)).log_prob(zy).sum(1)).sum()
            t["ce_y"] = F.cross_entropy(self.qy(zy), b["y"], reduction="sum")
            of_y = ALPHA_Y * t["ce_y"]
        else:
            every = torch.arange(CLASSES).repeat_interleave(len(b["x"]))
            log_qy = F.log_softmax(self.qy(zy), 1).t().reshape(-1)
            log_p = self.pzy(one_hot(every, CLASSES)).log_prob(zy.repeat(CLASSES, 1)).sum(1)
            t["kl_y"] = (log_qy.exp() * (log_q[2].repeat(CLASSES) - log_p)).sum()
            t["entropy_y"] = (log_qy.exp() * (log_qy - torch.tensor(PRIOR_Y, dtype=b["x"].dtype).log()[every])).sum()
            of_y = t["entropy_y"]
        total = t["reconstruction"] + t["kl_d"] + t["kl_x"] + t["kl_y"] + ALPHA_D * t["ce_d"] + of_y
        return total, t


def single(tensors):
    return {name: tensor.float().contiguous() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def write(folder, image, seed):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = Diva(image).train()
    for m in net.modules():  # off their symmetric starting values, so that a swapped or missing one shows
        if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(m.weight)
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
        if getattr(m, "bias", None) is not None:
            nn.init.normal_(m.bias, std=0.1)
    height, width, channels = image
    # A coarse grid of levels under noise, with black and white, as pictures have them.
    coarse = torch.randint(0, 256, (BATCH, channels, height // 8, width // 8)).float()
    levels = F.interpolate(coarse, size=(height, width)) + 20 * torch.randn(BATCH, channels, height, width)
    x = levels.round().clamp(0, 255).double() / 255
    batch = {"x": x, "d": torch.arange(BATCH) % DOMAINS, "y": torch.tensor([0, 1, 1, 0])}
    batch |= {name: torch.randn(BATCH, LATENT).double() for name in ("eps_d", "eps_x", "eps_y")}
    start = {name: value.clone() for name, value in net.state_dict().items()}
    save_file(single(start), folder / "weights.safetensors")
    save_file(single(batch), folder / "batch.safetensors")
    net = net.double()
    for answer, labelled in (("supervised", True), ("unlabelled", False)):
        net.load_state_dict(start)
        net.zero_grad()
        total, terms = net.loss(batch, labelled)
        total.backward()
        out = {"loss": total.detach().reshape(1)} | {name: term.detach().reshape(1) for name, term in terms.items()}
        for name, p in net.named_parameters():
            out[f"grad.{name}"] = torch.zeros_like(p) if p.grad is None else p.grad
        out |= {f"after.{name}": value for name, value in net.named_buffers() if "running" in name}
        save_file(single(out), folder / f"{answer}.safetensors")
        print(folder.name, answer, "margin %.1e" % min(MARGINS), {name: round(term.item(), 3) for name, term in terms.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/fixtures/cells"))
    arguments = parser.parse_args()
    for name, (size, seed) in VARIANTS.items():
        MARGINS.clear()
        write(arguments.out / name, size, seed)
