r"""Attention over pixels with relative positions is a convolution, given a head for each offset of the kernel.

.. math::
    \mathrm{conv}(X)_i = \sum_{h=1}^{9} \mathbf{K}_{\Delta_h} \mathbf{x}_{i + \Delta_h}
    = \sum_{h=1}^{9} \mathbf{K}_{\Delta_h} \sum_j \alpha^h_{ij} \mathbf{x}_j, \qquad
    \alpha^h_{ij} = \underset{j}{\mathrm{softmax}} \; b^h_{ij}

No pixel is asked what it shows: queries and keys are zero, and the bias alone says where a head looks. The values are
the pixels, the output projection holds the kernel. The image lies inside a ring of zero pixels, which is
zero padding. Two biases:

- exact, over the window of nine: :math:`b^h_{ij} = 0` if :math:`j` lies at the offset :math:`\Delta_h` from :math:`i`,
  and :math:`-\infty` elsewhere;
- quadratic, over all pixels: :math:`b^h_{ij} = \mathbf{v}_h^\top \mathbf{r}_{j - i}` with :math:`\mathbf{r}_\delta =
  (\|\delta\|^2, \delta_1, \delta_2)` and :math:`\mathbf{v}_h = -\alpha (1, -2 \Delta_{h1}, -2 \Delta_{h2})`, which is
  :math:`-\alpha \|\delta - \Delta_h\|^2` but for a constant. The weights that go astray fall like :math:`4
  e^{-\alpha}`, four being the pixels next to the right one.

Source: Cordonnier, Loukas & Jaggi, "On the Relationship between Self-Attention and Convolutional Layers", ICLR 2020,
https://arxiv.org/abs/1911.03584, theorem 1, lemma 2 and the remark on padding.

Prints the largest difference from `torch.nn.functional.conv2d`, for the exact bias on an image of 128 x 128 pixels, and
for the quadratic one, over all pairs of pixels of an image of 32 x 32, as the locality alpha grows.
"""

import math

import torch
import torch.nn.functional as F
from checks import BLUE, ORANGE, Row, panels, record, save
from torch import Tensor

from gatlib.nn.functional import edge_attention

OFFSETS = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))  # of a 3x3 kernel, row by row
ALPHAS = range(0, 49, 2)
SIZE, SMALL_SIZE = 128, 32


def main() -> None:
    rows: list[Row] = []
    for dtype in (torch.float32, torch.float64):
        image, kernel = landscape(SIZE).to(dtype), kernels().to(dtype)
        edge_index = windows(SIZE, SIZE)
        found = attention(image, kernel, edge_index, exact_bias(offsets(edge_index, SIZE), dtype))
        expected = convolution(image, kernel)
        name = f"exact bias, {str(dtype).removeprefix('torch.')}"
        rows.append((name, None, "largest difference", float((found - expected).abs().max())))
        print(f"{name}: largest difference {rows[-1][-1]:.1e}, largest value {expected.abs().max():.1f}")
        if dtype == torch.float32:
            shown = (image, expected[0], found[0])

    edge_index = everywhere(SMALL_SIZE, SMALL_SIZE)
    by_alpha: dict[str, list[float]] = {}
    for dtype in (torch.float32, torch.float64):
        image, kernel = landscape(SMALL_SIZE).to(dtype), kernels().to(dtype)
        expected = convolution(image, kernel)
        name = str(dtype).removeprefix("torch.")
        for alpha in ALPHAS:
            bias = quadratic_bias(offsets(edge_index, SMALL_SIZE), alpha, dtype)
            difference = float((attention(image, kernel, edge_index, bias) - expected).abs().max())
            by_alpha.setdefault(name, []).append(difference)
            rows.append((f"quadratic bias, alpha {alpha}, {name}", None, "largest difference", difference))
            print(f"{rows[-1][0]}: largest difference {difference:.1e}")
    record("convolution", rows)
    draw(*shown, by_alpha)


def convolution(image: Tensor, kernel: Tensor) -> Tensor:
    return F.conv2d(image.unsqueeze(0), kernel, padding=1).squeeze(0)


def attention(image: Tensor, kernel: Tensor, edge_index: Tensor, bias: Tensor) -> Tensor:
    """Nine heads from the padded image to its pixels, and the output projection.

    Args:
        image: [channels, height, width].
        kernel: [channels out, channels, 3, 3].
        edge_index: From the pixels of the padded image to those of the image, both row by row.
        bias: One for each edge and head.
    """
    _, height, width = image.shape
    pixels = F.pad(image, (1, 1, 1, 1)).flatten(start_dim=1).t()
    query, key = pixels.new_zeros(height * width, 9, 1), pixels.new_zeros(pixels.size(0), 9, 1)
    value = pixels.unsqueeze(1).repeat(1, 9, 1)
    heads = edge_attention(query, key, value, edge_index, score="dot", bias=bias)
    out = F.linear(heads.flatten(start_dim=1), kernel.permute(0, 2, 3, 1).flatten(start_dim=1))
    return out.t().view(-1, height, width)


def windows(height: int, width: int) -> Tensor:
    """Edges to every pixel from the nine around it in the padded image."""
    source = torch.arange((height + 2) * (width + 2)).view(height + 2, width + 2)
    source = source.unfold(0, 3, 1).unfold(1, 3, 1).flatten()
    return torch.stack([source, torch.arange(height * width).repeat_interleave(9)])


def everywhere(height: int, width: int) -> Tensor:
    """Edges to every pixel from all of the padded image."""
    num_sources, num_targets = (height + 2) * (width + 2), height * width
    return torch.cartesian_prod(torch.arange(num_targets), torch.arange(num_sources)).t().flip(0).contiguous()


def offsets(edge_index: Tensor, width: int) -> Tensor:
    """Rows and columns from the target to the source, [edges, 2]."""
    source, target = edge_index
    rows = source // (width + 2) - 1 - target // width
    columns = source % (width + 2) - 1 - target % width
    return torch.stack([rows, columns], dim=1)


def exact_bias(offset: Tensor, dtype: torch.dtype) -> Tensor:
    is_there = (offset.unsqueeze(1) == OFFSETS).all(dim=-1)
    return torch.zeros(is_there.shape, dtype=dtype).masked_fill(~is_there, -math.inf)


def quadratic_bias(offset: Tensor, alpha: float, dtype: torch.dtype) -> Tensor:
    encoding = torch.cat([offset.square().sum(dim=1, keepdim=True), offset], dim=1).to(dtype)
    vectors = -alpha * torch.cat([torch.ones(9, 1), -2 * OFFSETS], dim=1).to(dtype)
    return encoding @ vectors.t()


def landscape(size: int) -> Tensor:
    """Sky, sun, two ridges and a lake with ripples, [3, size, size] from 0 to 1."""
    y, x = torch.meshgrid(*[torch.linspace(0, 1, size, dtype=torch.float64)] * 2, indexing="ij")

    def paint(picture: Tensor, where: Tensor, *colour: float) -> Tensor:
        return torch.where(where, torch.tensor(colour, dtype=torch.float64).view(3, 1, 1), picture)

    picture = torch.stack([0.35 + 0.5 * y, 0.6 + 0.3 * y, 0.9 - 0.1 * y])
    picture = paint(picture, (x - 0.72).square() + (y - 0.22).square() < 0.012, 1.0, 0.85, 0.3)
    picture = paint(picture, y > 0.45 + 0.12 * (7 * x).sin() + 0.05 * (19 * x).cos(), 0.45, 0.5, 0.62)
    picture = paint(picture, y > 0.62 + 0.06 * (5 * x + 2).sin() + 0.015 * (31 * x).sin(), 0.2, 0.38, 0.25)
    ripples = 0.08 * (90 * y + 4 * (6 * x).sin()).sin()
    return torch.where(y > 0.78, torch.stack([0.2 + ripples, 0.42 + ripples, 0.6 + ripples]), picture)


def kernels() -> Tensor:
    """Eight kernels for three colours: Sobel's for edges in brightness, and seven drawn at random."""
    kernel = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sobel = torch.tensor([1, 2, 1]).unsqueeze(1) * torch.tensor([-1, 0, 1])
    kernel[0] = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1) * sobel
    return kernel


def draw(image: Tensor, expected: Tensor, found: Tensor, by_alpha: dict[str, list[float]]) -> None:
    figure, (first, second, third, fourth, last) = panels("abcdee", 15, 3.1)
    first.imshow(image.permute(1, 2, 0).numpy())
    scale = float(expected.abs().quantile(0.99))  # the border, where zeros begin, is far beyond
    for axes, picture in ((second, expected), (third, found)):
        axes.imshow(picture.numpy(), cmap="gray", vmin=-scale, vmax=scale)
    difference = fourth.imshow((found - expected).abs().numpy(), cmap="magma")
    figure.colorbar(difference, ax=fourth, shrink=0.8, format="%.0e")
    titles = ("Image", "Convolution (Sobel)", "Attention, 9 heads", "Difference (float32)")
    for axes, title in zip((first, second, third, fourth), titles, strict=True):
        axes.set_title(title)
        axes.axis("off")

    for (name, differences), colour in zip(by_alpha.items(), (ORANGE, BLUE), strict=True):
        last.semilogy(ALPHAS, differences, marker="o", markersize=4, color=colour, label=name)
    theory = [by_alpha["float64"][len(ALPHAS) // 4] * math.exp(ALPHAS[len(ALPHAS) // 4] - alpha) for alpha in ALPHAS]
    last.semilogy(ALPHAS, theory, linestyle="--", color="black", linewidth=1, label=r"slope of $e^{-\alpha}$", zorder=3)
    last.set_title("Quadratic encoding: largest difference")
    last.set_xlabel(r"locality $\alpha$")
    last.set_ylim(1e-15, 1e3)
    last.legend()
    save(figure, "convolution")


if __name__ == "__main__":
    main()
