"""The table of findings: code, level, title, and what to do about it.

Istio's codes and levels are Istio's (`istioctl analyze`); ours begin with MPX. The schema codes, given where the
words are read and built, are listed too: this table is what the documentation and the renderers know of codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshproxy.base.origin import Origin
from meshproxy.model.problem import Level, Problem

_INFO, _WARNING, _ERROR = Level.INFO, Level.WARNING, Level.ERROR


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    level: Level
    title: str
    remedy: str


_TABLE = (
    ("IST0002", _WARNING, "Deprecated", "write the field that took its place"),
    ("IST0101", _ERROR, "ReferencedResourceNotFound", "correct the name, or add what it names"),
    ("IST0102", _INFO, "NamespaceNotInjected", "label the Namespace istio-injection=enabled, or disabled"),
    ("IST0103", _WARNING, "PodMissingProxy", "restart the Pod"),
    ("IST0106", _ERROR, "SchemaValidationError", "correct the field"),
    ("IST0107", _WARNING, "MisplacedAnnotation", "move it to the kind the message names"),
    ("IST0108", _WARNING, "UnknownAnnotation", "correct the name"),
    ("IST0109", _ERROR, "ConflictingMeshGatewayVirtualServiceHosts", "merge them into one VirtualService"),
    ("IST0110", _ERROR, "ConflictingSidecarWorkloadSelectors", "let one Sidecar select each workload"),
    ("IST0111", _ERROR, "MultipleSidecarsWithoutWorkloadSelectors", "keep one Sidecar without a selector"),
    ("IST0112", _ERROR, "VirtualServiceDestinationPortSelectorRequired", "add port.number to the destination"),
    ("IST0116", _WARNING, "DeploymentAssociatedToMultipleServices", "give the port one protocol"),
    ("IST0118", _INFO, "PortNameIsNotUnderNamingConvention", "name the port <protocol>[-<suffix>]"),
    ("IST0123", _WARNING, "NamespaceMultipleInjectionLabels", "keep one of the labels"),
    ("IST0125", _WARNING, "InvalidAnnotation", "correct the value"),
    ("IST0127", _WARNING, "NoMatchingWorkloadsFound", "correct the selector, or remove the policy"),
    ("IST0128", _WARNING, "NoServerCertificateVerificationDestinationLevel", "add caCertificates"),
    ("IST0129", _WARNING, "NoServerCertificateVerificationPortLevel", "add caCertificates"),
    ("IST0130", _WARNING, "VirtualServiceUnreachableRule", "move it up, or remove it"),
    ("IST0131", _INFO, "VirtualServiceIneffectiveMatch", "move the narrower match up, or remove it"),
    ("IST0132", _WARNING, "VirtualServiceHostNotFoundInGateway", "add the host to a server of the Gateway"),
    ("IST0133", _WARNING, "SchemaWarning", "see the message"),
    ("IST0134", _WARNING, "ServiceEntryAddressesRequired", "add addresses"),
    ("IST0135", _INFO, "DeprecatedAnnotation", "see the message"),
    ("IST0137", _WARNING, "DeploymentConflictingPorts", "let the Services reach a targetPort by one port"),
    ("IST0138", _WARNING, "GatewayDuplicateCertificate", "serve the hosts of one certificate from one Gateway"),
    ("IST0140", _WARNING, "IngressRouteRulesNotAffected", "name the subset here too"),
    ("IST0144", _WARNING, "InvalidApplicationUID", "run as another user"),
    ("IST0145", _ERROR, "ConflictingGateways", "let one Gateway serve each host and port"),
    ("IST0147", _ERROR, "ImageAutoWithoutInjectionError", "label the Pod or its Namespace for injection"),
    ("IST0148", _INFO, "NamespaceInjectionEnabledByDefault", "label the Namespace to say what is meant"),
    ("IST0149", _ERROR, "JwtClaimBasedRoutingWithoutRequestAuthN", "add a RequestAuthentication for the gateway"),
    ("IST0150", _WARNING, "ExternalNameServiceTypeInvalidPortName", "name the port <protocol>[-<suffix>]"),
    ("IST0151", _WARNING, "EnvoyFilterUsesRelativeOperation", "set priority, or use INSERT_FIRST or ADD"),
    ("IST0152", _ERROR, "EnvoyFilterUsesReplaceOperationIncorrectly", "use MERGE, or REMOVE and ADD"),
    ("IST0153", _ERROR, "EnvoyFilterUsesAddOperationIncorrectly", "use MERGE, or applyTo VIRTUAL_HOST"),
    ("IST0154", _ERROR, "EnvoyFilterUsesRemoveOperationIncorrectly", "remove it where it is made"),
    ("IST0155", _WARNING, "EnvoyFilterUsesRelativeOperationWithProxyVersion", "set priority"),
    ("IST0157", _WARNING, "InvalidTelemetryProvider", "name a provider, or set disabled"),
    ("IST0159", _ERROR, "ConflictingTelemetryWorkloadSelectors", "let one Telemetry select each workload"),
    ("IST0160", _ERROR, "MultipleTelemetriesWithoutWorkloadSelectors", "merge them into one Telemetry"),
    ("IST0161", _ERROR, "InvalidGatewayCredential", "put tls.crt and tls.key into the Secret"),
    ("IST0162", _WARNING, "GatewayPortNotDefinedOnService", "add the port to the gateway's Service"),
    ("IST0165", _WARNING, "ReferencedInternalGateway", "name the Kubernetes Gateway, or write an Istio Gateway"),
    ("IST0166", _WARNING, "IneffectiveSelector", "name the Gateway in targetRefs"),
    ("IST0167", _WARNING, "IneffectivePolicy", "use a waypoint in ambient mode"),
    ("IST0171", _WARNING, "NegativeConditionStatus", "see the message"),
    ("IST0173", _ERROR, "DestinationRuleSubsetNotSelectPods", "correct the labels"),
    ("IST0174", _WARNING, "UnknownDestinationRuleHost", "correct the host, or add what it names"),
    ("IST0175", _WARNING, "JwksUriFetchUnrestricted", "set BLOCKED_CIDRS_IN_JWKS_URIS on istiod"),
    ("IST0176", _WARNING, "GatewayAPICRDVersionBelowMinimum", "upgrade the CRDs of the Gateway API"),
    ("IST0177", _WARNING, "ConflictingServiceEntryProtocol", "give the port one protocol"),
    ("MPX0001", _WARNING, "Not supported yet", "do not rely on this field here"),
    ("MPX0002", _WARNING, "Written twice: the later one counts", "remove one"),
    ("MPX0003", _ERROR, "Cannot be read", "correct the YAML"),
    ("MPX0010", _WARNING, "Rule that cannot be merged with its delegate: it is dropped", "see the message"),
    ("MPX0101", _WARNING, "Rule never reached: earlier rules take all its requests", "move it up, or remove it"),
    ("MPX0102", _INFO, "Match never reached: earlier rules take all its requests", "move it up, or remove it"),
    ("MPX0103", _WARNING, "Match that no request can fulfil", "correct its conditions"),
    ("MPX0104", _WARNING, "Query string or fragment in a uri match", "use queryParams"),
    ("MPX0105", _WARNING, "Regex that must match the whole value", "begin or end it with .*"),
    ("MPX0106", _INFO, "Weights that do not add up to 100", "make them percentages"),
    ("MPX0107", _WARNING, "Retries of methods that must not be repeated", "retry only GET, HEAD, PUT, DELETE…"),
    ("MPX0108", _WARNING, "Fault for everybody", "match test requests only, or remove it"),
    ("MPX0109", _WARNING, "Fault without percentage does nothing", "add percentage.value"),
    ("MPX0110", _WARNING, "Retries without attempts are off", "add attempts, or remove retries"),
    ("MPX0111", _INFO, "perTryTimeout not below the timeout", "make it smaller than timeout"),
    ("MPX0112", _WARNING, "Short host on a gateway", "write the name that clients send"),
    ("MPX0113", _WARNING, "VirtualService that another one beats to its host", "merge them"),
    ("MPX0114", _INFO, "Several VirtualServices for one host of a gateway", "merge them to see the order"),
    ("MPX0115", _INFO, "Retries that also repeat POST and PATCH", "match the methods that may be repeated"),
    ("MPX0121", _INFO, "Subset nobody routes to", "route to it, or remove it"),
    ("MPX0122", _WARNING, "Subset that selects no endpoint", "correct the labels"),
    ("MPX0123", _WARNING, "DestinationRule that never applies", "see the message"),
    ("MPX0124", _WARNING, "Part of a DestinationRule that never applies", "merge the DestinationRules"),
    ("MPX0125", _WARNING, "portLevelSettings drop what is set for all ports", "repeat it there"),
    ("MPX0126", _WARNING, "outlierDetection that can eject nobody", "raise maxEjectionPercent"),
    ("MPX0127", _WARNING, "Subset that clients cannot see", "move the DestinationRule to the service's namespace"),
    ("MPX0128", _WARNING, "credentialName without workloadSelector: plain text", "add workloadSelector"),
    ("MPX0141", _WARNING, "Server without a usable certificate", "add the Secret, or the files"),
    ("MPX0142", _WARNING, "Certificate that has expired, soon will, or is not valid yet", "renew the certificate"),
)
CODES = {code: Code(code, level, title, remedy) for code, level, title, remedy in _TABLE}


def finding(code: str, message: str, origin: Origin) -> Problem:
    """A Problem at the level the table gives its code."""
    return Problem(code, CODES[code].level, message, origin)
