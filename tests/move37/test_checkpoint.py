import json

import numpy as np
import pytest

from move37 import checkpoint
from move37.checkpoint import CheckpointFolder
from move37.errors import RunError, UserError
from rollouts import storage
from rollouts.storage import Segment

ACTOR = {"spec": {"path": "x:Y", "options": {}}, "weights": {"w": np.arange(3.0)}}


def state(step, *segments):
    return {
        "step": step,
        "w": np.full(4, float(step)),
        "replay": [Segment(s, {"x": np.ones(2)}) for s in segments],
    }


def save(folder, *steps, segments=()):
    for step in steps:
        folder.save(step, state(step, *segments), ACTOR)


def names(path):
    return {p.name for p in path.iterdir()}


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path)


def test_what_is_saved_is_loaded(folder):
    save(folder, 7)
    loaded = folder.load()
    assert loaded["step"] == 7
    np.testing.assert_array_equal(loaded["w"], np.full(4, 7.0))
    np.testing.assert_array_equal(folder.load_actor()["weights"]["w"], np.arange(3.0))
    assert folder.load_actor("7")["spec"] == ACTOR["spec"]


def test_a_new_run_has_none(folder):
    assert folder.load() is None
    assert folder.names() == []
    with pytest.raises(UserError, match="no checkpoint 'last'; there is: none"):
        folder.load_actor()


def test_the_last_two_are_kept_and_last_is_the_newest(folder):
    save(folder, 90, 100, 1000)
    assert names(folder.folder) == {"100", "1000", "last"}
    assert folder.load()["step"] == 1000
    assert folder.names() == ["100", "1000", "last"]


def test_best_is_weights_only_and_replaced(folder):
    save(folder, 1)
    folder.save_best(1, ACTOR)
    folder.save_best(2, ACTOR | {"weights": {"w": np.zeros(3)}})
    assert names(folder.folder) == {"1", "last", "best", "best-2"}
    assert names(folder.folder / "best") == {"actor"}
    assert folder.load_actor("best")["weights"]["w"].sum() == 0
    assert folder.load()["step"] == 1


def test_snapshots_stay_whatever_comes_after(folder):
    folder.save_snapshot(0, ACTOR | {"weights": {"w": np.zeros(3)}})
    save(folder, 5)
    folder.save_snapshot(5, ACTOR)
    save(folder, 10, 100, 1000)
    assert folder.snapshots() == ["0", "5"]
    assert folder.names() == ["0", "5", "100", "1000", "last"]
    assert folder.load_actor("0")["weights"]["w"].sum() == 0
    np.testing.assert_array_equal(folder.load_actor("5")["weights"]["w"], np.arange(3.0))
    folder.save_snapshot(0, ACTOR)  # again, by a run that was resumed: it is there
    assert folder.load_actor("0")["weights"]["w"].sum() == 0


def test_segments_are_deleted_when_no_kept_checkpoint_lists_them(folder):
    save(folder, 1, segments=["a", "b"])
    save(folder, 2, segments=["b", "c"])
    save(folder, 3, segments=["c"])
    assert names(folder.segments) == {"b.safetensors", "c.safetensors"}
    assert [s.name for s in folder.load()["replay"]] == ["c"]
    save(folder, 4)
    save(folder, 5)
    assert names(folder.segments) == set()


@pytest.mark.parametrize("file", ["tree.json", "arrays.safetensors"])
@pytest.mark.parametrize("keep", [0, 20, None])
def test_a_truncated_one_is_told_with_its_cure(folder, file, keep):
    save(folder, 1, 2)
    path = folder.folder / "2" / file
    data = path.read_bytes()
    path.unlink() if keep is None else path.write_bytes(data[:keep])
    with pytest.raises(UserError) as error:
        folder.load()
    assert str(path) in str(error.value)
    assert f"remove {folder.folder / '2'} and resume again to go on from 1 env steps" in str(error.value)
    assert "\n" not in str(error.value)
    for inside in path.parent.rglob("*"):  # the cure works
        if inside.is_file():
            inside.unlink()
    (path.parent / "actor").rmdir()
    path.parent.rmdir()
    assert folder.load()["step"] == 1


def test_a_lost_segment_is_told(folder):
    save(folder, 1, segments=["a"])
    (folder.segments / "a.safetensors").unlink()
    with pytest.raises(UserError, match=r"a\.safetensors: missing or damaged"):
        folder.load()


def test_a_foreign_one_is_told(folder):
    save(folder, 1)
    path = folder.folder / "1" / "tree.json"
    for text in ("[]", json.dumps({"format": 99}), json.dumps({"model": 3})):
        path.write_text(text)
        with pytest.raises(UserError, match=r"no checkpoint of format 1; remove .* start from the beginning"):
            folder.load()


def test_only_checkpoints_can_be_named(folder):
    save(folder, 1)
    for name in ("../../other/checkpoints/1", "segments", "1/actor", "best", ""):
        with pytest.raises(UserError, match=r"no checkpoint '.*'; there is: 1, last$"):
            folder.load_actor(name)


def test_a_damaged_agent_is_no_alternative_to_itself(folder):
    save(folder, 1, 2)
    (folder.folder / "2" / "actor" / "tree.json").write_text("torn")
    for name in ("last", "2"):
        with pytest.raises(UserError, match=r"other checkpoints: 1$"):
            folder.load_actor(name)


def full_disk(name, monkeypatch, after):
    """Calls of `name` in saving fail from the `after`-th on as on a full disk."""
    right, calls = getattr(checkpoint, name), []

    def fail(*args, **kwargs):
        calls.append(1)
        if len(calls) > after:
            raise OSError(28, "No space left on device")
        return right(*args, **kwargs)

    for module in (checkpoint, storage) if name == "sync_to_disk" else (checkpoint,):
        monkeypatch.setattr(module, name, fail)


@pytest.mark.parametrize(
    ("name", "after"),
    [("save_tree", 0), ("save_tree", 1), ("sync_to_disk", 0), ("sync_to_disk", 1), ("sync_to_disk", 3)],
)
def test_a_full_disk_leaves_the_last_good_one(folder, monkeypatch, name, after):
    save(folder, 1, 2, segments=["a"])
    before = names(folder.folder)
    with monkeypatch.context() as patch:
        full_disk(name, patch, after)
        with pytest.raises(RunError) as error:
            save(folder, 3, segments=["a", "b"])
    assert "No space left on device" in str(error.value)
    assert f"the last good one is {folder.folder / '2'}" in str(error.value)
    assert "\n" not in str(error.value)
    assert names(folder.folder) == before
    assert names(folder.segments) == {"a.safetensors"}
    assert folder.load()["step"] == 2
    save(folder, 3)
    assert folder.load()["step"] == 3


def test_a_kill_between_rename_and_link_is_harmless(folder, monkeypatch):
    save(folder, 1)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_link", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save(folder, 2)
    assert folder.load()["step"] == 1
    folder.save(2, state(2) | {"again": True}, ACTOR)
    assert folder.load()["again"] is True


def test_leftovers_of_a_killed_save_do_not_matter(folder):
    save(folder, 1)
    (folder.folder / ".tmp-2").mkdir()
    (folder.folder / ".tmp-2" / "tree.json").write_text("{")
    (folder.folder / ".last").symlink_to("nowhere")
    assert folder.load()["step"] == 1
    save(folder, 2)
    assert names(folder.folder) == {"1", "2", "last"}


def test_without_the_link_the_newest_whole_one_is_last(folder):
    save(folder, 9, 10)
    (folder.folder / "last").unlink()
    assert folder.load()["step"] == 10


def test_the_best_of_the_newest_checkpoint_stays_until_the_next(folder):
    def bests():
        return sorted(p.name for p in folder.folder.glob("best-*"))

    folder.save_best(10, ACTOR)
    folder.save_best(20, ACTOR)
    assert bests() == ["best-20"]
    save(folder, 25)
    folder.save_best(30, ACTOR)
    folder.save_best(40, ACTOR)
    assert bests() == ["best-20", "best-40"]
    again = CheckpointFolder(folder.run)
    again.restore_best(20)
    assert bests() == ["best-20"]
    assert (folder.folder / "best").resolve().name == "best-20"
    again.restore_best(None)  # of a checkpoint from before any
    assert bests() == []
    assert again.names() == ["25", "last"]
