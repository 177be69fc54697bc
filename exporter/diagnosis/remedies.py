"""What people do about each fault: the first step is something to look at or to do at once, later ones prevent it.

{resource} and {apiserver} are filled in. Words in capitals are the reader's to replace; code stands between backticks.
Where a control plane is managed, steps on its nodes are its provider's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.vocabulary import Fault

REMEDIES: Mapping[Fault, tuple[str, ...]] = {
    "exporter_refused": (
        "Run `watchslo check` with this exporter's flags and credentials: it names each permission that is missing.",
        "Grant what it prints as missing (with the chart: {resource} among watch.resources), or renew its credentials.",
    ),
    "exporter_starved": (
        (
            "Look whether its CPU limit holds it back: "
            '`rate(container_cpu_cfs_throttled_seconds_total{pod=~"watchslo.*"}[5m])`, and whether its node is '
            "full: `kubectl top node`."
        ),
        "Raise the limit, or take it away; move it to a node that is not overcommitted.",
    ),
    "apiserver_unreachable": (
        "Run `curl -k https://{apiserver}/livez` from here and from another machine.",
        (
            "If nobody gets an answer, look on its node whether the process runs, and why not: `crictl ps -a "
            "--name kube-apiserver`, then `crictl logs ID`."
        ),
        (
            "If others get one, look at firewalls and routes between here and there; other clients here have "
            "the same gap."
        ),
    ),
    "apiserver_restarted": (
        (
            "See why it ended: `kubectl -n kube-system describe pod kube-apiserver-NODE` (last state: "
            "OOMKilled, a failed probe), and `kubectl -n kube-system logs --previous kube-apiserver-NODE`."
        ),
        "Wait if somebody did it on purpose: watches come back by themselves.",
        (
            "Restart apiservers one by one, with --shutdown-delay-duration and "
            "--shutdown-watch-termination-grace-period."
        ),
    ),
    "relist_storm": (
        "Restart nothing more now: each apiserver or client that begins anew adds to it.",
        (
            "Find what is listed: `topk(5, sum by (group, resource) "
            '(rate(apiserver_request_total{verb="LIST"}[1m])))`, and by whom: `watchslo audit FILE`. Hold the '
            "worst one back with a FlowSchema of few seats."
        ),
        "Let clients use bookmarks, jittered backoff and streaming lists (1.34); restart apiservers one by one.",
    ),
    "initial_events_burst": (
        "Find what is replayed: `topk(5, sum by (group, resource) (rate(apiserver_init_events_total[1m])))`.",
        (
            "Find who begins watches from resourceVersion 0 or none, again and again: `watchslo audit FILE`. "
            "Stop that client, or let it resume from the last revision, with bookmarks."
        ),
        "Upgrade: Kubernetes 1.37 has cheaper streaming lists.",
    ),
    "list_storm": (
        (
            "Find what is listed: `topk(5, sum by (group, resource) "
            '(rate(apiserver_request_duration_seconds_sum{verb="LIST"}[1m])))`, and by whom: `watchslo audit '
            "FILE`."
        ),
        "Hold that one back with a FlowSchema of few seats, or stop it.",
        "Let it use an informer, a limit, resourceVersion=0 or a label index instead.",
    ),
    "write_storm": (
        (
            "See which objects it is: `kubectl get {resource} -A --watch-only`, and who writes them: `kubectl "
            "get {resource} NAME -n NAMESPACE -o yaml --show-managed-fields`, or `watchslo audit FILE`."
        ),
        "Stop that controller: `kubectl -n NAMESPACE scale deployment NAME --replicas=0`.",
        (
            "Usual causes: controllers that fight over a field, that retry conflicts without a pause, or that "
            "write what has not changed."
        ),
    ),
    "connections_unbalanced": (
        'Compare the apiservers: `sum by (instance) (apiserver_longrunning_requests{verb="WATCH"})`.',
        "Restart the clients with the most watches one by one, so that they are spread anew.",
        "Start apiservers with --goaway-chance=.001, or let the balancer count connections.",
    ),
    "requests_queued": (
        (
            "See who fills the queues: `topk(5, sum by (priority_level, flow_schema) "
            "(apiserver_flowcontrol_current_inqueue_requests))`, and whose requests wait: `kubectl get --raw "
            "/debug/api_priority_and_fairness/dump_requests`."
        ),
        "Hold that one back with a FlowSchema and few seats of its own.",
        "Give this exporter a level of its own (flowSchema.enabled of the chart) rather than the exempt one.",
    ),
    "path_full": (
        (
            "See how full the network cards and the balancer are: `topk(5, "
            "rate(node_network_transmit_bytes_total[1m]))`."
        ),
        "Stop or move whoever takes most of it.",
        "Make watches fewer and smaller: metadata only, selectors, EndpointSlices, immutable Secrets, compression.",
    ),
    "path_slow": (
        (
            "Run `curl -sko /dev/null -w '%{time_connect} %{time_starttransfer}' https://{apiserver}/livez` "
            "from here and from the apiserver's own node: if only here is slow, it is what stands between."
        ),
        "Look at balancer, proxy, VPN and konnectivity on this way; the apiserver wrote in time.",
    ),
    "store_slow": (
        (
            "Look at etcd's disk: `histogram_quantile(0.99, "
            "rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m]))` of more than 10 ms is too slow. Stop what "
            "else writes to that disk."
        ),
        (
            "Look for changes of leader, `increase(etcd_server_leader_changes_seen_total[1h])`, and at the "
            "size, `etcd_mvcc_db_total_size_in_bytes`."
        ),
        "Defragment one member at a time (`etcdctl defrag`); use faster disks; keep events in an etcd of their own.",
    ),
    "apiserver_overloaded": (
        (
            "Find who asks most: `topk(5, sum by (flow_schema) "
            "(rate(apiserver_flowcontrol_dispatched_requests_total[1m])))`, and by name: `watchslo audit "
            "FILE`. Hold that one back with a FlowSchema of few seats."
        ),
        (
            "Compare its CPU with what it may use: "
            '`rate(process_cpu_seconds_total{job=~".*apiserver.*"}[1m])`. Give it more, or add apiservers.'
        ),
        "Consistent lists from the cache (1.31) and streaming encoding (1.34) need less.",
    ),
    "admission_slow": (
        (
            "See which webhook it is: `topk(5, histogram_quantile(0.99, sum by (name, le) "
            "(rate(apiserver_admission_webhook_admission_duration_seconds_bucket[1m]))))`."
        ),
        (
            "Look at its Pods, and restart them or add some: `kubectl get "
            "mutatingwebhookconfigurations,validatingwebhookconfigurations -o yaml` says which Service it is."
        ),
        "Give webhooks short timeouts, matchConditions and a failurePolicy.",
    ),
    "conversion_slow": (
        (
            "Look at the Pods of the conversion webhook, and restart them or add some: `kubectl get crd "
            "{resource} -o jsonpath='{.spec.conversion.webhook.clientConfig}'` says which Service it is."
        ),
        "Make the version that is watched most the storage version; 1.37 converts in parallel.",
    ),
    "objects_large": (
        (
            "Find the largest objects (this lists all of them, so once): `kubectl get {resource} -A -o json | "
            "jq -r '.items[] | \"\\(tojson|length) \\(.metadata.namespace)/\\(.metadata.name)\"' | sort -rn | "
            "head`."
        ),
        "Make them smaller: split them, no blobs in annotations; watch metadata only; use protobuf or CBOR.",
    ),
    "cache_stuck": (
        (
            "Restart that apiserver: on its node, `crictl stop $(crictl ps -q --name kube-apiserver)`; the "
            "kubelet starts it anew. Clients on it do not see what changes until then."
        ),
        (
            "Before that, if you can wait, keep what it is doing for a report: `kubectl get --raw "
            "'/debug/pprof/goroutine?debug=2'`."
        ),
        "1.34 finds lost events by itself (DetectCacheInconsistency), not a cache that stands still.",
    ),
    "connection_dropped": (
        (
            "Look for connections of other clients that are silent as well, on their nodes: `ss -tio '( dport "
            "= :{port} )'` (lastrcv of more than 90000 ms), and restart these clients: they do not notice it."
        ),
        (
            "Look at idle timeouts and full tables of balancers, NAT and firewalls between here and "
            "{apiserver}: `conntrack -S`, on each of them."
        ),
        "Clients need bookmarks and a limit on silence, TCP keep-alive or HTTP/2 pings.",
    ),
    "cache_behind": (
        (
            "Find who keeps it busy: `topk(5, sum by (group, resource) "
            "(rate(apiserver_init_events_total[1m])))` shows watches that begin from 0 and streaming lists, "
            "`watchslo audit FILE`, with the audit log, whose they are. Stop those clients."
        ),
        "Restart that apiserver if its cache does not catch up within minutes.",
        "Upgrade: with Kubernetes 1.37, and with etcd 3.4.25 or 3.5.8 and later, it falls behind less.",
    ),
    "watchers_closed": (
        (
            "See what is closed: `topk(5, sum by (group, resource) "
            "(rate(apiserver_terminated_watchers_total[5m])))`, and whose watches of {resource} end early: "
            "`watchslo audit FILE`."
        ),
        "Give those clients more CPU; let them watch metadata only, and work in a queue instead of the handler.",
    ),
    "connection_shared": (
        (
            "Count the connections of each client on the apiserver's node: `ss -Htn state established '( sport "
            "= :{port} )' | awk '{print $4}' | sort | uniq -c | sort -rn | head`; few of a client with many "
            "watches are too few."
        ),
        (
            "Give its busy watches connections of their own (DISABLE_HTTP2 in the client), or let the "
            "apiserver put fewer on one (--http2-max-streams-per-connection)."
        ),
    ),
    "clients_slow": (
        (
            "Look which clients of {resource} lack CPU: `topk(5, sum by (namespace, pod) "
            "(rate(container_cpu_cfs_throttled_seconds_total[5m])))`. Raise their limits."
        ),
        "Let them watch metadata only, use protobuf, and work in a queue instead of the handler.",
    ),
    "unknown_cause": (
        (
            "Open the row of the watch that is late, and see which stage takes the time: before the watch "
            "cache look at etcd and conversion webhooks, after it at the apiserver's CPU and at the network."
        ),
        "See whether polls, other resources and other apiservers are slow as well.",
        (
            "Let this exporter read the apiservers' own metrics (--apiserver.metrics), and behind a balancer watch "
            "each apiserver by itself (--apiserver.discover): then more causes can be told apart."
        ),
    ),
}


def steps(fault: Fault, *, resource: str = "RESOURCE", apiserver: str = "APISERVER") -> tuple[str, ...]:
    """What to do about it there."""
    port = apiserver.rpartition(":")[2] if ":" in apiserver else "6443"
    names = {"{resource}": resource or "RESOURCE", "{apiserver}": apiserver or "APISERVER", "{port}": port}
    filled = []
    for step in REMEDIES[fault]:
        for placeholder, name in names.items():
            step = step.replace(placeholder, name)  # noqa: PLW2901 one after the other
        filled.append(step)
    return tuple(filled)
