from tests.contract.server import LEASES, Json, Server, revision_of, unique


def lease(name: str, renew_time: str) -> Json:
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renew_time}
    return {"metadata": {"name": name}, "spec": spec}


async def test_a_watch_of_whole_leases_says_when_they_were_renewed_to_the_microsecond(server: Server) -> None:
    name, times = unique("holder"), ["2026-11-22T16:33:55.123456Z", "2026-11-22T16:34:05.000000Z"]
    revision = await server.revision()
    await server.create(LEASES, lease(name, times[0]))
    await server.patch(f"{LEASES}/{name}", {"spec": {"renewTime": times[1]}})
    await server.delete(f"{LEASES}/{name}")
    query = {"resourceVersion": str(revision), "fieldSelector": f"metadata.name={name}"}
    async with server.watch(LEASES, accept="application/json", **query) as watch:
        events = await watch.events(3)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert {event["object"]["kind"] for event in events} == {"Lease"}
    assert [event["object"]["spec"]["renewTime"] for event in events] == [*times, times[1]]
    assert revision < revision_of(events[0]["object"])


async def test_metadata_of_a_lease_does_not_say_when_it_was_renewed(server: Server) -> None:
    name = unique("holder")
    revision = await server.revision()
    await server.create(LEASES, lease(name, "2026-11-22T16:33:55.123456Z"))
    async with server.watch(LEASES, resourceVersion=str(revision), fieldSelector=f"metadata.name={name}") as watch:
        (event,) = await watch.events(1)
    assert set(event["object"]) == {"kind", "apiVersion", "metadata"}
