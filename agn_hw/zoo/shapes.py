"""The procedural image set "textured shapes": ten classes, each a shape times a texture.

Class = 2 * shape + texture, with shape one of disk, square, triangle, ring, cross and texture one of stripes,
checker. Scenes are drawn back to front: blurred colour background, clutter rectangles, the textured shape,
occluding rectangles, Gaussian noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

Floats = NDArray[np.float32]

SHAPES = ("disk", "square", "triangle", "ring", "cross")
TEXTURES = ("stripes", "checker")
CLASSES = tuple(f"{shape}, {texture}" for shape in SHAPES for texture in TEXTURES)
VERSION = 1  # raise it when the same recipe and seed would give other images
BATCH = 500  # images drawn at a time
QUIET = 3000  # fewer images than this take under about two seconds: no progress bar


@dataclass(frozen=True)
class Recipe:
    """Parameters of the generator. Lengths in pixels, colours and noise in 0..1; (low, high) is uniform."""

    side: int = 24  # images are side x side x 3
    background_cells: int = 5  # the background is a grid of this many random colours a side, bilinear
    clutter: int = 4  # rectangles behind the shape
    clutter_half: tuple[float, float] = (0.8, 2.5)  # their half sides
    radius: tuple[float, float] = (7.0, 10.0)  # of the circle around the shape
    centre: tuple[float, float] = (8.0, 16.0)  # of the shape, in both directions
    frequency: tuple[float, float] = (0.14, 0.24)  # of the texture, cycles a pixel
    contrast: float = 0.33  # largest channel difference between the texture's two colours, at most 0.5
    occluders: int = 3  # rectangles in front of the shape
    occluder_half: tuple[float, float] = (0.8, 2.5)  # their half sides
    noise: float = 0.12  # standard deviation of the Gaussian noise on every channel


def generate(
    count: int, seed: tuple[int, ...], recipe: Recipe | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw `count` images: uint8 [count, 3, side, side] and int64 labels [count], in equal shares (+-1).

    The same count, seed and recipe give the same bytes.
    """
    recipe = recipe or Recipe()
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(CLASSES))
    images = np.empty((count, 3, recipe.side, recipe.side), np.uint8)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=count < QUIET or not console.is_terminal) as bar:
        task = bar.add_task("drawing textured shapes", total=count)
        for start in range(0, count, BATCH):
            part = slice(start, min(start + BATCH, count))
            images[part] = _draw(rng, labels[part], recipe)
            bar.advance(task, part.stop - part.start)
    return images, labels


def _draw(rng: np.random.Generator, labels: NDArray[np.int64], recipe: Recipe) -> NDArray[np.uint8]:
    """One batch of scenes, uint8 [N, 3, side, side]."""
    count, side = len(labels), recipe.side
    canvas = _background(rng, count, recipe)
    for _ in range(recipe.clutter):
        canvas = _over(canvas, *_rectangle(rng, count, side, recipe.clutter_half))
    canvas = _over(canvas, *_textured_shape(rng, labels, recipe))
    for _ in range(recipe.occluders):
        canvas = _over(canvas, *_rectangle(rng, count, side, recipe.occluder_half))
    canvas += np.float32(recipe.noise) * rng.standard_normal(canvas.shape, np.float32)
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def _uniform(rng: np.random.Generator, bounds: tuple[float, float], *shape: int) -> Floats:
    low, high = bounds
    return np.float32(low) + np.float32(high - low) * rng.random(shape, np.float32)


def _over(canvas: Floats, colour: Floats, mask: Floats) -> Floats:
    """Paint `colour` [N, 3, 1 or H, 1 or W] over the canvas [N, 3, H, W] where `mask` [N, H, W] is 1."""
    return canvas + (colour - canvas) * mask[:, None]


def _pixels(side: int) -> tuple[Floats, Floats]:
    """Pixel centres, y as a [1, H, 1] and x as a [1, 1, W] array."""
    at = np.arange(side, dtype=np.float32) + np.float32(0.5)
    return at[None, :, None], at[None, None, :]


def _background(rng: np.random.Generator, count: int, recipe: Recipe) -> Floats:
    cells = recipe.background_cells
    position = np.linspace(0, cells - 1, recipe.side, dtype=np.float32)
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells, dtype=np.float32)))  # side, cells
    colours = rng.random((count, 3, cells, cells), np.float32)
    return np.asarray(weights @ colours @ weights.T, np.float32)


def _rectangle(rng: np.random.Generator, count: int, side: int, half: tuple[float, float]) -> tuple[Floats, Floats]:
    """A rectangle of one random colour anywhere in each image: colour [N, 3, 1, 1] and mask [N, H, W]."""
    y, x = _pixels(side)
    centre = _uniform(rng, (0, side), 2, count, 1, 1)
    size = _uniform(rng, half, 2, count, 1, 1)
    inside = (np.abs(y - centre[0]) < size[0]) & (np.abs(x - centre[1]) < size[1])
    return _uniform(rng, (0, 1), count, 3, 1, 1), inside.astype(np.float32)


def _textured_shape(rng: np.random.Generator, labels: NDArray[np.int64], recipe: Recipe) -> tuple[Floats, Floats]:
    """Colours [N, 3, H, W] of the texture and the shape's mask [N, H, W] with a one-pixel soft edge."""
    count = len(labels)
    y, x = _pixels(recipe.side)
    centre, radius = _uniform(rng, recipe.centre, 2, count, 1, 1), _uniform(rng, recipe.radius, count, 1, 1)
    u, v = _rotated(y - centre[0], x - centre[1], _uniform(rng, (0, 2 * np.pi), count, 1, 1))
    outside = np.empty_like(u)  # signed distance to the edge, in pixels
    for shape in range(len(SHAPES)):
        chosen = labels // 2 == shape
        outside[chosen] = radius[chosen] * _distance(
            SHAPES[shape], u[chosen] / radius[chosen], v[chosen] / radius[chosen]
        )
    colours = _texture(rng, labels % 2 == 1, recipe)
    return colours, np.clip(np.float32(0.5) - outside, 0, 1)


def _rotated(y: Floats, x: Floats, angle: Floats) -> tuple[Floats, Floats]:
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _distance(shape: str, u: Floats, v: Floats) -> Floats:
    """Signed distance (negative inside) to the edge of a shape that fits the unit circle."""
    if shape == "disk":
        return np.hypot(u, v) - np.float32(0.95)
    if shape == "ring":
        return np.abs(np.hypot(u, v) - np.float32(0.75)) - np.float32(0.22)
    u, v = np.abs(u), (v if shape == "triangle" else np.abs(v))
    if shape == "square":
        return np.maximum(u, v) - np.float32(0.75)
    if shape == "triangle":
        return np.maximum(-v, u * np.float32(0.8660254) + v * np.float32(0.5)) - np.float32(0.5)
    upright, level = np.maximum(u, v - np.float32(0.67)), np.maximum(v, u - np.float32(0.67))
    return np.minimum(upright, level) - np.float32(0.3)  # the cross: two bars, .6 by 1.94


def _texture(rng: np.random.Generator, checker: NDArray[np.bool_], recipe: Recipe) -> Floats:
    """Stripes or a checkerboard in two colours at a random angle and phase: [N, 3, H, W]."""
    count = len(checker)
    y, x = _pixels(recipe.side)
    u, v = _rotated(y, x, _uniform(rng, (0, 2 * np.pi), count, 1, 1))
    frequency = _uniform(rng, recipe.frequency, count, 1, 1)
    phase = _uniform(rng, (0, 2 * np.pi), 2, count, 1, 1)
    wave = np.sin(np.float32(2 * np.pi) * frequency * u + phase[0])
    across = np.sin(np.float32(2 * np.pi) * frequency * v + phase[1])
    wave = np.where(checker[:, None, None], wave * across, wave)
    share = np.clip(np.float32(0.5) + np.float32(2) * wave, 0, 1)  # 0: first colour, 1: second; soft edges
    direction = _uniform(rng, (-1, 1), count, 3, 1, 1)
    direction /= np.abs(direction).max(axis=1, keepdims=True)
    first = _uniform(rng, (0, 1), count, 3, 1, 1)
    step = np.float32(recipe.contrast) * direction
    leaves = np.abs(first + step - np.float32(0.5)) > np.float32(0.5)  # 0..1: then step the other way
    return np.asarray(first + np.where(leaves, -step, step) * share[:, None], np.float32)
