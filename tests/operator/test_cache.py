"""Caches believe the newest they saw, whatever the order in which events come."""

import pytest

from distill_operator.cache import Store, by_label, owner_uids


def obj(name="a", uid="1", version=1, **metadata):
    return {
        "metadata": {"namespace": "n", "name": name, "uid": uid, "resourceVersion": str(version)} | metadata
    }


def test_an_older_version_changes_nothing():
    store = Store()
    assert store.put(obj(version=5))
    assert not store.put(obj(version=4))
    assert not store.put(obj(version=5))
    assert store.get("n", "a")["metadata"]["resourceVersion"] == "5"


def test_a_late_event_does_not_bring_a_deleted_object_back():
    store = Store()
    store.put(obj(version=5))
    assert store.remove(obj(version=6))
    assert not store.put(obj(version=5))
    assert store.get("n", "a") is None


def test_a_late_deletion_does_not_take_the_successor():
    store = Store()
    store.put(obj(uid="2", version=9))
    assert not store.remove(obj(uid="1", version=8))
    assert store.get("n", "a")["metadata"]["uid"] == "2"


def test_a_late_event_of_the_predecessor_does_not_replace_the_successor():
    store = Store()
    store.put(obj(uid="2", version=9))
    assert not store.put(obj(uid="1", version=7))


def test_a_list_removes_what_went_unseen_and_keeps_what_came_since():
    store = Store()
    store.put(obj("gone", "1", 3))
    store.put(obj("young", "2", 20))
    changed = store.replace([obj("there", "3", 8)], 10, store.newest - 10)
    assert {item["metadata"]["name"] for item in changed} == {"gone", "there"}
    assert store.get("n", "gone") is None
    assert store.get("n", "young") is not None


def test_a_list_from_a_restored_backup_is_believed():
    store = Store()
    store.put(obj(version=100))
    store.replace([obj(version=40)], 50, store.newest)
    assert store.get("n", "a")["metadata"]["resourceVersion"] == "40"
    assert store.put(obj(version=51))


@pytest.mark.parametrize("change", ["remove", "relabel"])
def test_indexes_follow(change):
    store = Store({"label": by_label("l"), "owner": owner_uids})
    store.put(obj(labels={"l": "x"}, ownerReferences=[{"uid": "o"}]))
    assert [item["metadata"]["name"] for item in store.select("label", "n/x")] == ["a"]
    assert len(store.select("owner", "o")) == 1
    if change == "remove":
        store.remove(obj(version=2))
    else:
        store.put(obj(version=2, labels={"l": "y"}))
        assert len(store.select("label", "n/y")) == 1
    assert store.select("label", "n/x") == []
    assert store.select("owner", "o") == []


def test_bulky_managed_fields_are_not_kept():
    store = Store()
    store.put(obj(managedFields=[{"manager": "x"}]))
    assert "managedFields" not in store.get("n", "a")["metadata"]
