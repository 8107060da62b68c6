"""Pods of one subdomain find each other by name without a name service."""

from distill_local.node.names import Names


def pod(uid, hostname, subdomain="digits", namespace="team-a"):
    spec = {"hostname": hostname} | ({"subdomain": subdomain} if subdomain else {})
    return {"metadata": {"uid": uid, "name": f"{hostname}-x", "namespace": namespace}, "spec": spec}


class World:
    def __init__(self, folder):
        self.folder, self.names = folder, Names()

    def enter(self, one, address):
        hosts = self.folder / one["metadata"]["uid"]
        hosts.write_text(f"127.0.0.1\tlocalhost\n{address}\t{one['spec']['hostname']}\n")
        self.names.enter(one, address, hosts)

    def known(self, uid):
        """Addresses by name, the first of several as the resolver takes it."""
        found = {}
        for line in (self.folder / uid).read_text().splitlines():
            address, *names = line.split()
            for name in names:
                found.setdefault(name, address)
        return found


def test_who_comes_later_is_known_to_those_before(tmp_path):
    world = World(tmp_path)
    world.enter(pod("a", "digits-0"), "10.0.0.2")
    world.enter(pod("b", "digits-1"), "10.0.0.3")
    for uid in "ab":
        known = world.known(uid)
        assert (known["digits-0.digits"], known["digits-1.digits"]) == ("10.0.0.2", "10.0.0.3")
        assert known["digits-0.digits.team-a.svc.cluster.local"] == "10.0.0.2"
        assert known["localhost"] == "127.0.0.1"
    assert world.known("b")["digits-1"] == "10.0.0.3"


def test_a_successor_has_the_name_of_the_pod_before_it(tmp_path):
    world = World(tmp_path)
    world.enter(pod("a", "digits-0"), "10.0.0.2")
    world.enter(pod("b", "digits-1"), "10.0.0.3")
    world.names.leave(pod("a", "digits-0"))
    assert "digits-0.digits" not in world.known("b")
    world.enter(pod("c", "digits-0"), "10.0.0.4")
    assert world.known("b")["digits-0.digits"] == "10.0.0.4"


def test_others_are_left_alone(tmp_path):
    world = World(tmp_path)
    world.enter(pod("a", "digits-0"), "10.0.0.2")
    world.enter(pod("b", "digits-0", namespace="team-b"), "10.0.0.3")
    world.enter(pod("c", "lone", subdomain=None), "10.0.0.4")
    world.names.leave(pod("c", "lone", subdomain=None))
    assert world.known("a")["digits-0.digits"] == "10.0.0.2"
    assert world.known("b")["digits-0.digits"] == "10.0.0.3"
    assert "digits-0.digits" not in world.known("c")
