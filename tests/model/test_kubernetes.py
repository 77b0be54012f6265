"""The part of Kubernetes' kinds that is read."""

from tests.support.written import read

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews, labels: {app: reviews}, annotations: {networking.istio.io/exportTo: "."}}
spec:
  clusterIP: None
  clusterIPs: [None]
  selector: {app: reviews}
  sessionAffinity: ClientIP
  publishNotReadyAddresses: true
  ports:
  - {port: 9080, name: http, targetPort: web, nodePort: 30000}
  - {port: 9090, targetPort: 1234, protocol: UDP, appProtocol: kubernetes.io/h2c}
"""
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080}, {port: null}]
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: false}
  zone: a
  targetRef: {kind: Pod, name: reviews-v1, namespace: default}
- addresses: [10.0.0.2]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, labels: {version: v1}}
spec: {nodeName: n1, containers: [{name: a, image: b, ports: [{containerPort: 9080, name: web}]}]}
status: {podIP: 10.0.0.1, phase: Running}
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: cert}
type: kubernetes.io/tls
data: {tls.crt: aGk=}
stringData: {tls.key: secret}
"""
ENDPOINTS = """
apiVersion: v1
kind: Endpoints
metadata: {name: reviews}
subsets:
- addresses: [{ip: 10.0.0.1, targetRef: {kind: Pod, name: reviews-v1}}]
  notReadyAddresses: [{ip: 10.0.0.2}]
  ports: [{name: http, port: 9080}]
"""
NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n"


def test_a_service_is_read_with_its_ports() -> None:
    catalog, problems = read(SERVICE)
    assert not problems
    (service,) = catalog.services
    assert (service.cluster_ip, service.cluster_ips, service.selector) == ("None", ("None",), {"app": "reviews"})
    assert service.publish_not_ready_addresses
    http, other = service.ports
    assert (http.port, http.name, http.target_port, http.protocol) == (9080, "http", "web", "")
    assert (other.target_port, other.protocol, other.app_protocol) == (1234, "UDP", "kubernetes.io/h2c")


def test_a_slice_says_which_service_it_belongs_to_and_who_is_ready() -> None:
    catalog, problems = read(SLICE)
    assert not problems
    (found,) = catalog.endpoint_slices
    assert found.service_name == "reviews"
    one, two = found.endpoints
    assert one.conditions is not None
    assert (one.conditions.ready, two.conditions) == (False, None)
    assert one.target_ref is not None
    assert (one.target_ref.name, one.zone) == ("reviews-v1", "a")
    assert [port.port for port in found.ports] == [9080, None]


def test_pods_secrets_endpoints_namespaces_and_nodes_are_read() -> None:
    catalog, problems = read("---".join((POD, SECRET, ENDPOINTS, "\n" + NODE, "\n" + NAMESPACE)))
    assert not problems
    (pod,) = catalog.pods
    assert pod.status is not None
    assert pod.spec is not None
    assert (pod.status.pod_ip, pod.spec.node_name, pod.meta.labels) == ("10.0.0.1", "n1", {"version": "v1"})
    assert catalog.secrets[0].values == {"tls.crt": b"hi", "tls.key": b"secret"}
    assert catalog.endpoints[0].subsets[0].not_ready_addresses[0].ip == "10.0.0.2"
    assert [node.meta.full_name for node in catalog.nodes] == ["n1"]
    assert [namespace.meta.full_name for namespace in catalog.namespaces] == ["prod"]


def test_what_is_read_of_a_service_is_checked() -> None:
    _, problems = read(
        SERVICE.replace("port: 9080", "port: 0").replace("selector: {app: reviews}", "selector: {app: 1}")
    )
    assert [problem.origin.path for problem in problems] == ["spec.selector.app", "spec.ports[0].port"]
    assert all(problem.origin.resource == "Service default/reviews" for problem in problems)


def test_a_key_twice_is_found_once() -> None:
    _, problems = read(POD + "status: {}\n")
    assert ["twice" in problem.message for problem in problems] == [True]
