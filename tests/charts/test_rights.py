"""Least rights: what the operator may do, and what it must never be able to do."""

import pytest

NEVER = {
    "secrets",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "serviceaccounts",
    "serviceaccounts/token",
}
DANGEROUS = {"escalate", "bind", "impersonate", "*"}
INSTALLATIONS = {
    "everywhere": (),
    "namespaced": ("--set", "watchNamespaces={team-a,team-b}"),
    "two operators": ("--set", "replicas=2"),
}


def rules(objects):
    return [
        (o["metadata"], rule) for o in objects if o["kind"] in {"Role", "ClusterRole"} for rule in o["rules"]
    ]


@pytest.mark.parametrize("arguments", INSTALLATIONS.values(), ids=INSTALLATIONS)
def test_no_wildcard_no_secret_no_way_up(render, arguments):
    for _, rule in rules(render(*arguments)):
        assert not DANGEROUS & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        assert not NEVER & set(rule["resources"])


def test_with_namespaces_nothing_holds_elsewhere(render):
    objects = render("--set", "watchNamespaces={team-a,team-b},rbac.aggregateClusterRoles=false")
    assert not [o for o in objects if o["kind"].startswith("ClusterRole")]
    assert {o["metadata"]["namespace"] for o in objects if o["kind"] == "Role"} == {"team-a", "team-b"}


def test_rights_are_for_what_the_operator_works_with(render):
    """Each kind that the code names has a rule, and no rule is for a kind that it does not name."""
    kinds = pytest.importorskip("distill_operator.kinds")
    named = {(k.group, k.plural) for k in vars(kinds).values() if isinstance(k, kinds.Kind)}
    granted = {
        (group, resource.partition("/")[0])
        for metadata, rule in rules(render("--set", "replicas=2,rbac.aggregateClusterRoles=false"))
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == named


def test_only_the_own_lease_can_be_taken(render):
    granted = [rule for _, rule in rules(render("--set", "replicas=2")) if "leases" in rule["resources"]]
    assert all(rule["verbs"] == ["create"] or rule["resourceNames"] for rule in granted)


def test_people_get_their_rights_by_aggregation(render, one):
    objects = render()
    for role in ("admin", "edit", "view"):
        cluster_role = one(objects, "ClusterRole", f"-{role}")
        assert cluster_role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
        verbs = set(cluster_role["rules"][0]["verbs"])
        assert {"get", "list", "watch"} <= verbs
        assert ("create" in verbs) == (role != "view")
