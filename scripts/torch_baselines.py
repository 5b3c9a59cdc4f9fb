"""The ablations and baselines in PyTorch: what `cargo test` holds their losses and gradients against.

    python scripts/torch_baselines.py [--out tests/fixtures/baselines]

Needs torch and safetensors, as torch_reference.py, whose networks these are made of. The committed files were made with
torch 2.15.0. Each folder holds `weights` (before the step), `batch` (images, labels, random numbers) and `answer` (the
loss as it is minimised, its terms as sums over the batch, `grad.NAME`, `after.NAME`), for the smallest networks with every
layer in place and all three weights of the objective other than 1; the models with a decoder have `unlabelled`, the same
answer where the classes of the batch are not known.
"""
import argparse
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributions import Normal
from torch.nn import functional as F

from torch_reference import CLASSES, DOMAINS, AuxiliaryClassifier, ConditionalPrior, Decoder, Encoder, initialise
from torch_reference import reconstruction, watch_margins

ENCODER_WIDTH, DECODER_WIDTH, LATENT, HIDDEN, BATCH = 1 / 16, 1 / 32, 7, 20, 4
BETA, ALPHA_D, ALPHA_Y, REVERSAL = 0.25, 20.0, 35.0, 0.6


class LatentDecoder(Decoder):
    """The decoder of a model with another number of latents."""

    def __init__(self, latents):
        super().__init__(DECODER_WIDTH, LATENT)
        self.fc1[0] = nn.Linear(latents, self.a * 16, bias=False)


class Ablation(nn.Module):
    """DIVA without zd, its prior and its classifier, or without zx."""

    def __init__(self, zd, zx):
        super().__init__()
        self.px = LatentDecoder((1 + zd + zx) * LATENT)
        if zd:
            self.pzd, self.qzd = ConditionalPrior(DOMAINS, LATENT), Encoder(ENCODER_WIDTH, LATENT)
            self.qd = AuxiliaryClassifier(DOMAINS, LATENT)
        if zx:
            self.qzx = Encoder(ENCODER_WIDTH, LATENT)
        self.pzy, self.qzy = ConditionalPrior(CLASSES, LATENT), Encoder(ENCODER_WIDTH, LATENT)
        self.qy = AuxiliaryClassifier(CLASSES, LATENT)
        self.zd, self.zx = zd, zx

    def loss(self, b):
        terms, z = {}, []

        def latent(name, q, prior, noise):
            sample = q.mean + q.stddev * noise
            terms[f"kl_{name}"] = (q.log_prob(sample) - prior.log_prob(sample)).sum()
            z.append(sample)
            return sample

        if self.zd:
            zd = latent("d", self.qzd(b["x"]), self.pzd(b["d"]), b["eps_d"])
            terms["ce_d"] = F.cross_entropy(self.qd(zd), b["d"], reduction="sum")
        if self.zx:
            standard = Normal(torch.zeros(BATCH, LATENT), torch.ones(BATCH, LATENT))
            latent("x", self.qzx(b["x"]), standard, b["eps_x"])
        of_class = 0
        if "y" in b:
            zy = latent("y", self.qzy(b["x"]), self.pzy(b["y"]), b["eps_y"])
            terms["ce_y"] = F.cross_entropy(self.qy(zy), b["y"], reduction="sum")
            of_class = ALPHA_Y * terms["ce_y"]
        else:
            # y is summed out under q(y|zy); its prior sees every y for every image, label by label.
            q = self.qzy(b["x"])
            zy = q.mean + q.stddev * b["eps_y"]
            z.append(zy)
            prior = self.pzy(torch.arange(CLASSES).repeat_interleave(BATCH))
            log_qy = F.log_softmax(self.qy(zy), 1).t().reshape(-1)
            q = Normal(q.mean.repeat(CLASSES, 1), q.stddev.repeat(CLASSES, 1))
            sample = zy.repeat(CLASSES, 1)
            terms["kl_y"] = (log_qy.exp() * (q.log_prob(sample) - prior.log_prob(sample)).sum(1)).sum()
            terms["entropy_y"] = (log_qy.exp() * (log_qy - torch.tensor(1 / CLASSES).log())).sum()
            of_class = terms["entropy_y"]
        terms["reconstruction"] = reconstruction(self.px(torch.cat(z, 1)), b["x"], "per-pixel")
        kl = sum(value for name, value in terms.items() if name.startswith("kl"))
        return terms["reconstruction"] + BETA * kl + ALPHA_D * terms.get("ce_d", 0) + of_class, terms


class Vae(nn.Module):
    """One latent, three times as wide, under N(0, I), with both classifiers on it."""

    def __init__(self):
        super().__init__()
        self.px, self.qz = LatentDecoder(3 * LATENT), Encoder(ENCODER_WIDTH, 3 * LATENT)
        self.qd, self.qy = AuxiliaryClassifier(DOMAINS, 3 * LATENT), AuxiliaryClassifier(CLASSES, 3 * LATENT)

    def loss(self, b):
        q = self.qz(b["x"])
        z = q.mean + q.stddev * b["eps"]
        terms = {
            "reconstruction": reconstruction(self.px(z), b["x"], "per-pixel"),
            "kl": (q.log_prob(z) - Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)).sum(),
            "ce_d": F.cross_entropy(self.qd(z), b["d"], reduction="sum"),
        }
        total = terms["reconstruction"] + BETA * terms["kl"] + ALPHA_D * terms["ce_d"]
        if "y" in b:
            terms["ce_y"] = F.cross_entropy(self.qy(z), b["y"], reduction="sum")
            total = total + ALPHA_Y * terms["ce_y"]
        return total, terms


class Head(nn.Module):
    """A hidden layer and logits; `keep` is dropout's factor, if there is dropout."""

    def __init__(self, features, labels):
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(features, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.fc2 = nn.Linear(HIDDEN, labels)

    def forward(self, h, keep=1.0):
        return self.fc2(self.fc1(h) * keep)


def trunk():
    return Encoder(ENCODER_WIDTH, LATENT).encoder


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.qy = trunk(), Head(int(64 * ENCODER_WIDTH) * 16, CLASSES)

    def loss(self, b):
        ce_y = F.cross_entropy(self.qy(self.encoder(b["x"]).flatten(1)), b["y"], reduction="sum")
        return ce_y / BATCH, {"ce_y": ce_y}


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -REVERSAL * gradient


class Dann(nn.Module):
    """With a labelled and an unlabelled batch in one step."""

    def __init__(self):
        super().__init__()
        features = int(64 * ENCODER_WIDTH) * 16
        self.encoder, self.qy, self.qd = trunk(), Head(features, CLASSES), Head(features, DOMAINS)

    def loss(self, b):
        def of_domain(features, d, keep):
            return F.cross_entropy(self.qd(Reverse.apply(features), keep), d, reduction="sum")

        features = self.encoder(b["x"]).flatten(1)
        ce_y = F.cross_entropy(self.qy(features, b["keep_y"]), b["y"], reduction="sum")
        ce_d = of_domain(features, b["d"], b["keep_d"])
        more = of_domain(self.encoder(b["unlabelled_x"]).flatten(1), b["unlabelled_d"], b["keep_unlabelled"])
        return (ce_y + ce_d) / BATCH + more / len(b["unlabelled_x"]), {"ce_y": ce_y, "ce_d": ce_d + more}


def images(count):
    return torch.randint(0, 256, (count, 1, 28, 28)).float() / 255


def write(out, name, net, random, seed):
    torch.manual_seed(seed)
    net = net().train()
    initialise(net)
    start = {key: value.clone() for key, value in net.state_dict().items()}
    batch = {"x": images(BATCH), "d": torch.randint(0, DOMAINS, (BATCH,)), "y": torch.randint(0, CLASSES, (BATCH,))}
    batch |= {key: draw() for key, draw in random.items()}
    margins = watch_margins(net)

    def answer(batch):
        net.load_state_dict(start)
        net.zero_grad()
        total, terms = net.loss(batch)
        total.backward()
        found = {key: value.detach().reshape(1) for key, value in ({"loss": total} | terms).items()}
        for key, parameter in net.named_parameters():
            # PyTorch gives none to what the loss does not reach.
            found[f"grad.{key}"] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        return found | {f"after.{key}": value.clone() for key, value in net.named_buffers() if "running" in key}

    files = {"weights": start, "batch": batch, "answer": answer(batch)}
    if "reconstruction" in files["answer"]:
        files["unlabelled"] = answer({key: value for key, value in batch.items() if key != "y"})
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, tensors in files.items():
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{file}.safetensors")
    loss = files["answer"]["loss"].item()
    print(f"{name}: loss {loss:.6g}; no ReLU and no max pooling is nearer than {min(margins):.2g} to another branch")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "baselines")
    out = parser.parse_args().out
    torch.set_num_threads(1)

    def noise(columns):
        return lambda: torch.randn(BATCH, columns)

    def keep(rows):
        return lambda: 2.0 * torch.randint(0, 2, (rows, HIDDEN)).float()

    every_noise = {key: noise(LATENT) for key in ("eps_d", "eps_x", "eps_y")}
    write(out, "diva-no-zd", lambda: Ablation(False, True), every_noise, 54)
    write(out, "diva-no-zx", lambda: Ablation(True, False), every_noise, 52)
    write(out, "vae", Vae, {"eps": noise(3 * LATENT)}, 52)
    write(out, "classifier", Classifier, {}, 29)
    unlabelled = {"unlabelled_x": lambda: images(3), "unlabelled_d": lambda: torch.randint(0, DOMAINS, (3,))}
    write(out, "dann", Dann, unlabelled | {"keep_y": keep(BATCH), "keep_d": keep(BATCH), "keep_unlabelled": keep(3)}, 116)


if __name__ == "__main__":
    main()
