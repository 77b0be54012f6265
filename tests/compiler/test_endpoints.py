"""Who answers for a service, from every resource that can say so."""

import pytest
from support.plans import API, built, endpoints_of, plan

from meshproxy.plan.cluster import Resolution

CLUSTER = "outbound|80||reviews.default.svc.cluster.local"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 80, targetPort: %s}]
"""


def service(target=8080, more=""):
    return SERVICE % target + more


def endpoint_slice(endpoints, *, name="s", ports="[{name: http, port: 9090}]", family="IPv4"):
    return f"""
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: reviews}}}}
addressType: {family}
ports: {ports}
endpoints: {endpoints}
"""


def pod(name, ip, *, labels="{app: reviews}", phase="Running", spec="{}"):
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {labels}}}
spec: {spec}
status: {{podIP: {ip}, phase: {phase}}}
"""


def workload(address, more="", labels="{app: reviews}", name="w"):
    head = f"{API}\nkind: WorkloadEntry\nmetadata: {{name: {name}}}"
    return f"{head}\nspec: {{address: {address}, labels: {labels}{more}}}\n"


def only(snapshot, cluster=CLUSTER):
    (endpoint,) = snapshot.clusters[cluster].endpoints
    return endpoint


# --- EndpointSlices


def test_slices_join_ports_by_name():
    assert endpoints_of(plan(service(), endpoint_slice("[{addresses: [10.0.0.1]}]")), CLUSTER) == [("10.0.0.1", 9090)]
    other = endpoint_slice("[{addresses: [10.0.0.1]}]", ports="[{name: other, port: 9090}]")
    assert endpoints_of(plan(service(), other), CLUSTER) == []


def test_a_slice_port_without_number_is_the_target():
    snapshot = plan(service(), endpoint_slice("[{addresses: [10.0.0.1]}]", ports="[{name: http}]"))
    assert endpoints_of(snapshot, CLUSTER) == [("10.0.0.1", 8080)]


def test_slices_are_united_and_addresses_come_once():
    snapshot = plan(
        service(),
        endpoint_slice("[{addresses: [10.0.0.1]}, {addresses: [10.0.0.2, 10.0.0.9]}]"),
        endpoint_slice("[{addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}]", name="t"),
    )
    assert [address for address, _ in endpoints_of(snapshot, CLUSTER)] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(
    ("conditions", "healthy"),
    [
        ("{}", [True]),
        ("{ready: true}", [True]),
        ("{ready: false}", [False]),
        ("{ready: false, serving: true}", [False]),
        ("{ready: false, serving: true, terminating: true}", []),
    ],
)
def test_readiness(conditions, healthy):
    snapshot = plan(service(), endpoint_slice(f"[{{addresses: [10.0.0.1], conditions: {conditions}}}]"))
    assert [each.healthy for each in snapshot.clusters[CLUSTER].endpoints] == healthy


def test_unready_addresses_are_published_where_the_service_says_so():
    text = service(more="  publishNotReadyAddresses: true\n")
    assert only(plan(text, endpoint_slice("[{addresses: [10.0.0.1], conditions: {ready: false}}]"))).healthy


def test_labels_come_from_the_pod_by_reference_or_by_address():
    pods = pod("a", "10.0.0.1", labels="{version: v1}") + "---" + pod("b", "10.0.0.2", labels="{version: v2}")
    slices = endpoint_slice("[{addresses: [10.0.0.9], targetRef: {kind: Pod, name: a}}, {addresses: [10.0.0.2]}]")
    endpoints = plan(service(), pods, slices).clusters[CLUSTER].endpoints
    assert [each.labels for each in endpoints] == [(("version", "v1"),), (("version", "v2"),)]


def test_locality_is_the_zone_and_the_nodes_region():
    node = """
apiVersion: v1
kind: Node
metadata: {name: n, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z}}
"""
    snapshot = plan(service(), node, endpoint_slice("[{addresses: [10.0.0.1], nodeName: n, zone: z1}]"))
    assert only(snapshot).locality == "r/z1"


def test_fqdn_slices_are_a_finding():
    snapshot, findings = built(service(), endpoint_slice("[{addresses: [a.com]}]", family="FQDN"))
    assert endpoints_of(snapshot, CLUSTER) == []
    assert [each.code for each in findings] == ["MPX0001"]


# --- Endpoints and Pods


ENDPOINTS = """
apiVersion: v1
kind: Endpoints
metadata: {name: reviews}
subsets:
- addresses: [{ip: 10.0.1.1, targetRef: {kind: Pod, name: a}}]
  notReadyAddresses: [{ip: 10.0.1.2}]
  ports: [{name: http, port: 9091}]
"""


def test_endpoints_count_where_there_are_no_slices():
    pods = pod("a", "10.0.0.1", labels="{version: v1}")
    endpoints = plan(service(), ENDPOINTS, pods).clusters[CLUSTER].endpoints
    assert [(e.address, e.port, e.healthy) for e in endpoints] == [("10.0.1.1", 9091, True), ("10.0.1.2", 9091, False)]
    assert endpoints[0].labels == (("version", "v1"),)
    assert endpoints_of(plan(service(), ENDPOINTS, endpoint_slice("[{addresses: [10.0.0.1]}]")), CLUSTER) == [
        ("10.0.0.1", 9090)
    ]


def test_pods_alone_are_endpoints_by_the_services_selector():
    snapshot = plan(service(), pod("a", "10.0.0.1"), pod("b", "10.0.0.2", labels="{app: other}"))
    assert endpoints_of(snapshot, CLUSTER) == [("10.0.0.1", 8080)]


def test_a_named_target_port_is_the_containers():
    spec = "{containers: [{name: c, ports: [{name: web, containerPort: 7070}]}]}"
    assert endpoints_of(plan(service("web"), pod("a", "10.0.0.1", spec=spec)), CLUSTER) == [("10.0.0.1", 7070)]


def test_pods_that_ended_are_no_endpoints_and_pending_ones_get_no_traffic():
    snapshot = plan(service(), pod("a", "10.0.0.1", phase="Succeeded"), pod("b", "10.0.0.2", phase="Pending"))
    assert only(snapshot).healthy is False


def test_pods_do_not_count_where_slices_do():
    snapshot = plan(service(), pod("a", "10.0.0.1"), endpoint_slice("[]"))
    assert endpoints_of(snapshot, CLUSTER) == []


# --- WorkloadEntries and ServiceEntries


def test_workload_entries_join_a_service_by_its_selector():
    snapshot = plan(
        service(),
        workload("10.0.0.1", ", ports: {http: 7000}, weight: 5, locality: a/b"),
        workload("10.0.0.2", name="x"),
    )
    assert endpoints_of(snapshot, CLUSTER) == [("10.0.0.1", 7000), ("10.0.0.2", 8080)]
    first, second = snapshot.clusters[CLUSTER].endpoints
    assert (first.weight, first.locality, second.weight) == (5, "a/b", 1)


def service_entry(more, port="{name: http, number: 80, protocol: HTTP}"):
    return f"{API}\nkind: ServiceEntry\nmetadata: {{name: e}}\nspec: {{hosts: [e.com], ports: [{port}], {more}}}\n"


def entry_endpoints(more, **options):
    return endpoints_of(plan(service_entry(more, **options)), "outbound|80||e.com")


def test_ports_of_a_service_entrys_endpoints():
    endpoints = "resolution: STATIC, endpoints: [{address: 10.0.0.1}, {address: 10.0.0.2, ports: {http: 81}}]"
    assert entry_endpoints(endpoints) == [("10.0.0.1", 80), ("10.0.0.2", 81)]
    port = "{name: http, number: 80, protocol: HTTP, targetPort: 82}"
    assert entry_endpoints(endpoints, port=port) == [("10.0.0.1", 82), ("10.0.0.2", 81)]


def test_unix_sockets_have_no_port():
    assert entry_endpoints("resolution: STATIC, endpoints: [{address: 'unix:///run/a.sock'}]") == [
        ("unix:///run/a.sock", 0)
    ]


def test_addresses_of_a_service_entry_are_no_endpoints():
    assert entry_endpoints("resolution: STATIC, addresses: [10.0.0.1]") == []


def test_a_service_entrys_selector_chooses_workload_entries_and_pods_of_its_namespace():
    snapshot = plan(
        service_entry("resolution: STATIC, workloadSelector: {labels: {app: reviews}}"),
        workload("10.0.0.1"),
        workload("10.0.0.2", labels="{app: other}", name="x"),
        pod("a", "10.0.0.3"),
    )
    assert endpoints_of(snapshot, "outbound|80||e.com") == [("10.0.0.1", 80), ("10.0.0.3", 80)]


@pytest.mark.parametrize(
    ("resolution", "how", "address"),
    [
        ("DNS", Resolution.STRICT_DNS, "e.com"),
        ("DNS_ROUND_ROBIN", Resolution.LOGICAL_DNS, "e.com"),
        ("NONE", Resolution.DYNAMIC, "*"),
    ],
)
def test_other_resolutions_name_what_is_looked_up(resolution, how, address):
    snapshot, findings = built(service_entry(f"resolution: {resolution}"))
    assert endpoints_of(snapshot, "outbound|80||e.com") == [(address, 80)]
    assert snapshot.clusters["outbound|80||e.com"].resolution is how
    assert not findings


def test_dns_endpoints_are_names_or_addresses_with_their_ports():
    endpoints = "endpoints: [{address: a.com, ports: {http: 8080}}, {address: 10.0.0.1}]"
    snapshot = plan(service_entry(f"resolution: DNS, {endpoints}"))
    assert endpoints_of(snapshot, "outbound|80||e.com") == [("a.com", 8080), ("10.0.0.1", 80)]


def test_what_is_mapped_is_not_looked_up():
    snapshot = plan(service_entry("resolution: DNS"), maps=("e.com=127.0.0.1:1",))
    assert snapshot.clusters["outbound|80||e.com"].resolution is Resolution.STATIC


# --- --map


SUBSETS = f"""
{API}
kind: DestinationRule
metadata: {{name: r}}
spec: {{host: reviews, subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]}}
"""


def subset(name):
    return f"outbound|80|{name}|reviews.default.svc.cluster.local"


def test_mapped_addresses_take_the_place_of_all_others():
    snapshot = plan(service(), pod("a", "10.0.0.1"), maps=("reviews=127.0.0.1:1,[::1]:2",))
    assert endpoints_of(snapshot, CLUSTER) == [("127.0.0.1", 1), ("::1", 2)]


def test_mapped_subsets_need_no_labels_and_no_destination_rule():
    snapshot = plan(service(), SUBSETS, maps=("reviews:v2=127.0.0.1:2", "reviews:v3=127.0.0.1:3"))
    assert endpoints_of(snapshot, subset("v1")) == []
    assert endpoints_of(snapshot, subset("v2")) == [("127.0.0.1", 2)]
    assert endpoints_of(snapshot, subset("v3")) == [("127.0.0.1", 3)]
    assert endpoints_of(snapshot, CLUSTER) == [("127.0.0.1", 2), ("127.0.0.1", 3)]


def test_a_map_of_the_host_serves_subsets_without_one():
    snapshot = plan(service(), SUBSETS, maps=("reviews=127.0.0.1:1", "reviews:v2=127.0.0.1:2"))
    assert endpoints_of(snapshot, subset("v1")) == [("127.0.0.1", 1)]
    assert endpoints_of(snapshot, subset("v2")) == [("127.0.0.1", 2)]
