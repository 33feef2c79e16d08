"""Training and its cache, on a cut of the digits."""

from dataclasses import replace

import pytest
import torch

from agn_hw.recipe import TrainingError
from agn_hw.zoo import data, models, train

QUICK = train.Recipe(epochs=3, batch=50, peak_rate=0.1, weight_decay=5e-4, augment="none")


@pytest.fixture(scope="module")
def digits() -> data.Splits:
    full = data.load("digits")
    return replace(full, train=data.Split(full.train.images[:430], full.train.labels[:430]))


@pytest.fixture(autouse=True)
def quick_recipe(monkeypatch):
    monkeypatch.setitem(train.RECIPES, "digits", QUICK)


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_training_learns_and_is_deterministic(digits, tmp_path):
    model = train.trained("resnet8", "digits", digits, tmp_path / "a")
    again = train.trained("resnet8", "digits", digits, tmp_path / "b")
    other = train.trained("resnet8", "digits", digits, tmp_path / "b", seed=1)
    assert train.accuracy(model, digits.test) > 0.6
    assert equal(model, again) and not equal(model, other)
    assert not model.training and all(p.is_contiguous() for p in model.parameters())


def test_global_random_state_is_left_alone(digits, tmp_path):
    before = torch.get_rng_state()
    train.trained("resnet8", "digits", digits, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_random_state_does_not_matter(digits):
    def dropped() -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = models.resnet8(1, 10, widths=(2, 2, 2))
        model.pool = torch.nn.Sequential(model.pool, torch.nn.Dropout(0.5))  # draws from the global generator
        torch.rand(3)
        train.train(model, digits, epochs=1)  # four steps of 100
        return model

    assert equal(dropped(), dropped())


def test_cache_is_used_and_keyed(digits, tmp_path, monkeypatch):
    first = train.trained("resnet8", "digits", digits, tmp_path)
    monkeypatch.setattr(train, "train", lambda *args, **kwargs: None)  # no training from here on
    assert equal(first, train.trained("resnet8", "digits", digits, tmp_path))
    changed = replace(digits, train=data.Split(digits.train.images.flip(0), digits.train.labels))
    for splits, seed in ((digits, 1), (changed, 0), (replace(digits, seed=5), 0)):
        assert not equal(first, train.trained("resnet8", "digits", splits, tmp_path, seed))
    monkeypatch.setitem(train.RECIPES, "digits", replace(QUICK, epochs=4))
    train.trained("resnet8", "digits", digits, tmp_path)
    monkeypatch.setitem(models.MODELS, "resnet8", lambda c, k: models.resnet8(c, k, widths=(2, 4, 6)))
    train.trained("resnet8", "digits", digits, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 6
    assert all(name.startswith("resnet8_digits_") and name.endswith(".pt") for name in names)


def other_model(path) -> None:
    torch.save(models.resnet8(1, 10, widths=(2, 2, 2)).state_dict(), path)


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"not a state dict"),
    lambda path: path.write_bytes(path.read_bytes()[:20000]),
    lambda path: path.write_bytes(path.read_bytes()[:20000] + b"flip" + path.read_bytes()[20004:]),
    lambda path: torch.save([1, 2], path),
    other_model,
], ids=["empty", "text", "truncated", "changed bytes", "list", "other model"])
def test_damaged_cache_is_reported_and_trained_again(damage, digits, tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(train.RECIPES, "digits", replace(QUICK, epochs=1))
    model = train.trained("resnet8", "digits", digits, tmp_path)
    (path,) = tmp_path.iterdir()
    damage(path)
    assert equal(model, train.trained("resnet8", "digits", digits, tmp_path))
    (record,) = caplog.records
    assert "training again" in record.getMessage() and "\n" not in record.getMessage()
    caplog.clear()
    assert equal(model, train.trained("resnet8", "digits", digits, tmp_path)) and not caplog.records


def test_unknown_names_list_the_known(digits, tmp_path):
    with pytest.raises(ValueError, match=r"'cifar'.*cifar10.*digits"):
        train.trained("resnet8", "cifar", digits, tmp_path)
    with pytest.raises(ValueError, match=r"'vgg'.*resnet8"):
        train.trained("vgg", "digits", digits, tmp_path)


def test_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(TrainingError, match="batch 500 is more than the 430"):
        train.train(models.resnet8(1, 10), digits, epochs=1, batch=500)


def test_accuracy_counts_and_restores_the_mode(digits):
    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.eye(10)[3])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return self.logits.expand(len(x), 10)

    model = Constant().train()
    share = float((digits.test.labels == 3).float().mean())
    assert train.accuracy(model, digits.test, batch=77) == pytest.approx(share)
    assert model.training


def test_every_data_set_has_a_recipe():
    assert set(train.RECIPES) == set(data.NAMES)


def test_recipes_fit_the_network_and_the_set(digits):
    few = replace(digits, train=data.Split(digits.train.images[:30], digits.train.labels[:30]))
    recipe = train.recipe_for("digits", torch.nn.Linear(4, 4), few, seed=3)
    assert (recipe.batch, recipe.seed) == (30, 3) and recipe.peak_rate == pytest.approx(0.02)
    assert train.recipe_for("digits", models.resnet8(1, 10), digits) == QUICK
