"""Two small models that draw an image of a class: a variational autoencoder, and diffusion through `diffusers`.

Images are float (n, channels, size, size) in [-1, 1], labels int64 (n,).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.errors import CvAutomlError
from lib.registry import Registry

LATENT = 64
KL_WEIGHT = 0.02
WIDTHS = (32, 64, 128)
UNET_WIDTHS = (16, 32, 48)
STEPS = 1000
SAMPLING_STEPS = 30


class Generator(nn.Module):
    """What a generator must do."""

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """A scalar to be made small; random through torch's own generator."""

    @abstractmethod
    def sample(self, labels: Tensor) -> Tensor:
        """One new image for each label."""


GENERATORS: Registry[type[Generator]] = Registry("generator")


def build_generator(kind: str, channels: int, size_px: int, n_classes: int) -> Generator:
    """A generator of that kind with fresh weights. Raises CvAutomlError where a library it needs is not installed."""
    made: Any = GENERATORS[kind]
    generator: Generator = made(channels, size_px, n_classes)
    return generator


@GENERATORS.register("vae")
class ConditionalVae(Generator):
    """Encoder and decoder of three convolutions each that are told the class (Sohn et al. 2015, Kingma & Welling 2014)."""

    def __init__(self, channels: int, size_px: int, n_classes: int) -> None:
        super().__init__()
        self.n_classes, self.grid = n_classes, size_px // 2 ** len(WIDTHS)
        inputs = (channels + n_classes, *WIDTHS[:-1])
        down = [_block(nn.Conv2d(a, b, 4, 2, 1), b) for a, b in zip(inputs, WIDTHS, strict=True)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(WIDTHS[-1] * self.grid**2, 2 * LATENT))
        # As wide as the code, so that the class weighs no less than what the code says.
        self.told = nn.Embedding(n_classes, LATENT)
        self.start = nn.Linear(2 * LATENT, WIDTHS[-1] * self.grid**2)
        outputs = (*reversed(WIDTHS[:-1]), WIDTHS[0])
        up = [
            nn.Sequential(nn.Upsample(scale_factor=2), _block(nn.Conv2d(a, b, 3, 1, 1), b))
            for a, b in zip(reversed(WIDTHS), outputs, strict=True)
        ]
        self.decoder = nn.Sequential(*up, nn.Conv2d(WIDTHS[0], channels, 3, 1, 1), nn.Tanh())

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Squared error of the reconstruction and the divergence of the code from a normal one, per pixel."""
        told = functional.one_hot(labels, self.n_classes).float()
        planes = told[:, :, None, None].expand(-1, -1, *images.shape[2:])
        mean, log_variance = self.encoder(torch.cat([images, planes], dim=1)).chunk(2, dim=1)
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        error = (self._decoded(code, labels) - images).square().sum(dim=(1, 2, 3))
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return (error + KL_WEIGHT * images[0].numel() / LATENT * divergence).mean() / images[0].numel()

    def sample(self, labels: Tensor) -> Tensor:
        """Decodes codes drawn from a normal distribution."""
        return self._decoded(torch.randn(len(labels), LATENT, device=labels.device), labels)

    def _decoded(self, code: Tensor, labels: Tensor) -> Tensor:
        start = self.start(torch.cat([code, self.told(labels)], dim=1)).unflatten(
            1, (WIDTHS[-1], self.grid, self.grid)
        )
        drawn: Tensor = self.decoder(start)
        return drawn


def _block(convolution: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.GroupNorm(8, width), nn.SiLU())


@GENERATORS.register("diffusion")
class ConditionalDiffusion(Generator):
    """A small U-Net that is told class and noise level, and takes the noise away step by step (Ho et al. 2020,
    arXiv:2006.11239; drawn in 30 steps of DDIM, Song et al. 2021, arXiv:2010.02502)."""

    def __init__(self, channels: int, size_px: int, n_classes: int) -> None:
        super().__init__()
        try:
            from diffusers import DDIMScheduler, UNet2DModel
        except ImportError as error:
            raise CvAutomlError(
                "diffusers is not installed: `poetry install --extras diffusion`, or pass --model vae"
            ) from error
        self.shape = (channels, size_px, size_px)
        self.network: Any = UNet2DModel(
            sample_size=size_px,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=UNET_WIDTHS,
            norm_num_groups=8,
            num_class_embeds=n_classes,
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )
        self.scheduler: Any = DDIMScheduler(STEPS, beta_schedule="squaredcos_cap_v2")

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Squared error of the noise that the network finds in a noisy image."""
        noise = torch.randn_like(images)
        levels = torch.randint(0, STEPS, (len(images),), device=images.device)
        noisy = self.scheduler.add_noise(images, noise, levels)
        return functional.mse_loss(self.network(noisy, levels, class_labels=labels).sample, noise)

    def sample(self, labels: Tensor) -> Tensor:
        """Begins with noise and takes it away."""
        self.scheduler.set_timesteps(SAMPLING_STEPS)
        images = torch.randn(len(labels), *self.shape, device=labels.device)
        for level in self.scheduler.timesteps:
            found = self.network(images, level, class_labels=labels).sample
            images = self.scheduler.step(found, level, images).prev_sample
        return images.clamp(-1, 1)
