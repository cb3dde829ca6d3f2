"""Config files on disk: how models are found and checked together."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.installation import load_installation, load_model
from schemas.errors import ConfigError

MODEL = "model: {}\nfeatures: {{age: {{kind: numeric}}}}\n"


def put(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def message(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_installation(path)
    return str(caught.value)


def test_models_are_found_by_globs_relative_to_the_file(tmp_path, monkeypatch):
    put(tmp_path, "conf/models/b.yaml", MODEL.format("b"))
    put(tmp_path, "conf/models/a.yaml", MODEL.format("a"))
    file = put(tmp_path, "conf/driftline.yaml", "models: [models/*.yaml, models/a.yaml]\n")
    monkeypatch.chdir("/")
    found = load_installation(file)
    assert [m.model for m in found.models] == ["a", "b"]
    assert found.store == str(tmp_path / "conf" / "driftline-store")
    assert found.baselines == tmp_path / "conf" / "baselines"


def test_absolute_paths_and_addresses_stay_as_they_are(tmp_path):
    put(tmp_path, "a.yaml", MODEL.format("a"))
    text = f"store: http://host:8123/db\nbaselines: /b\nmodels: [{tmp_path}/a.yaml]\n"
    found = load_installation(put(tmp_path, "conf/driftline.yaml", text))
    assert (found.store, str(found.baselines)) == ("http://host:8123/db", "/b")
    assert found.model("a").model == "a"


def test_the_problems_of_all_files_come_together(tmp_path):
    put(tmp_path, "models/a.yaml", "model: a\nfeatures: {}\n")
    put(tmp_path, "models/b.yaml", "model: b\nfeatures: {x: {kind: y}}\n")
    file = put(tmp_path, "driftline.yaml", "models:\n - models/*.yaml\n - more/*.yaml\n")
    lines = message(file).splitlines()
    assert lines[0].startswith(f'{file}:3: models[1]: no file matches "more/*.yaml"')
    assert "a.yaml:2: features" in lines[1]
    assert "b.yaml:2: features.x.kind" in lines[2]


def test_two_files_for_one_model_are_refused(tmp_path):
    put(tmp_path, "models/a.yaml", MODEL.format("m"))
    put(tmp_path, "models/b.yaml", "# a comment\n" + MODEL.format("m"))
    file = put(tmp_path, "driftline.yaml", "models: [models/*.yaml]\n")
    assert 'b.yaml:2: model: "m" is already described in' in message(file)


def test_one_model_name_may_serve_two_tenants(tmp_path):
    put(tmp_path, "models/a.yaml", MODEL.format("m"))
    put(tmp_path, "models/b.yaml", MODEL.format("m") + "tenant: other\n")
    file = put(tmp_path, "driftline.yaml", "models: [models/*.yaml]\n")
    assert len(load_installation(file).models) == 2


def test_a_route_to_an_unknown_receiver_is_named_with_the_nearest(tmp_path):
    put(tmp_path, "m.yaml", MODEL.format("m") + "routes:\n  - receivers: [consle]\n")
    file = put(tmp_path, "driftline.yaml", "models: [m.yaml]\n")
    text = message(file)
    assert 'm.yaml:4: routes[0].receivers[0]: no receiver is called "consle"' in text
    assert "did you mean console?" in text


def test_a_missing_file_names_its_neighbours(tmp_path):
    put(tmp_path, "driftline.yaml", "models: []\n")
    with pytest.raises(ConfigError, match=r"no such file \(did you mean driftline.yaml\?\)"):
        load_installation(tmp_path / "drftline.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_model(tmp_path)


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    file = tmp_path / "m.yaml"
    file.write_bytes(b"model: m\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"m\.yaml:2: is not UTF-8 text"):
        load_model(file)


def test_a_byte_order_mark_is_harmless(tmp_path):
    file = tmp_path / "m.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + MODEL.format("m").encode())
    assert load_model(file).model == "m"


def test_an_unknown_model_is_named_with_the_nearest(tmp_path):
    put(tmp_path, "m.yaml", MODEL.format("employment"))
    found = load_installation(put(tmp_path, "driftline.yaml", "models: [m.yaml]\n"))
    with pytest.raises(ConfigError, match="did you mean employment"):
        found.model("emploiment")
