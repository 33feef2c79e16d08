"""--model, --data, --data-root and --image-size of the command line."""

import pytest

from agn_hw import codesign
from agn_hw.cli import main
from agn_hw.zoo import data, models


@pytest.fixture
def asked(monkeypatch):
    """The settings that a command leads to; nothing is run."""
    found = []

    class Asked(Exception):
        pass

    def stop(settings, stages):
        found.append(settings)
        raise Asked

    monkeypatch.setattr(codesign, "codesign", stop)

    def ask(*options):
        with pytest.raises(Asked):
            main(["codesign", *options])
        return found[-1]

    return ask


def test_defaults(asked):
    settings = asked()
    assert (settings.model, settings.data, settings.data_root, settings.image_size) == ("resnet8", "digits", None, None)
    assert str(settings.run) == "runs/resnet8-digits"


@pytest.mark.parametrize("model", models.MODELS)
def test_every_model_is_taken(asked, model):
    assert asked("--model", model).model == model


@pytest.mark.parametrize("name", [name for name in data.NAMES if name not in data.BUILT_IN])
def test_every_data_set_is_taken(asked, name, tmp_path):
    settings = asked("--data", name, "--data-root", str(tmp_path))
    assert (settings.data, settings.data_root, settings.image_size) == (name, tmp_path, None)


def test_image_size_and_names_with_a_colon(asked, monkeypatch):
    monkeypatch.setattr(models, "check", lambda name: None)
    settings = asked("--data", "folder", "--data-root", ".", "--image-size", "48", "--model", "timm:resnet18")
    assert settings.image_size == 48 and settings.model == "timm:resnet18"
    assert str(settings.run) == "runs/timm-resnet18-folder"


@pytest.mark.parametrize("options, said", [
    (["--model", "resnet9"], "did you mean resnet"), (["--model", "keras:resnet9"], "torchvision: or timm:"),
    (["--data", "imagenet"], "unknown data set 'imagenet'"), (["--data", "mnist"], "--data-root"),
    (["--data-root", "."], "built in"), (["--image-size", "8"], "8 came for digits"),
    (["--data", "cifar10", "--data-root", ".", "--image-size", "8"], "8 came for cifar10")])
def test_bad_choices_are_explained_with_status_2(options, said, capsys):
    assert main(["codesign", *options]) == 2
    assert said in capsys.readouterr().err


def test_size_that_is_none(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["codesign", "--image-size", "0"])


def test_help_names_every_choice(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit, match="0"):
        main(["codesign", "--help"])
    text = capsys.readouterr().out
    assert [name for name in (*models.MODELS, *data.NAMES) if name not in text] == []
