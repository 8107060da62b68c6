"""The rollout on KServe's real controller and a real gateway, judged by counted requests."""

from __future__ import annotations

from datetime import timedelta

import pytest
import rollout_world as world
import yaml

from distill_api.naming import server_name
from distill_api.status import RolloutPhase
from distill_operator.kinds import DISTILLATION_JOB, HTTP_ROUTE

pytestmark = [pytest.mark.cluster, pytest.mark.kserve]


def assert_whole(splits):
    """Every version of the route gave out 100 %, or nothing at all before anything was Ready."""
    assert splits
    assert {sum(split.values()) for split in splits if split} <= {100}


async def test_a_student_is_served_and_the_next_one_takes_over_without_a_lost_request(
    kserve_cluster, namespace
):
    claim = world.prepare(kserve_cluster, namespace)
    first, second = world.write_student(claim), world.write_student(claim)
    async with world.World(kserve_cluster, namespace) as service:
        service.train("digits", first, replicas=2)
        status = await service.until_canary("digits", "Promoted")
        assert status.phase is RolloutPhase.PROMOTED
        # No event comes of a write that changes nothing for the gateway.
        assert service.woken == ["digits"]
        assert status.url == f"http://{service.host}"
        with world.Load(kserve_cluster.gateway_url, service.host) as load:
            await service.until(lambda: len(load.answers) > 30)
            # A server that is told to end goes on answering until the gateway knows.
            gone = service.pods()[0]
            kserve_cluster.kubectl("delete", "pod", gone, "-n", namespace, "--wait=false")
            await service.until(lambda: gone not in service.pods())
            service.events.clear()
            service.train("digits-2", second)
            await service.until_canary("digits-2", "Promoted")
            await service.until(lambda: service.versions() == [server_name("digits", second)])
            end = len(load.answers)
            await service.until(lambda: len(load.answers) > end + 30)
        assert load.non_200() == []
        assert [text for _, text in service.events] == ["0%", "25%", "50%", "100%", "Promoted"]
        assert_whole(service.splits)
        assert_split(load, service.events, first, second)
        assert service.status("digits").phase is RolloutPhase.SUPERSEDED


def assert_split(load, events, first, second):
    """Nothing before the first step, about the step's share within it, everything at the end."""
    begin = {text: at for at, text in events}
    assert set(load.counted(end=begin["25%"] - 1)) == {first}
    for text, share, following in (("25%", 0.25, "50%"), ("50%", 0.5, "100%")):
        # The gateway gathers changes for up to two seconds before it acts on them.
        counts = load.counted(begin[text] + 2.5, begin[following])
        assert counts[second] / sum(counts.values()) == pytest.approx(share, abs=0.1)
    assert set(load.counted(begin=load.answers[-30][0])) == {second}


def message(service, job):
    """What status.serving of a job says; nothing before there is one."""
    status = service.status(job)
    return status.message if status else ""


async def test_what_cannot_start_or_lost_its_job_goes_back_to_the_stable_one(kserve_cluster, namespace):
    claim = world.prepare(kserve_cluster, namespace)
    first, torn, third = (world.write_student(claim, torn=torn) for torn in (False, True, False))
    stable, canary = server_name("digits", first), server_name("digits", third)
    async with world.World(kserve_cluster, namespace) as service:
        service.train("digits", first)
        await service.until_canary("digits", "Promoted")
        with world.Load(kserve_cluster.gateway_url, service.host) as load:
            service.train("digits-2", torn, progressDeadline="10m")
            ended = "container kserve-container ended with exit code 65: "
            await service.until(lambda: ended in message(service, "digits-2"))
            service.ahead = timedelta(minutes=10)
            status = await service.until_canary("digits-2", "RolledBack")
            assert "it was not Ready after 10m" in status.message
            assert ended in status.message
            assert status.weight == 0
            await service.until(lambda: service.versions() == [stable])

            service.train("digits-3", third, steps=[{"weight": 25, "hold": "1h"}])
            await service.until_canary("digits-3", "25%")
            edit = '[{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":90}]'
            kserve_cluster.kubectl("patch", "-n", namespace, "httproute/digits", "--type=json", "-p", edit)
            await service.until(
                lambda: service.splits[-1] == {f"{stable}-predictor": 75, f"{canary}-predictor": 25}
            )

            # The operator is down while the job goes.
            kserve_cluster.kubectl("delete", "-n", namespace, "dj/digits-3")
            service.restart()
            await service.until(lambda: service.versions() == [stable])
            assert service.splits[-1] == {f"{stable}-predictor": 100}

            # The service outlives its job, also for an operator that has not seen everything yet.
            kserve_cluster.kubectl("delete", "-n", namespace, "dj/digits")
            service.restart()
            await service.drive((DISTILLATION_JOB, HTTP_ROUTE))
            assert service.splits[-1] == {f"{stable}-predictor": 100}
            end = len(load.answers)
            await service.until(lambda: len(load.answers) > end + 20)
        assert load.non_200() == []
        assert torn not in load.counted()
        assert set(load.counted(begin=load.answers[-20][0])) == {first}
        assert_whole(service.splits)


async def test_what_somebody_else_made_is_left_alone(kserve_cluster, namespace):
    world.prepare(kserve_cluster, namespace)
    foreign = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "digits"},
        "spec": {"hostnames": ["theirs.example.com"]},
    }
    digest = "sha256:" + "0" * 64
    taken = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": server_name("digits", digest),
            "annotations": {"serving.kserve.io/stop": "true"},
        },
        "spec": {"predictor": {"model": {"modelFormat": {"name": "distilled-student"}}}},
    }
    objects = yaml.safe_dump_all([foreign, taken])
    kserve_cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=objects)
    async with world.World(kserve_cluster, namespace) as service:
        service.train("digits", digest)
        await service.drive()
        assert service.status("digits").message.startswith('HTTPRoute "digits" exists and was not made by')
        assert service.route()["spec"]["hostnames"] == ["theirs.example.com"]

        kserve_cluster.kubectl("delete", "-n", namespace, "httproute/digits")
        status = await service.until_canary("digits", "RolledBack", seconds=60)
        assert f'InferenceService "{server_name("digits", digest)}" exists' in status.message
        assert service.versions() == [server_name("digits", digest)]
