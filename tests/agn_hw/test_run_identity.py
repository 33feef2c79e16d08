"""What a training run is: its hashes see every image, whatever the memory layout."""

from dataclasses import replace

import torch

from agn_hw import run_identity
from agn_hw.zoo.data import Splits
from tests.agn_hw.training_case import RECIPE, SPLITS, changed, from_files, network


def test_large_mapped_images_are_sampled_and_all_others_hashed(monkeypatch):
    def of(splits: Splits, files: str = "") -> str:
        return run_identity.identity(network(), from_files(splits, files), RECIPE, None)["training images"]

    monkeypatch.setattr(run_identity, "_SAMPLE", 13)  # every tenth image
    other = changed("train", 5)
    assert of(SPLITS, "1") == f"{of(SPLITS)} 1" != f"{of(other)} 1" == of(other, "1")
    monkeypatch.setattr(run_identity, "LARGEST", 130 * 192 - 1)
    assert of(SPLITS, "1") == of(other, "1") not in (of(SPLITS, "2"), of(changed("train", 10), "1"))
    assert of(SPLITS) != of(other)


def test_the_hash_does_not_depend_on_the_memory_layout():
    images = SPLITS.train.images.to(memory_format=torch.channels_last)
    splits = replace(SPLITS, train=replace(SPLITS.train, images=images))
    assert run_identity.identity(network(), splits, RECIPE, None) == run_identity.identity(
        network().to(memory_format=torch.channels_last), SPLITS, RECIPE, None
    )
