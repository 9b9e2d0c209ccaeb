"""Models as folders and on the hub, with a local double of the hub: a folder for each repository and revision."""

import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from infgen.errors import InputError
from infgen.model.checkpoint import resolve
from infgen.model.generator import Generator

TOKEN = "hf_secret"


class LocalHub(types.ModuleType):
    """``huggingface_hub`` for a hub in a folder. Every repository needs ``TOKEN``."""

    def __init__(self, root: Path) -> None:
        super().__init__("huggingface_hub")
        self.root = root
        hub = self

        class HfApi:
            def __init__(self, token: str | None = None) -> None:
                self.token = token

            def create_repo(self, repository: str, *, private: bool | None, exist_ok: bool) -> None:
                hub.check(self.token)
                (hub.root / repository / "main").mkdir(parents=True, exist_ok=exist_ok)

            def create_branch(self, repository: str, *, branch: str, exist_ok: bool) -> None:
                (hub.root / repository / branch).mkdir(exist_ok=exist_ok)

            def upload_folder(
                self, *, repo_id: str, folder_path: Path, revision: str | None, commit_message: str
            ) -> str:
                shutil.copytree(folder_path, hub.root / repo_id / (revision or "main"), dirs_exist_ok=True)
                return f"https://hub/{repo_id}/commit/1"

        self.HfApi = HfApi

    def check(self, token: str | None) -> None:
        if token != TOKEN:
            raise OSError("401 unauthorized")

    def hf_hub_url(self, repository: str, file: str, *, revision: str = "main") -> str:
        return str(self.root / repository / revision / file)

    def get_hf_file_metadata(self, url: str, *, timeout: float, token: str | None = None) -> None:
        self.check(token)
        if not Path(url).exists():
            raise OSError(f"404 {Path(url).name}")

    def hf_hub_download(self, repository: str, file: str, *, revision: str = "main", **options: Any) -> str:
        if options.get("local_files_only"):
            raise FileNotFoundError(file)
        return self.hf_hub_url(repository, file, revision=revision)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    module = LocalHub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.chdir(tmp_path)
    return module


def equal(one: Generator, other: Generator) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_folder_holds_weights_configuration_and_card(tiny: Generator, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((tmp_path / "m" / "config.json").read_text())["local_channels"] == tiny.config.local_channels
    front = (tmp_path / "m" / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front)["library_name"] == "infgen"
    assert equal(Generator.from_pretrained(tmp_path / "m"), tiny)


def test_a_card_is_kept(tiny: Generator, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    tiny.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model folder .* holds no model\.safetensors"):
        resolve(tmp_path)


def test_a_model_goes_to_the_hub_and_comes_back(tiny: Generator, hub: LocalHub) -> None:
    assert tiny.push_to_hub("me/land", token=TOKEN, private=True) == "https://hub/me/land/commit/1"
    assert equal(Generator.from_pretrained("hf:me/land", token=TOKEN), tiny)


def test_a_revision_is_a_model_of_its_own(tiny: Generator, hub: LocalHub) -> None:
    tiny.push_to_hub("me/land", token=TOKEN, revision="v2")
    assert equal(Generator.from_pretrained("hf:me/land", token=TOKEN, revision="v2"), tiny)
    with pytest.raises(InputError, match=r"the hub gave none \(404 model\.safetensors\)"):
        Generator.from_pretrained("hf:me/land", token=TOKEN)


def test_a_wrong_token_is_one_line(tiny: Generator, hub: LocalHub) -> None:
    with pytest.raises(InputError, match=r"cannot be uploaded \(401 unauthorized\); check the name and the token"):
        tiny.push_to_hub("me/land", token="other")
    with pytest.raises(InputError, match="401 unauthorized"):
        Generator.from_pretrained("hf:me/land")


@pytest.mark.parametrize("name", ["land", "a/b/c", "../land"])
def test_a_name_that_is_no_hub_id_is_refused(name: str, tiny: Generator, hub: LocalHub) -> None:
    with pytest.raises(InputError, match="is no hub id; give owner/name"):
        tiny.push_to_hub(name)
