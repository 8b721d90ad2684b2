import numpy as np
import pytest
import torch

from rollouts import storage
from rollouts.storage import Segment, load_tree, save_tree, segment_names, whole_folder


def test_a_tree_comes_back_as_it_was(tmp_path):
    tree = {
        "bools": np.array([True, False]),
        "words": np.array([2**64 - 1], np.uint64),
        "scalar": np.float32(1.5),
        "zero_d": np.array(3.0),
        "strided": np.arange(12).reshape(3, 4)[:, ::2],
        "torch": torch.arange(3, dtype=torch.float32),
        "text": np.array([["a", "bé"], ["", "c"]], dtype=object),
        "nested": [1, 2.5, None, "x", True, {"big": 2**200, "a": np.zeros((0, 3))}],
    }
    save_tree(tmp_path, tree)
    back = load_tree(tmp_path)
    assert back["nested"][:5] == tree["nested"][:5]
    assert back["nested"][5]["big"] == 2**200
    assert back["nested"][5]["a"].shape == (0, 3)
    assert back["scalar"] == 1.5
    assert back["zero_d"].shape == ()
    for name in ("bools", "words", "strided", "text"):
        np.testing.assert_array_equal(back[name], tree[name])
        assert back[name].dtype == tree[name].dtype
    np.testing.assert_array_equal(back["torch"], [0, 1, 2])


def test_segments_are_written_once_and_referred_to(tmp_path):
    segments = tmp_path / "segments"
    for i in range(2):
        folder = tmp_path / str(i)
        folder.mkdir()
        chunk = Segment("replay-0", {"obs": np.full(4, i)})  # the name says that the content is the same
        assert save_tree(folder, {"replay": [chunk]}, segments) == ["replay-0"]
    assert [p.name for p in segments.iterdir()] == ["replay-0.safetensors"]
    (back,) = load_tree(tmp_path / "1", segments)["replay"]
    assert back.name == "replay-0"
    np.testing.assert_array_equal(back.arrays["obs"], np.zeros(4))
    assert list(segment_names({"a": [{"$segment": "x"}, {"b": {"$segment": "y"}}]})) == ["x", "y"]


def test_a_segment_is_on_the_disk_before_it_has_its_name_and_its_name_is_too(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(storage, "sync_to_disk", lambda path: synced.append((path.name, named())))
    segments = tmp_path / "segments"

    def named():
        return [p.name for p in segments.glob("*.safetensors")]

    save_tree(tmp_path, Segment("a", {"x": np.ones(3)}), segments)
    assert synced[:2] == [(".a.tmp", []), ("segments", ["a.safetensors"])]


def test_keys_with_a_slash_do_not_overwrite_each_other(tmp_path):
    tree = {"a/b": np.ones(1), "a": {"b": np.zeros(2), "b'": np.ones(2)}, "": {"a/b": np.ones(3)}}
    save_tree(tmp_path, tree)
    np.testing.assert_equal(load_tree(tmp_path), tree)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    def save(name, value, fails=False):
        with whole_folder(tmp_path / name) as beside:
            save_tree(beside, value)
            assert not fails, "the disk is full"

    save("deep/a", 1)
    save("deep/a", 2)
    with pytest.raises(AssertionError, match="full"):
        save("deep/a", 3, fails=True)
    assert load_tree(tmp_path / "deep" / "a") == 2
    with pytest.raises(AssertionError, match="full"):
        save("deep/b", 3, fails=True)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a"]


def test_what_is_no_plain_data_is_refused(tmp_path):
    with pytest.raises(TypeError, match="a/b: object cannot be saved as plain data"):
        save_tree(tmp_path, {"a": {"b": object()}})
    with pytest.raises(TypeError, match="not a plain string"):
        save_tree(tmp_path, {"$array": 1})


def test_a_segments_name_cannot_leave_its_folder(tmp_path):
    save_tree(tmp_path, {})
    (tmp_path / "tree.json").write_text('{"$segment": "../../etc/x"}')
    with pytest.raises(ValueError, match=str(tmp_path / "x.safetensors")):
        load_tree(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "gone", "json", "foreign"])
def test_damage_names_the_file(tmp_path, damage):
    save_tree(tmp_path, {"a": np.arange(1000)})
    arrays, tree = tmp_path / "arrays.safetensors", tmp_path / "tree.json"
    if damage == "cut":
        arrays.write_bytes(arrays.read_bytes()[:200])
    elif damage == "gone":
        tree.unlink()
    elif damage == "json":
        tree.write_text('{"a": {"$arr')
    else:
        tree.write_text('{"a": {"$array": "b"}}')
    with pytest.raises(ValueError, match=r"arrays\.safetensors|tree\.json"):
        load_tree(tmp_path)
