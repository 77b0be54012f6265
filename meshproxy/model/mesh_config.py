"""The part of MeshConfig that findings need, and the part of the injector's values.

They stand as YAML in the ConfigMaps `istio` and `istio-sidecar-injector` of `istio-system`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from yaml import Node

from meshproxy.model.fields import boolean, message, messages, raw, text, text_map, texts
from meshproxy.model.reader import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultProviders(Part):
    access_logging: tuple[str, ...] = texts()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig(Part):
    proxy_metadata: Mapping[str, str] = text_map()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionProvider(Part):
    name: str = text()
    lightstep: Node | None = raw()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshConfig(Part):
    root_namespace: str = text()
    default_config: ProxyConfig | None = message(ProxyConfig)
    default_providers: DefaultProviders | None = message(DefaultProviders)
    extension_providers: tuple[ExtensionProvider, ...] = messages(ExtensionProvider)

    @property
    def has_log_providers(self) -> bool:
        """Whether access logs go somewhere where nothing else is said."""
        return self.default_providers is not None and bool(self.default_providers.access_logging)

    @property
    def lightstep_providers(self) -> frozenset[str]:
        return frozenset(provider.name for provider in self.extension_providers if provider.lightstep is not None)

    @property
    def allocates_addresses(self) -> bool:
        """Whether sidecars give addresses to ServiceEntries that have none."""
        metadata = self.default_config.proxy_metadata if self.default_config is not None else {}
        asked = (metadata.get(name) for name in ("ISTIO_META_DNS_AUTO_ALLOCATE", "PILOT_ENABLE_IP_AUTOALLOCATE"))
        return metadata.get("ISTIO_META_DNS_CAPTURE") == "true" and "true" in asked


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarInjectorWebhook(Part):
    enable_namespaces_by_default: bool = boolean()


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectorValues(Part):
    sidecar_injector_webhook: SidecarInjectorWebhook | None = message(SidecarInjectorWebhook)

    @property
    def by_default(self) -> bool:
        """Whether sidecars are injected where no label says a word."""
        webhook = self.sidecar_injector_webhook
        return webhook is not None and webhook.enable_namespaces_by_default
