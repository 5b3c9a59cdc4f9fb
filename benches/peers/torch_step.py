"""PyTorch's time for what `diva bench` times, on the models that scripts/torch_reference.py and torch_cells.py define.

    python torch_step.py step    [--cells] [--unlabelled] [--compile | --channels-last]   the training step, Adam included
    python torch_step.py decoder [--compile]                                              the decoder's alone, of digits
    python torch_step.py infer   [--cells]                                                class prediction
                         [--threads 2] [--batch 100] [--steps 7]

Prints one JSON object. Images, labels and noise are random, drawn once. The first step is not counted.
"""
import argparse
import json
import pathlib
import sys
import time

import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import torch_cells as cells  # noqa: E402
import torch_reference as reference  # noqa: E402

LATENT, LEARNING_RATE, SIDE = 64, 1e-3, 28
# Of cells: the published sizes.
IMAGE, cells.DOMAINS, cells.LATENT = (64, 64, 3), 9, LATENT
cells.ENCODER_CHANNELS, cells.DECODER_CHANNELS = (32, 64), (64, 32)
# Without the notes that the fixtures need.
cells.act = F.leaky_relu


def step(options):
    if options.cells:
        return step_of_cells(options)
    net = model(options)
    x, d, y = random_batch(options.batch)
    y = None if options.unlabelled else y
    noise = [torch.randn(options.batch, LATENT) for _ in range(3)]

    def loss():
        return reference.loss(net.terms(x, d, y, noise, "per-pixel", "sampled"))

    return *train(net, loss, options), None


def step_of_cells(options):
    net = model(options)
    n, (height, width, channels) = options.batch, IMAGE
    batch = {"x": torch.randint(0, 256, (n, channels, height, width)).float() / 255,
             "d": torch.randint(0, cells.DOMAINS, (n,)), "y": torch.randint(0, cells.CLASSES, (n,))}
    batch |= {name: torch.randn(n, LATENT) for name in ("eps_d", "eps_x", "eps_y")}
    return *train(net, lambda: net.loss(batch, not options.unlabelled)[0], options), None


def decoder(options):
    net = model(options).px
    z = torch.randn(options.batch, 3 * LATENT)
    levels = torch.randint(0, reference.LEVELS, (options.batch * SIDE * SIDE,))

    def loss():
        return F.cross_entropy(net(z).permute(0, 2, 3, 1).reshape(-1, reference.LEVELS), levels)

    seconds, last = train(net, loss, options)
    return seconds, last, sum(v.numel() for k, v in net.state_dict().items() if "num_batches" not in k)


def infer(options):
    net = model(options).eval()
    height, width, channels = IMAGE
    x = torch.rand(options.batch, channels, height, width) if options.cells else random_batch(options.batch)[0]
    with torch.inference_mode():
        return timed(lambda: net.qy(net.qzy(x).mean).argmax(1), options.steps), None, None


def model(options):
    net = (cells.Diva(IMAGE) if options.cells else reference.Diva(1.0, 1.0, LATENT)).train()
    if not options.cells:
        reference.initialise(net)
    return net.to(memory_format=torch.channels_last) if options.channels_last else net


def random_batch(n):
    x = torch.randint(0, reference.LEVELS, (n, 1, SIDE, SIDE)).float() / 255
    return x, torch.randint(0, reference.DOMAINS, (n,)), torch.randint(0, reference.CLASSES, (n,))


def train(net, loss, options):
    """The seconds of each counted step, and the loss before the last."""
    adam = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    forward = torch.compile(loss) if options.compile else loss
    last = None

    def one():
        nonlocal last
        adam.zero_grad()
        value = forward()
        value.backward()
        adam.step()
        last = value.item()

    return timed(one, options.steps), last


def timed(work, steps):
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def peak_rss_mib():
    """VmHWM of /proc/self/status: the high-water mark of resident memory."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["step", "decoder", "infer"])
    parser.add_argument("--cells", action="store_true", help="the model of cells instead of that of digits")
    parser.add_argument("--unlabelled", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--steps", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.distributions.Distribution.set_default_validate_args(False)
    seconds, loss, numbers = {"step": step, "decoder": decoder, "infer": infer}[options.command](options)
    median = sorted(seconds)[len(seconds) // 2]
    report = {"median_s": median, "min_s": min(seconds), "peak_rss_mib": peak_rss_mib(), "loss": loss,
              "numbers": numbers, "images_per_s": options.batch / median, "isa": torch.backends.cpu.get_cpu_capability()}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
