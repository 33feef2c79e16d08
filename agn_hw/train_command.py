"""`agn-hw train`: its options, and what it calls."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from agn_hw import arguments

CACHE = Path("build/cache")
NETWORK = "network.pt"


def add(commands: Any) -> None:
    """Adds the command to argparse's sub-parsers."""
    parser = commands.add_parser(
        "train",
        help="trains a float network of the zoo; outlives being stopped or killed",
        description="Trains a network with the data set's recipe. Stopped or killed, the same command goes on where "
        "it was and ends in the same weights. Writes network.pt (state dict), log.jsonl (a line an epoch) and "
        "checkpoints to the folder.",
    )
    arguments.add_network(parser)
    how_long = "0.5 is half of one; default: the recipe's"
    parser.add_argument("--epochs", type=arguments.above_zero, metavar="N", help=how_long)
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: runs/MODEL-DATA-float")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    # waiting threads sleep: spinning ones take many times longer beside another busy program (read when torch loads)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from dataclasses import replace

    from agn_hw.checkpoint import CHECKPOINT, write_tensors
    from agn_hw.train import fit
    from agn_hw.zoo import data, models
    from agn_hw.zoo.train import recipe_for, untrained

    models.check(options.model)
    splits = data.load(options.data, options.seed, CACHE, options.data_root, options.image_size)
    models.check_side(options.model, splits.side)
    model = untrained(options.model, splits, options.seed)
    recipe = recipe_for(options.data, model, splits, options.seed)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    folder = options.output or Path("runs") / f"{options.model}-{options.data}-float".replace(":", "-")
    begun = "going on with the run" if (folder / CHECKPOINT).exists() else "training"
    print(f"{begun} in {folder}; stopped or killed, the same command goes on from there", file=sys.stderr)
    last = fit(model, splits, recipe, folder=folder)[-1]
    write_tensors(folder / NETWORK, model.state_dict())
    print(f"{options.model} after {last.epoch:g} epochs: validation accuracy {last.validation_accuracy:.2%}")
    print(f"written to {folder}: {NETWORK}, log.jsonl, checkpoint.pt")
    return 0
