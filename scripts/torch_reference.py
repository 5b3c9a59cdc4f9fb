"""The rotated-MNIST model in PyTorch: the reference that `cargo test` holds loss terms and gradients against.

    python scripts/torch_reference.py tiny    [--out tests/fixtures/tiny]
    python scripts/torch_reference.py fixture --out FOLDER [--seed 0] [--batch 8] [--latent 64] [--width 1.0]
                                              [--layout per-pixel|published] [--kl sampled|closed-form]

Needs torch, numpy and safetensors. The committed files were made with torch 2.15.0; `tiny` makes them again. The same
version on the same kind of CPU gives the same bytes, anything else the same numbers but for their last digits.

`fixture` writes safetensors files as `diva gradients` reads and writes them: weights (parameters and batch-norm
statistics before the step), batch (images, labels, the noise of the reparameterisation), and supervised and unlabelled
(the loss, every term of it as a sum over the batch, every gradient as `grad.NAME`, the batch-norm statistics after the
step as `after.NAME`). `--encoder-width` and `--decoder-width` take precedence over `--width`.

`tiny` writes the same for the smallest networks with every layer in place, in five variants:

    supervised, unlabelled                            logits read per pixel, KL terms from one sample
    supervised-published                              the (B, 256, H, W) logits read as rows of 256, as in the published code
    supervised-closed-form, unlabelled-closed-form    KL terms from their formula

Names and shapes of the parameters are those of the published model.
"""
import argparse
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

DOMAINS, CLASSES, LEVELS = 5, 10, 256
ALPHA_D, ALPHA_Y = 2000.0, 3500.0
LAYOUTS, KLS = ("per-pixel", "published"), ("sampled", "closed-form")

# Encoder channels 2 and 4, decoder channels 2, 4 and 8. Latents of 7, because 7 and 21 are no other size in the model, so
# that one axis mistaken for another shows. The seed: one with a domain and a class that come twice, at different images,
# and with margins above 1e-4 (see watch_margins), so that rounding sends no gradient another way.
TINY = {"encoder_width": 1 / 16, "decoder_width": 1 / 32, "latent": 7, "batch": 4, "seed": 1}
TINY_VARIANTS = [
    ("supervised", True, "per-pixel", "sampled"),
    ("unlabelled", False, "per-pixel", "sampled"),
    ("supervised-published", True, "published", "sampled"),
    ("supervised-closed-form", True, "per-pixel", "closed-form"),
    ("unlabelled-closed-form", False, "per-pixel", "closed-form"),
]


def standard_deviation(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.Softplus())


class ConditionalPrior(nn.Module):
    """p(z | label): a Gaussian whose mean and standard deviation come from a one-hot label."""

    def __init__(self, labels, latent):
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(labels, latent, bias=False), nn.BatchNorm1d(latent), nn.ReLU())
        self.fc21 = nn.Sequential(nn.Linear(latent, latent))
        self.fc22 = standard_deviation(latent, latent)
        self.labels = labels

    def forward(self, label):
        h = self.fc1(F.one_hot(label, self.labels).float())
        return Normal(self.fc21(h), self.fc22(h) + 1e-7)


class AuxiliaryClassifier(nn.Module):
    """The logits of q(label | z)."""

    def __init__(self, labels, latent):
        super().__init__()
        self.act, self.fc1 = nn.ReLU(), nn.Linear(latent, labels)

    def forward(self, z):
        return self.fc1(self.act(z))


class Encoder(nn.Module):
    """q(z | x)."""

    def __init__(self, width, latent):
        super().__init__()
        a, b = int(32 * width), int(64 * width)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, a, 5, bias=False), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(a, b, 5, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
        self.fc11 = nn.Sequential(nn.Linear(b * 16, latent))
        self.fc12 = standard_deviation(b * 16, latent)

    def forward(self, x):
        h = self.encoder(x).flatten(1)
        return Normal(self.fc11(h), self.fc12(h) + 1e-7)


class Decoder(nn.Module):
    """The logits of p(x | zd, zx, zy), (B, 256, 28, 28)."""

    def __init__(self, width, latent):
        super().__init__()
        a, b, c = int(64 * width), int(128 * width), int(256 * width)
        self.fc1 = nn.Sequential(nn.Linear(3 * latent, a * 16, bias=False), nn.BatchNorm1d(a * 16), nn.ReLU())
        self.up1, self.up2 = nn.Upsample(8), nn.Upsample(24)
        self.de1 = nn.Sequential(nn.ConvTranspose2d(a, b, 5, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        self.de2 = nn.Sequential(nn.ConvTranspose2d(b, c, 5, bias=False), nn.BatchNorm2d(c), nn.ReLU())
        self.de3 = nn.Sequential(nn.Conv2d(c, LEVELS, 1))
        self.a = a

    def forward(self, z):
        h = self.fc1(z).view(-1, self.a, 4, 4)
        return self.de3(self.de2(self.up2(self.de1(self.up1(h)))))


def reconstruction(logits, x, layout):
    """-log p(x | z), summed."""
    rows = logits.permute(0, 2, 3, 1) if layout == "per-pixel" else logits
    return F.cross_entropy(rows.reshape(-1, LEVELS), (x.reshape(-1) * 255).long(), reduction="sum")


class Diva(nn.Module):
    def __init__(self, encoder_width, decoder_width, latent):
        super().__init__()
        self.px = Decoder(decoder_width, latent)
        self.pzd, self.pzy = ConditionalPrior(DOMAINS, latent), ConditionalPrior(CLASSES, latent)
        self.qzd, self.qzx, self.qzy = (Encoder(encoder_width, latent) for _ in range(3))
        self.qd, self.qy = AuxiliaryClassifier(DOMAINS, latent), AuxiliaryClassifier(CLASSES, latent)

    def terms(self, x, d, y, noise, layout, kl):
        """Every term of the objective, summed over the batch. No label (`y` is None): y is summed out under q(y | zy)."""
        q = [self.qzd(x), self.qzx(x), self.qzy(x)]
        z = [posterior.mean + posterior.stddev * e for posterior, e in zip(q, noise)]

        def divergence(posterior, prior, sample):
            if kl == "closed-form":
                return kl_divergence(posterior, prior)
            return posterior.log_prob(sample) - prior.log_prob(sample)

        standard = Normal(torch.zeros_like(z[1]), torch.ones_like(z[1]))
        terms = {
            "reconstruction": reconstruction(self.px(torch.cat(z, 1)), x, layout),
            "kl_d": divergence(q[0], self.pzd(d), z[0]).sum(),
            "kl_x": divergence(q[1], standard, z[1]).sum(),
            "ce_d": F.cross_entropy(self.qd(z[0]), d, reduction="sum"),
        }
        if y is not None:
            terms["kl_y"] = divergence(q[2], self.pzy(y), z[2]).sum()
            terms["ce_y"] = F.cross_entropy(self.qy(z[2]), y, reduction="sum")
        else:
            # The prior's batch norm sees every y for every image, label by label, as in the published code.
            every = torch.arange(CLASSES).repeat_interleave(len(x))
            log_qy = F.log_softmax(self.qy(z[2]), 1).t().reshape(-1)
            repeated = Normal(q[2].mean.repeat(CLASSES, 1), q[2].stddev.repeat(CLASSES, 1))
            of_label = divergence(repeated, self.pzy(every), z[2].repeat(CLASSES, 1)).sum(1)
            terms["kl_y"] = (log_qy.exp() * of_label).sum()
            log_py = torch.tensor(1 / CLASSES).log()
            terms["entropy_y"] = (log_qy.exp() * (log_qy - log_py)).sum()
        return terms


def loss(terms):
    total = terms["reconstruction"] + terms["kl_d"] + terms["kl_x"] + terms["kl_y"] + ALPHA_D * terms["ce_d"]
    return total + (ALPHA_Y * terms["ce_y"] if "ce_y" in terms else terms["entropy_y"])


def initialise(net):
    """Xavier weights; biases and batch norm off their symmetric starting values, so that a swapped or missing one shows."""
    for module in net.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(module.weight)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        elif getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, std=0.05)


def watch_margins(net):
    """A list that every forward pass extends by its distances to a change of branch: of ReLU inputs from zero, of the two
    largest values under a max-pooling window from each other (windows of zeros apart: nothing flows back from them)."""
    margins = []

    def relu(_, inputs, __):
        margins.append(inputs[0].detach().abs().min().item())

    def max_pool(_, inputs, __):
        windows = F.unfold(inputs[0].detach().flatten(0, 1).unsqueeze(1), 2, stride=2)
        largest, second = windows.topk(2, dim=1).values.unbind(1)
        margins.append((largest - second)[largest > 0].min().item())

    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(relu)
        elif isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(max_pool)
    return margins


def write_fixture(out, variants, *, encoder_width, decoder_width, latent, batch, seed):
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net = Diva(encoder_width, decoder_width, latent).train()
    initialise(net)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    levels = torch.randint(0, LEVELS, (batch, 1, 28, 28))
    x, d, y = levels.float() / 255, torch.randint(0, DOMAINS, (batch,)), torch.randint(0, CLASSES, (batch,))
    noise = [torch.randn(batch, latent) for _ in range(3)]

    out.mkdir(parents=True, exist_ok=True)
    save_file(start, out / "weights.safetensors")
    named_noise = dict(zip(("eps_d", "eps_x", "eps_y"), noise))
    save_file({"x": x, "d": d, "y": y} | named_noise, out / "batch.safetensors")
    print(f"torch {torch.__version__}; {len(levels.unique())} grey levels from {levels.min()} to {levels.max()};",
          f"d = {d.tolist()}, y = {y.tolist()}")
    margins = watch_margins(net)
    for name, labelled, layout, kl in variants:
        net.load_state_dict(start)
        net.zero_grad()
        terms = net.terms(x, d, y if labelled else None, noise, layout, kl)
        total = loss(terms)
        total.backward()
        tensors = {key: value.detach().reshape(1) for key, value in ({"loss": total} | terms).items()}
        for key, parameter in net.named_parameters():
            tensors[f"grad.{key}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        tensors |= {f"after.{key}": value.clone() for key, value in net.named_buffers() if "running" in key}
        save_file(tensors, out / f"{name}.safetensors")
        print(f"{name}: loss {total.item():.6g},", ", ".join(f"{key} {value:.6g}" for key, value in terms.items()))
    print(f"no ReLU and no max pooling is nearer than {min(margins):.2g} to another branch")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    tiny = commands.add_parser("tiny", help="the files of tests/fixtures/tiny")
    tiny.add_argument("--out", type=pathlib.Path,
                      default=pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "tiny")
    fixture = commands.add_parser("fixture", help="weights, batch, supervised and unlabelled of one's own choice")
    fixture.add_argument("--out", type=pathlib.Path, required=True)
    fixture.add_argument("--seed", type=int, default=0)
    fixture.add_argument("--batch", type=int, default=8)
    fixture.add_argument("--latent", type=int, default=64)
    fixture.add_argument("--width", type=float, default=1.0)
    fixture.add_argument("--encoder-width", type=float)
    fixture.add_argument("--decoder-width", type=float)
    fixture.add_argument("--layout", choices=LAYOUTS, default="per-pixel")
    fixture.add_argument("--kl", choices=KLS, default="sampled")
    options = vars(parser.parse_args())
    command, out = options.pop("command"), options.pop("out")
    if command == "tiny":
        write_fixture(out, TINY_VARIANTS, **TINY)
        return
    width, layout, kl = (options.pop(name) for name in ("width", "layout", "kl"))
    for part in ("encoder_width", "decoder_width"):
        options[part] = width if options[part] is None else options[part]
    write_fixture(out, [("supervised", True, layout, kl), ("unlabelled", False, layout, kl)], **options)


if __name__ == "__main__":
    main()
